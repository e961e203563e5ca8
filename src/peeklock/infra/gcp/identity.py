"""What a consumer's service accounts may do, computed from what the consumer does. Nothing else is granted.

Roles: https://cloud.google.com/iam/docs/understanding-roles
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from peeklock.queue import Queue


class Role(StrEnum):
    """Predefined roles."""

    ENQUEUER = "roles/cloudtasks.enqueuer"
    ACT_AS = "roles/iam.serviceAccountUser"
    PUBLISHER = "roles/pubsub.publisher"
    SUBSCRIBER = "roles/pubsub.subscriber"
    DATASTORE = "roles/datastore.user"
    INVOKER = "roles/run.invoker"
    BUILDER = "roles/cloudbuild.builds.builder"
    ENCRYPTER = "roles/cloudkms.cryptoKeyEncrypterDecrypter"


@dataclass(frozen=True, slots=True, kw_only=True)
class Grant:
    """One role on one thing."""

    name: str
    """Unique within the consumer; names the resource."""
    role: Role
    on: str
    """`queue`, `caller` (the account that the queue's tasks are dispatched as), `dead_letters` or `store`."""
    why: str
    queue: str | None = None
    """The name of another consumer's queue, whose it is."""


def grants(queue: Queue, uses: Iterable[Queue] = ()) -> tuple[Grant, ...]:
    """The grants of a consumer of `queue` that sends to `uses`."""
    others = [one for one in uses if one.name != queue.name]
    return (
        *send_grants("delay", "publishes delayed copies"),
        Grant(name="dead-letter", role=Role.PUBLISHER, on="dead_letters", why="dead-letters with a reason"),
        Grant(name="remember", role=Role.DATASTORE, on="store", why="claims keys and records results"),
        *(grant for one in others for grant in send_grants(f"send-{one.name}", "sends to it", one.name)),
    )


def send_grants(name: str, why: str, queue: str | None = None) -> tuple[Grant, ...]:
    """A task carries the account that Cloud Tasks calls the function as, and who creates it must be allowed to say so.
    https://cloud.google.com/tasks/docs/creating-http-target-tasks#sa"""
    return (
        Grant(name=name, role=Role.ENQUEUER, on="queue", why=why, queue=queue),
        Grant(name=f"{name}-as", role=Role.ACT_AS, on="caller", why=f"{why}, with the caller's token", queue=queue),
    )


CALLER = Grant(name="be-called", role=Role.INVOKER, on="function", why="calls the function, and nobody else may")
"""Of the account that the queue calls as."""

BUILDER = Grant(name="build", role=Role.BUILDER, on="project", why="builds the functions from the bundle")
"""Of the account that builds."""

AGENT = Grant(
    name="encrypt", role=Role.ENCRYPTER, on="key", why="encrypts dead letters and store with the key of your own"
)
"""Of Google's own accounts for Pub/Sub and Firestore."""

TAKER = Grant(name="redrive", role=Role.SUBSCRIBER, on="dead_letters", why="takes dead letters out")


def redrive_grants() -> tuple[Grant, ...]:
    """An operator's."""
    return (TAKER, *send_grants("put-back", "puts them back"))


def only(database: str) -> dict[str, str]:
    """The condition that keeps a role on the project to one database; its whole name.
    https://cloud.google.com/firestore/docs/manage-databases#configure_per-database_access_permissions"""
    return {"title": "one-database", "expression": f'resource.name == "{database}"'}


def member(identity: str) -> str:
    """As policies name a service account, given its address; what has a kind already stays."""
    return identity if ":" in identity else f"serviceAccount:{identity}"
