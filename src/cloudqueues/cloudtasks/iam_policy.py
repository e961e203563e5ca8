"""IAM policy of a queue: stored and checked as by the service, and never enforced, as an emulator has no callers."""

from __future__ import annotations

import re
import secrets
from typing import Any

from cloudqueues.cloudtasks.errors import Code, Refused, invalid
from cloudqueues.cloudtasks.sdk import shared
from cloudqueues.cloudtasks.state import StoredQueue

NO_POLICY_ETAG = b"\x00\x20\x01"
_ROLE = re.compile(r"(organizations/[^/]+/|projects/[^/]+/)?roles/[^/]+")
_MEMBERS = ("user:", "serviceAccount:", "group:", "domain:", "principal:", "principalSet:", "deleted:")
_EVERYBODY = frozenset(["allUsers", "allAuthenticatedUsers"])
_PERMISSION = re.compile(r"[A-Za-z]+\.[A-Za-z]+\.[A-Za-z]+")
_OF_A_QUEUE = frozenset(
    f"cloudtasks.{name}"
    for name in (
        *(f"queues.{verb}" for verb in ("delete", "get", "getIamPolicy", "pause", "purge", "resume")),
        *("queues.setIamPolicy", "queues.update"),
        *(f"tasks.{verb}" for verb in ("create", "delete", "fullView", "get", "list", "run")),
    )
)
_NEWEST = 3


def get(queue: StoredQueue) -> Any:
    return queue.policy if queue.policy is not None else shared()["Policy"](etag=NO_POLICY_ETAG)


def put(queue: StoredQueue, requested: Any) -> Any:
    """Replace the policy of a queue. Raises Refused."""
    _check(requested)
    _check_etag(get(queue).etag, requested.etag)
    policy = shared()["Policy"](version=1, etag=secrets.token_bytes(8))
    members: dict[str, dict[str, None]] = {}
    for binding in requested.bindings:
        members.setdefault(binding.role, {}).update(dict.fromkeys(binding.members))
    for role, names in members.items():
        if names:
            policy.bindings.add(role=role, members=list(names))
    queue.policy = policy
    return policy


def _check(policy: Any) -> None:
    if policy.version > _NEWEST:
        raise invalid(
            f"Specified policy version ({policy.version}) is not supported. For more information, please refer to"
            " https://cloud.google.com/iam/help/allow-policies/versions."
        )
    for binding in policy.bindings:
        if not _ROLE.fullmatch(binding.role):
            raise invalid(
                'The role name must be in the form "roles/{role}", "organizations/{organization_id}/roles/{role}",'
                ' or "projects/{project_id}/roles/{role}".'
            )
        if binding.HasField("condition"):
            raise invalid("Can't set conditional policy on this resource")
        for member in binding.members:
            _check_member(member)


def _check_member(member: str) -> None:
    if member not in _EVERYBODY and not member.startswith(_MEMBERS):
        raise invalid(f"The member {member} is of an unknown type. Please set a valid type prefix for the member.")


def _check_etag(current: bytes, requested: bytes) -> None:
    if requested and requested != current:
        raise Refused(
            Code.ABORTED,
            "There were concurrent policy changes. Please retry the whole read-modify-write with exponential backoff."
            f" The request's ETag '{_octal(requested)}' did not match the current policy's ETag '{_octal(current)}'.",
        )


def _octal(data: bytes) -> str:
    """Escape bytes as in C."""
    return "".join(chr(byte) if 0x20 <= byte < 0x7F else f"\\{byte:03o}" for byte in data)  # noqa: PLR2004 - printable


def granted(permissions: list[str]) -> list[str]:
    """Return all of the permissions, since every caller may do everything. Raises Refused for an unknown one."""
    if not permissions:
        raise invalid("At least one permission must be specified.")
    for permission in permissions:
        if not _PERMISSION.fullmatch(permission):
            raise invalid(f"The permission {permission} is invalid.")
        if permission not in _OF_A_QUEUE:
            raise invalid(f"Permission {permission} is not valid for this resource.")
    return sorted(permissions)
