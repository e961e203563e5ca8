"""Names that Google Cloud accepts, all of them known before the resources are made.

The environment of a function has the function's own address, for delayed copies, and its queue has it too: with names that the
program sets, neither waits for the other. Each name contains the stack, since stacks may share a project.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from peeklock.errors import ConfigError
from peeklock.infra.inputs import check_text, checked
from peeklock.infra.options import checked_tags
from peeklock.queue import Queue
from peeklock.quotas.google import ACCOUNT_NAME as LONGEST_ACCOUNT
from peeklock.quotas.google import LABEL as LONGEST_LABEL
from peeklock.quotas.google import SERVICE_NAME as LONGEST_SERVICE

if TYPE_CHECKING:
    import pulumi


DIGITS = 6
"""Digits of the digest at the end of a shortened name."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Deployment:
    """Project, region, app and stack of a deployment, and the names within it."""

    project: str
    region: str
    app: str
    stack: str

    def __post_init__(self) -> None:
        if not re.fullmatch(r"[a-z][a-z0-9-]*", self.app):
            raise ConfigError(
                f"app {self.app!r}: use small letters, digits and '-', beginning with a letter, as Google's names require"
            )

    def resource_name(self, *words: str, most: int = LONGEST_LABEL) -> str:
        """Return a resource's name. One that is too long is shortened, and ends with a part of its digest."""
        name = slug("-".join((self.app, *words, self.stack)))
        if len(name) <= most:
            return name
        return f"{name[: most - DIGITS - 1].rstrip('-')}-{hashlib.sha256(name.encode()).hexdigest()[:DIGITS]}"

    def account(self, *words: str) -> str:
        """Return a service account's id."""
        return self.resource_name(*words, most=LONGEST_ACCOUNT)

    def service(self, queue: Queue) -> str:
        """Return the name of the function, its service and its queue. Raises ConfigError for a name that is too long."""
        name = slug(f"{self.app}-{queue.name}-{self.stack}")
        if len(name) > LONGEST_SERVICE:
            raise ConfigError(
                f"{name!r} has {len(name)} characters, and a service's name at most {LONGEST_SERVICE}; shorten app"
                f" {self.app!r}, queue {queue.name!r} or stack {self.stack!r} by {len(name) - LONGEST_SERVICE}"
            )
        return name

    def email(self, account: str) -> str:
        """Return a service account's address."""
        return f"{account}@{self.project}.iam.gserviceaccount.com"

    def host(self) -> str:
        """Return the host name of the region's functions.
        https://cloud.google.com/functions/docs/writing/write-http-functions#http_trigger_urls"""
        return f"{self.region}-{self.project}.cloudfunctions.net"

    def url(self, service: str) -> str:
        """Return a function's URL, which is also the audience of its tokens."""
        return f"https://{self.host()}/{service}"

    def queue(self, service: str, suffix: str | None = None) -> str:
        """Return the full name of a Cloud Tasks queue: that of its service, with the suffix. Raises ConfigError for an invalid
        suffix."""
        if suffix is not None and not re.fullmatch(r"[a-z0-9-]{1,20}", suffix):
            raise ConfigError(f"suffix={suffix!r}: use up to 20 small letters, digits and '-', such as suffix='2'")
        short = service if suffix is None else f"{service}-{suffix}"
        return f"projects/{self.project}/locations/{self.region}/queues/{short}"


def slug(text: str) -> str:
    """Return the text in small letters, digits and single hyphens."""
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")


def label(text: str) -> str:
    """Return the text as the value of a label."""
    return re.sub(r"[^a-z0-9_-]", "-", text.lower())[:LONGEST_LABEL]


def parts(name: str, *kinds: str) -> tuple[str, ...]:
    """Return the words after `kinds` in a full name, such as `projects/shop/topics/dead`. Raises ConfigError for another form."""
    words = name.split("/")
    if tuple(words[::2]) != kinds or len(words) % 2 or not all(words):
        form = "/".join(f"{kind}/..." for kind in kinds)
        raise ConfigError(f"{name!r} is not a full name of the form {form}; copy it from the resource's page")
    return tuple(words[1::2])


def full_name(argument: str, value: pulumi.Input[str], *kinds: str) -> pulumi.Input[str]:
    """Return a full name. Raises ConfigError, during the update for an output, for another form."""

    def check(resolved: str) -> None:
        check_text(argument, resolved)
        try:
            parts(resolved, *kinds)
        except ConfigError as exc:
            raise ConfigError(f"{argument}: {exc}") from None

    return checked(value, check)


def words(name: pulumi.Input[str], *kinds: str) -> tuple[pulumi.Output[str], ...]:
    """Return the words after `kinds` in a full name, which may be an output."""
    import pulumi

    resolved = pulumi.Output.from_input(name).apply(lambda text: parts(text, *kinds))
    return tuple(resolved.apply(lambda texts, n=n: texts[n]) for n in range(len(kinds)))  # type: ignore[misc]


def checked_labels(tags: Mapping[str, str] | None) -> dict[str, str]:
    """Return a program's tags, which are labels on Google. Raises ConfigError for what no label is.
    https://cloud.google.com/resource-manager/docs/labels-overview#requirements"""
    for name, value in checked_tags(tags).items():
        if not re.fullmatch(rf"[a-z][a-z0-9_-]{{0,{LONGEST_LABEL - 1}}}", name) or not re.fullmatch(
            rf"[a-z0-9_-]{{0,{LONGEST_LABEL}}}", value
        ):
            raise ConfigError(
                f"tags: {name!r}={value!r}: labels have at most {LONGEST_LABEL} small letters, digits, '_' and '-', and a"
                " name begins with a letter"
            )
    return dict(tags or {})
