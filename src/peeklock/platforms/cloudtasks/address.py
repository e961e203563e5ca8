"""Address of a Cloud Tasks queue, with the function that its tasks call."""

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
    """Return the sender of `cloudtasks://projects/P/locations/L/queues/Q?target=https://...`.

    Further parameters: `service_account` and `audience` of the requests' OIDC token, and `deadline`, the seconds that Cloud
    Tasks waits for an answer. Raises ConfigError for another address.
    """
    parts = urlsplit(url)
    queue = (parts.netloc + parts.path).strip("/")
    parameters = {name: values[-1] for name, values in parse_qs(parts.query, keep_blank_values=True).items()}
    words = queue.split("/")
    if words[::2] != ["projects", "locations", "queues"] or "target" not in parameters or not all(words):
        raise ConfigError(f"{shown(url)!r} is no Cloud Tasks address, such as {_ADDRESS}")
    _check_target(url, parameters)
    return CloudTasksSender(
        queue=queue,
        target=parameters["target"],
        service_account=parameters.get("service_account") or None,
        audience=parameters.get("audience") or None,
        deadline=_deadline(url, parameters.get("deadline")),
    )


def _check_target(url: str, parameters: Mapping[str, str]) -> None:
    """Raise ConfigError for a target that Cloud Tasks cannot call, and for an audience without a service account."""
    target = urlsplit(parameters["target"])
    if target.scheme not in ("http", "https") or not target.hostname or not parameters["target"].isprintable():
        raise ConfigError(f"{shown(url)!r}: target= is not the URL of a function, such as https://HOST/PATH")
    if len(quote(parameters["target"], safe="/%:@!$&'()*+,;=-._~?[]#")) > TASK_URL:
        raise ConfigError(
            f"{shown(url)!r}: target= is longer than the {TASK_URL} characters that Cloud Tasks takes, encoded"
        )
    if parameters.get("audience") and not parameters.get("service_account"):
        raise ConfigError(f"{shown(url)!r}: audience= needs service_account= as well")


def _deadline(url: str, text: str | None) -> timedelta | None:
    if text is None:
        return None
    least, most = (int(limit.total_seconds()) for limit in DISPATCH_DEADLINES)
    if not text.isdecimal() or not least <= int(text) <= most:
        raise ConfigError(f"{shown(url)!r}: deadline= must be the seconds that Cloud Tasks waits, {least} to {most}")
    return timedelta(seconds=int(text))
