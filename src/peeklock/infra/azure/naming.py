"""Names that Azure accepts, and parts of resource ids."""

from __future__ import annotations

import hashlib
import re
from typing import TYPE_CHECKING

from peeklock.errors import ConfigError
from peeklock.infra.inputs import check_text, checked
from peeklock.quotas import azure as quotas

if TYPE_CHECKING:
    import pulumi


ADDED = 8
"""Characters that Pulumi adds to a name. https://www.pulumi.com/docs/iac/concepts/resources/names/#autonaming"""

APP_NAME = quotas.APP_NAME - len("-") - ADDED
ACCOUNT_NAME = quotas.ACCOUNT_NAME - ADDED
"""Longest name of a storage account, which has small letters and digits only."""


KINDS = {
    "namespace": "namespaces",
    "store": "tables",
    "subnet": "subnets",
    "workspace": "workspaces",
    "vault": "vaults",
}
"""Type in the id of an existing resource, by argument."""


def function_app(app: str, queue: str) -> str:
    """Return the function app's resource name. Raises ConfigError for a name that is too long."""
    name = re.sub(r"[^a-z0-9]+", "-", f"{app}-{queue}".lower()).strip("-")
    if len(name) > APP_NAME:
        raise ConfigError(
            f"{name!r} has {len(name)} characters, and a function app's name at most {APP_NAME} before Pulumi's own; shorten"
            f" the app's name {app!r} or the queue's"
        )
    return name


def account(app: str, suffix: str) -> str:
    """Return a storage account's resource name."""
    alphanumeric = re.sub(r"[^a-z0-9]", "", app.lower())
    return alphanumeric[: ACCOUNT_NAME - len(suffix)] + suffix


def host_id(app: str, queue: str, stack: str) -> str:
    """Return the name under which an app's host takes its leases. The default is the first 32 characters of the app's name, so
    that two apps with the same beginning would exclude each other.
    https://learn.microsoft.com/azure/azure-functions/storage-considerations#host-id-considerations"""
    return hashlib.sha256(f"{app}/{queue}/{stack}".encode()).hexdigest()[:32]


def part(id_: str, kind: str) -> str:
    """Return the name after `kind` in an id such as `/subscriptions/.../namespaces/shop/queues/orders`. Raises ConfigError for an id
    without it."""
    pieces = id_.split("/")
    lower = [piece.lower() for piece in pieces]
    try:
        return pieces[lower.index(kind.lower()) + 1]
    except (ValueError, IndexError):
        raise ConfigError(
            f"{id_!r} is not a resource id with /{kind}/; copy it from the resource's JSON view"
        ) from None


def parent(id_: str, kind: str) -> str:
    """Return the id up to and including the name after `kind`. Raises ConfigError for an id without it."""
    name = part(id_, kind)
    return id_[: id_.lower().index(f"/{kind.lower()}/") + len(kind) + 2] + name


def resource_id(argument: str, id_: pulumi.Input[str], kind: str) -> pulumi.Input[str]:
    """Return a resource id. Raises ConfigError, during the update for an output, for one of another kind."""
    return checked(id_, lambda resolved: check_id(argument, resolved, kind))


def check_id(argument: str, id_: str, kind: str) -> None:
    """Raise ConfigError for a text that is no resource id of this kind."""
    check_text(argument, id_)
    try:
        part(id_, kind)
    except ConfigError as error:
        raise ConfigError(f"{argument}: {error}") from None
    if kind == "subnets" and "_" in part(id_, kind):
        raise ConfigError(
            f"{argument}={id_!r}: Flex Consumption takes no subnet with an underscore in its name; use another one"
        )
