"""Roles of a consumer's service accounts, computed from the consumer. Nothing else is granted.

Roles: https://cloud.google.com/iam/docs/understanding-roles
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from peeklock.errors import ConfigError
from peeklock.infra.inputs import check_text, checked
from peeklock.queue import Queue

if TYPE_CHECKING:
    import pulumi


class Role(StrEnum):
    """Predefined roles."""

    ENQUEUER = "roles/cloudtasks.enqueuer"
    ACT_AS = "roles/iam.serviceAccountUser"
    PUBLISHER = "roles/pubsub.publisher"
    SUBSCRIBER = "roles/pubsub.subscriber"
    DATASTORE = "roles/datastore.user"
    INVOKER = "roles/run.invoker"
    LOGS = "roles/logging.logWriter"
    IMAGES = "roles/artifactregistry.writer"
    OBJECTS = "roles/storage.objectViewer"
    ENCRYPTER = "roles/cloudkms.cryptoKeyEncrypterDecrypter"
    SECRETS = "roles/secretmanager.secretAccessor"


@dataclass(frozen=True, slots=True, kw_only=True)
class Grant:
    """One role on one resource."""

    name: str
    """Unique within the consumer; names the resource."""
    role: Role
    on: str
    """`queue`, `caller` (the account that the queue's tasks are dispatched as), `dead_letters` or `store`."""
    why: str
    queue: str | None = None
    """Name of the queue of another consumer, where the resource belongs to that one."""


def grants(queue: Queue, uses: Iterable[Queue] = ()) -> tuple[Grant, ...]:
    """Return the grants of a consumer of `queue` that sends to `uses`."""
    other_queues = [used for used in uses if used.name != queue.name]
    return (
        *send_grants("delay", "publishes delayed copies"),
        Grant(name="dead-letter", role=Role.PUBLISHER, on="dead_letters", why="dead-letters with a reason"),
        Grant(name="remember", role=Role.DATASTORE, on="store", why="claims keys and records results"),
        *(grant for used in other_queues for grant in send_grants(f"send-{used.name}", "sends to it", used.name)),
    )


def send_grants(name: str, why: str, queue: str | None = None) -> tuple[Grant, ...]:
    """Return the grants to send. A task names the account that Cloud Tasks calls the function as, and its creator needs the
    permission to act as that account.
    https://cloud.google.com/tasks/docs/creating-http-target-tasks#sa"""
    return (
        Grant(name=name, role=Role.ENQUEUER, on="queue", why=why, queue=queue),
        Grant(name=f"{name}-as", role=Role.ACT_AS, on="caller", why=f"{why}, with the caller's token", queue=queue),
    )


CALLER = Grant(name="be-called", role=Role.INVOKER, on="function", why="calls the function; no other account may")
"""Grant of the account that the queue calls as."""

WRITE_LOGS = Grant(name="log", role=Role.LOGS, on="project", why="writes the logs of its builds")
READ_SOURCES = Grant(
    name="read-sources", role=Role.OBJECTS, on="sources", why="reads the bundle, and Google's copy of it"
)
STORE_IMAGES = Grant(name="store-images", role=Role.IMAGES, on="images", why="stores the images of the functions")
BUILDER = (WRITE_LOGS, READ_SOURCES, STORE_IMAGES)
"""Grants of the account of the builds. https://cloud.google.com/functions/docs/securing/build-custom-sa#grant_permissions"""

SOURCES = ("gcf-v2-sources-", "gcf-v2-uploads-", "run-sources-")
"""Beginnings of the buckets that Google copies sources to; the builds read the copy. They are made with a region's first
function, so that they cannot be granted themselves. See BUILDER."""

AGENT = Grant(name="encrypt", role=Role.ENCRYPTER, on="key", why="encrypts dead letters and store with your key")
"""Grant of Google's own accounts for Pub/Sub and Firestore."""

SECRET = Grant(name="read", role=Role.SECRETS, on="secret", why="reads the secrets in `secrets=`")
"""Grant of a consumer on each of its secrets."""

REDRIVE = Grant(name="redrive", role=Role.SUBSCRIBER, on="dead_letters", why="receives and deletes dead letters")
"""Grant of an operator on the dead letters."""


def redrive_grants() -> tuple[Grant, ...]:
    """Return the grants of an operator who redrives dead letters."""
    return (REDRIVE, *send_grants("put-back", "sends them to the queue"))


def only_database(database: str) -> dict[str, str]:
    """Return the condition that restricts a role on the project to one database. `database`: full name.
    https://cloud.google.com/firestore/docs/manage-databases#configure_per-database_access_permissions"""
    return {"title": "one-database", "expression": f'resource.name == "{database}"'}


def only_sources(bucket: str) -> dict[str, str]:
    """Return the condition that restricts a role on the project to objects with sources. `bucket`: name of the bundle's."""
    prefixes = (f"{bucket}/", *SOURCES)
    names = " || ".join(f'resource.name.startsWith("projects/_/buckets/{prefix}")' for prefix in prefixes)
    return {"title": "only-sources", "expression": f'resource.type == "storage.googleapis.com/Object" && ({names})'}


def checked_identity(identity: pulumi.Input[str]) -> pulumi.Input[str]:
    """Return a service account's address. Raises ConfigError, during the update for an output, for any other text."""

    def check(resolved: str) -> None:
        check_text("identity", resolved)
        if not re.fullmatch(r"[^@:/\s]+@[^@:/\s]+", resolved):
            raise ConfigError(
                f"identity={resolved!r}: use a service account's address, such as orders@shop.iam.gserviceaccount.com"
            )

    return checked(identity, check)


def member(identity: str) -> str:
    """Return an address as a member of a policy: a service account's, unless it has a kind already."""
    return identity if ":" in identity else f"serviceAccount:{identity}"
