"""Names that Azure accepts, and the parts of a resource's id."""

from __future__ import annotations

import hashlib
import re

from peeklock.errors import ConfigError
from peeklock.quotas import azure as quotas

ADDED = 8
"""Characters that Pulumi adds to a name. https://www.pulumi.com/docs/iac/concepts/resources/names/#autonaming"""

APP_NAME = quotas.APP_NAME - len("-") - ADDED
ACCOUNT_NAME = quotas.ACCOUNT_NAME - ADDED
"""Of small letters and digits only."""


def function_app(app: str, queue: str) -> str:
    """The resource's name. Raises ConfigError for one that is too long."""
    name = re.sub(r"[^a-z0-9]+", "-", f"{app}-{queue}".lower()).strip("-")
    if len(name) > APP_NAME:
        raise ConfigError(
            f"{name!r} has {len(name)} characters, and a function app's name at most {APP_NAME} before Pulumi's own; shorten"
            f" the app's name {app!r} or the queue's"
        )
    return name


def account(app: str, suffix: str) -> str:
    """A storage account's resource name."""
    letters = re.sub(r"[^a-z0-9]", "", app.lower())
    return letters[: ACCOUNT_NAME - len(suffix)] + suffix


def host_id(app: str, queue: str, stack: str) -> str:
    """The name by which an app's host takes its leases. Left to the host it is the first 32 characters of the app's name,
    and two apps that begin alike would take turns.
    https://learn.microsoft.com/azure/azure-functions/storage-considerations#host-id-considerations"""
    return hashlib.sha256(f"{app}/{queue}/{stack}".encode()).hexdigest()[:32]


def part(id_: str, kind: str) -> str:
    """The name after `kind` in an id such as `/subscriptions/.../namespaces/shop/queues/orders`. Raises ConfigError."""
    pieces = id_.split("/")
    lower = [one.lower() for one in pieces]
    try:
        return pieces[lower.index(kind.lower()) + 1]
    except (ValueError, IndexError):
        raise ConfigError(f"{id_!r} is no resource id with /{kind}/; copy it from the resource's JSON view") from None


def parent(id_: str, kind: str) -> str:
    """The id up to and with the name after `kind`. Raises ConfigError as `part`."""
    name = part(id_, kind)
    return id_[: id_.lower().index(f"/{kind.lower()}/") + len(kind) + 2] + name
