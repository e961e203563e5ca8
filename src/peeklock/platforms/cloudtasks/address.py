"""Address of a queue of Cloud Tasks, with the function that its tasks call."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from urllib.parse import parse_qs, quote, urlsplit

from peeklock.errors import ConfigError
from peeklock.platforms.cloudtasks.sender import CloudTasksSender
from peeklock.quotas.google import DISPATCH_DEADLINES, TASK_URL
from peeklock.redaction import shown

_ADDRESS = "cloudtasks://projects/PROJECT/locations/LOCATION/queues/QUEUE?target=https://HOST/PATH"


def from_url(url: str) -> CloudTasksSender:
    """`cloudtasks://projects/P/locations/L/queues/Q?target=https://...&service_account=...&audience=...&deadline=SECONDS`"""
    parts = urlsplit(url)
    queue = (parts.netloc + parts.path).strip("/")
    asked = {name: values[-1] for name, values in parse_qs(parts.query, keep_blank_values=True).items()}
    words = queue.split("/")
    if words[::2] != ["projects", "locations", "queues"] or "target" not in asked or not all(words):
        raise ConfigError(f"{shown(url)!r} is no Cloud Tasks address, such as {_ADDRESS}")
    _check_target(url, asked)
    return CloudTasksSender(
        queue=queue,
        target=asked["target"],
        service_account=asked.get("service_account") or None,
        audience=asked.get("audience") or None,
        deadline=_deadline(url, asked.get("deadline")),
    )


def _check_target(url: str, asked: Mapping[str, str]) -> None:
    """Raise ConfigError for what Cloud Tasks cannot call, and for an audience of a token that it would not send."""
    target = urlsplit(asked["target"])
    if target.scheme not in ("http", "https") or not target.hostname or not asked["target"].isprintable():
        raise ConfigError(f"{shown(url)!r}: target= is not the URL of a function, such as https://HOST/PATH")
    if len(quote(asked["target"], safe="/%:@!$&'()*+,;=-._~?[]#")) > TASK_URL:
        raise ConfigError(
            f"{shown(url)!r}: target= is longer than the {TASK_URL} characters that Cloud Tasks takes, encoded"
        )
    if asked.get("audience") and not asked.get("service_account"):
        raise ConfigError(f"{shown(url)!r}: audience= is of a token, which needs service_account= as well")


def _deadline(url: str, given: str | None) -> timedelta | None:
    if given is None:
        return None
    least, most = (int(one.total_seconds()) for one in DISPATCH_DEADLINES)
    if not given.isdecimal() or not least <= int(given) <= most:
        raise ConfigError(f"{shown(url)!r}: deadline= is not the seconds that Cloud Tasks waits, {least} to {most}")
    return timedelta(seconds=int(given))
