"""Roles of a consumer's identity, computed from the consumer. Nothing else is granted, and no key is used."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum
from typing import Any

from peeklock.errors import ConfigError
from peeklock.infra.inputs import check_text, is_given
from peeklock.keywords import nearest
from peeklock.queue import Queue

ROLES = "https://learn.microsoft.com/azure/role-based-access-control/built-in-roles"


class Role(Enum):
    """Built-in roles by their ids, which are the same in every tenant. See ROLES."""

    SERVICE_BUS_DATA_OWNER = "090c5cfd-751d-490a-894a-3ce6f1109419"
    SERVICE_BUS_DATA_RECEIVER = "4f6d3b9b-027b-4f4c-9142-0e5a2a2247e0"
    SERVICE_BUS_DATA_SENDER = "69a216fc-b8fb-44d8-bc22-1f3c2cd27a39"
    KEY_VAULT_SECRETS_USER = "4633458b-17de-408a-b874-0445c86b69e6"
    STORAGE_BLOB_DATA_CONTRIBUTOR = "ba92f5b4-2d11-453d-a403-e96b0029c9fe"
    STORAGE_BLOB_DATA_OWNER = "b7e6dc6d-f1e8-4753-8033-0f276bb0955b"
    STORAGE_BLOB_DATA_READER = "2a2b9908-6ea1-4ae2-8e65-a410df84e7d1"
    STORAGE_TABLE_DATA_CONTRIBUTOR = "0a9a7e1f-b9d0-4cc4-a60d-0319b160aaa3"
    MONITORING_METRICS_PUBLISHER = "3913510d-42f4-4e42-8a64-420c390055eb"

    def definition(self, scope: str) -> str:
        """Return the role's id as the platform returns it: within the subscription of the scope."""
        return definition(self.value, scope)


_GUID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)


def definition(role: str, scope: str) -> str:
    """Return the id of a role's definition, by the role's own id, within the subscription of the scope."""
    subscription = "/".join(scope.split("/")[:3]) if scope.startswith("/subscriptions/") else ""
    return f"{subscription}/providers/Microsoft.Authorization/roleDefinitions/{role}"


def role_id(role: Role | str) -> str:
    """Return the id of a role that a program names by its id or, for the roles that peeklock grants itself, by its name. Raises
    ConfigError for another name: the API takes ids only, and the ids of a tenant's own roles are known there alone."""
    if isinstance(role, Role):
        return role.value
    names = {member.name.replace("_", " ").title(): member.value for member in Role}
    if guid := names.get(role.removeprefix("Azure ")):
        return guid
    if _GUID.fullmatch(role):
        return role
    raise ConfigError(f"grants: role {role!r} is unknown; {nearest(role, list(names))}, or give its id; see {ROLES}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Grant:
    """One role on one resource."""

    name: str
    """Unique within the consumer; names the resource."""
    role: Role | str
    """In `app.consumer(grants=[...])` also a role's name, such as `Storage Blob Data Reader`, or its id."""
    on: Any
    """`queue`, `dead_letters`, `table`, `host`, `code`, `packages` or `telemetry`; or `queue:<name>` of another consumer. In
    `app.consumer(grants=[...])` `queue`, the consumer's own, or a resource's id, which may be an output."""
    why: str = ""


def grants(queue: Queue, uses: Iterable[Queue] = ()) -> tuple[Grant, ...]:
    """Return the grants of a consumer of `queue` that sends to `uses`.

    The receiver's role cannot read the queue's length. The platform then adds one instance after another, by the messages that it has
    peeked, instead of computing a target (https://github.com/Azure/azure-functions-host/issues/8892; it works, with warnings in the
    log of the scaling: https://github.com/Azure/Azure-Functions/issues/2379). Only Service Bus Data Owner may read the length, and
    it may also delete the queue: hence a program adds it itself, `Grant(name="scale", role="Service Bus Data Owner", on="queue")`.
    """
    return (
        Grant(name="receive", role=Role.SERVICE_BUS_DATA_RECEIVER, on="queue", why="receives and settles messages"),
        *_copies(queue),
        Grant(
            name="dead-letter", role=Role.SERVICE_BUS_DATA_SENDER, on="dead_letters", why="dead-letters with a reason"
        ),
        *(
            Grant(
                name=f"send-{used.name}", role=Role.SERVICE_BUS_DATA_SENDER, on=f"queue:{used.name}", why="sends to it"
            )
            for used in uses
            if used.name != queue.name or queue.fifo
        ),
        Grant(
            name="remember", role=Role.STORAGE_TABLE_DATA_CONTRIBUTOR, on="table", why="claims keys and records results"
        ),
        Grant(name="host", role=Role.STORAGE_BLOB_DATA_OWNER, on="host", why="the host's leases"),
        Grant(
            name="deploy", role=Role.STORAGE_BLOB_DATA_CONTRIBUTOR, on="code", why="the platform keeps its code there"
        ),
        Grant(name="code", role=Role.STORAGE_BLOB_DATA_READER, on="packages", why="deployment fetches the package"),
        Grant(name="tell", role=Role.MONITORING_METRICS_PUBLISHER, on="telemetry", why="logs without a key"),
    )


def check_principal(principal_id: str) -> None:
    """Raise ConfigError for a text that is no principal id."""
    check_text("accept: principal_id", principal_id)
    if not _GUID.fullmatch(principal_id):
        raise ConfigError(
            f"accept: principal_id={principal_id!r}: give the principal id of the topic's identity, such as"
            " topic.identity.principal_id"
        )


def check_grants(queue: Queue, extra: Iterable[Grant], uses: Iterable[Queue]) -> None:
    """Raise ConfigError for grants that Azure would refuse, and for names that are taken."""
    names = {grant.name for grant in grants(queue, uses)}
    for grant in extra:
        role_id(grant.role)
        if not re.fullmatch(r"[A-Za-z0-9-]+", grant.name):
            raise ConfigError(f"grants: name={grant.name!r}: use letters, digits and hyphens")
        if grant.name in names:
            raise ConfigError(f"grants: the name {grant.name!r} is taken; choose another one")
        if not is_given(grant.on):
            raise ConfigError(f"grants: {grant.name!r} is on nothing; give on=, a resource's id")
        names.add(grant.name)


def _copies(queue: Queue) -> tuple[Grant, ...]:
    """Return the grant for delayed copies. Messages of a session are never copied: the consumer waits within the lock."""
    if queue.fifo:
        return ()
    return (Grant(name="delay", role=Role.SERVICE_BUS_DATA_SENDER, on="queue", why="publishes delayed copies"),)


def send_grants() -> tuple[Grant, ...]:
    """Return the grants of a producer."""
    return (Grant(name="send", role=Role.SERVICE_BUS_DATA_SENDER, on="queue", why="sends to the queue"),)


def redrive_grants() -> tuple[Grant, ...]:
    """Return the grants of an operator who redrives dead letters."""
    return (
        Grant(
            name="redrive",
            role=Role.SERVICE_BUS_DATA_RECEIVER,
            on="dead_letters",
            why="receives and deletes dead letters",
        ),
        Grant(name="put-back", role=Role.SERVICE_BUS_DATA_SENDER, on="queue", why="sends them to the queue"),
    )
