"""Roles of a consumer's identity, computed from the consumer. Nothing else is granted, and no key is used."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum

from peeklock.queue import Queue

ROLES = "https://learn.microsoft.com/azure/role-based-access-control/built-in-roles"


class Role(Enum):
    """Built-in roles by their ids, which are the same in every tenant. See ROLES."""

    SERVICE_BUS_DATA_RECEIVER = "4f6d3b9b-027b-4f4c-9142-0e5a2a2247e0"
    SERVICE_BUS_DATA_SENDER = "69a216fc-b8fb-44d8-bc22-1f3c2cd27a39"
    STORAGE_BLOB_DATA_OWNER = "b7e6dc6d-f1e8-4753-8033-0f276bb0955b"
    STORAGE_BLOB_DATA_READER = "2a2b9908-6ea1-4ae2-8e65-a410df84e7d1"
    STORAGE_TABLE_DATA_CONTRIBUTOR = "0a9a7e1f-b9d0-4cc4-a60d-0319b160aaa3"
    MONITORING_METRICS_PUBLISHER = "3913510d-42f4-4e42-8a64-420c390055eb"

    def definition(self, scope: str) -> str:
        """Return the role's id as the platform returns it: within the subscription of the scope."""
        subscription = "/".join(scope.split("/")[:3]) if scope.startswith("/subscriptions/") else ""
        return f"{subscription}/providers/Microsoft.Authorization/roleDefinitions/{self.value}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Grant:
    """One role on one resource."""

    name: str
    """Unique within the consumer; names the resource."""
    role: Role
    on: str
    """`queue`, `dead_letters`, `table`, `host`, `packages` or `telemetry`; or `queue:<name>` of another consumer."""
    why: str


def grants(queue: Queue, uses: Iterable[Queue] = ()) -> tuple[Grant, ...]:
    """Return the grants of a consumer of `queue` that sends to `uses`.

    The receiver's role cannot read the queue's length; the platform then scales by the messages that it has peeked.
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
        Grant(
            name="host", role=Role.STORAGE_BLOB_DATA_OWNER, on="host", why="the host's leases, and its code's container"
        ),
        Grant(name="code", role=Role.STORAGE_BLOB_DATA_READER, on="packages", why="deployment fetches the package"),
        Grant(name="tell", role=Role.MONITORING_METRICS_PUBLISHER, on="telemetry", why="logs without a key"),
    )


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
