"""Names that Google Cloud accepts, all known before anything is made.

A function's environment has its own address, for delayed copies, and its queue has it too: named by the program, neither
waits for the other. A name has the stack in it, since stacks may share a project.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass

from peeklock.errors import ConfigError
from peeklock.queue import Queue
from peeklock.quotas.google import ACCOUNT_NAME as LONGEST_ACCOUNT
from peeklock.quotas.google import LABEL as LONGEST_LABEL
from peeklock.quotas.google import SERVICE_NAME as LONGEST_SERVICE

DIGITS = 6
"""Of a digest, where a name has to be cut."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where an app is."""

    project: str
    region: str
    app: str
    stack: str

    def __post_init__(self) -> None:
        if not re.fullmatch(r"[a-z][a-z0-9-]*", self.app):
            raise ConfigError(
                f"app {self.app!r}: use small letters, digits and '-', beginning with a letter, as Google's names have them"
            )

    def named(self, *words: str, most: int = LONGEST_LABEL) -> str:
        """The app's name for something. One that is too long is cut, and ends with some of its digest."""
        name = slug("-".join((self.app, *words, self.stack)))
        if len(name) <= most:
            return name
        return f"{name[: most - DIGITS - 1].rstrip('-')}-{hashlib.sha256(name.encode()).hexdigest()[:DIGITS]}"

    def account(self, *words: str) -> str:
        """A service account's id."""
        return self.named(*words, most=LONGEST_ACCOUNT)

    def service(self, queue: Queue) -> str:
        """The function's name, its service's and its queue's. Raises ConfigError for one that is too long."""
        name = slug(f"{self.app}-{queue.name}-{self.stack}")
        if len(name) > LONGEST_SERVICE:
            raise ConfigError(
                f"{name!r} has {len(name)} characters, and a service's name at most {LONGEST_SERVICE}; shorten app"
                f" {self.app!r}, queue {queue.name!r} or stack {self.stack!r} by {len(name) - LONGEST_SERVICE}"
            )
        return name

    def email(self, account: str) -> str:
        """A service account's address."""
        return f"{account}@{self.project}.iam.gserviceaccount.com"

    def host(self) -> str:
        """Where a region's functions are called.
        https://cloud.google.com/functions/docs/writing/write-http-functions#http_trigger_urls"""
        return f"{self.region}-{self.project}.cloudfunctions.net"

    def url(self, service: str) -> str:
        """A function's: its tokens' audience, too."""
        return f"https://{self.host()}/{service}"

    def queue(self, service: str, suffix: str | None = None) -> str:
        """A Cloud Tasks queue's whole name: as its service, with a suffix where there is one. Raises ConfigError for one
        that is none."""
        if suffix is not None and not re.fullmatch(r"[a-z0-9-]{1,20}", suffix):
            raise ConfigError(f"suffix={suffix!r}: use up to 20 small letters, digits and '-', such as suffix='2'")
        short = service if suffix is None else f"{service}-{suffix}"
        return f"projects/{self.project}/locations/{self.region}/queues/{short}"


def slug(text: str) -> str:
    """Small letters, digits and single hyphens."""
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")


def label(text: str) -> str:
    """A label's value."""
    return re.sub(r"[^a-z0-9_-]", "-", text.lower())[:LONGEST_LABEL]


def parts(name: str, *kinds: str) -> tuple[str, ...]:
    """The words after `kinds` in a whole name, such as `projects/shop/topics/dead`. Raises ConfigError for another form."""
    words = name.split("/")
    if tuple(words[::2]) != kinds or len(words) % 2 or not all(words):
        form = "/".join(f"{kind}/..." for kind in kinds)
        raise ConfigError(f"{name!r} is no whole name of the form {form}; copy it from the resource's page")
    return tuple(words[1::2])
