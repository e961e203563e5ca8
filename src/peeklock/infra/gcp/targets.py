"""Queues as others send to them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pulumi

from peeklock.errors import ConfigError
from peeklock.infra.deployed import Deployed
from peeklock.infra.gcp.naming import parts
from peeklock.infra.inputs import check_text

ACCOUNTS = ".iam.gserviceaccount.com"
"""End of the addresses of a project's service accounts, after its id.
https://cloud.google.com/iam/docs/service-account-types#user-managed"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """Queue that a consumer or producer sends to."""

    queue: pulumi.Input[str]
    """Full name."""
    caller: pulumi.Input[str]
    """Full name of the account that the queue's tasks are dispatched as."""
    after: tuple[Any, ...] = ()
    """Resources to make before a grant on the queue."""


def target_of(other: Deployed) -> Target:
    """Return the target of another app's queue."""
    return Target(queue=other.output("resource", _check_queue), caller=address_of(other).apply(_caller))


def address_of(other: Deployed) -> pulumi.Output[str]:
    """Return the address of another app's queue."""
    return other.output("queue", _check_address)


def _check_queue(argument: str, value: str) -> None:
    check_text(argument, value)
    try:
        parts(value, "projects", "locations", "queues")
    except ConfigError as exc:
        raise ConfigError(f"{argument}: {exc}") from None


def _check_address(argument: str, value: str) -> None:
    check_text(argument, value)
    if not value.startswith("cloudtasks://") or not _email(value).endswith(ACCOUNTS):
        raise ConfigError(
            f"{argument}: give the address of a Cloud Tasks queue, cloudtasks://..., with the service_account that its tasks"
            " are dispatched as"
        )


def _email(address: str) -> str:
    return parse_qs(urlsplit(address).query).get("service_account", [""])[-1]


def _caller(address: str) -> str:
    """Return the full name of the account in an address."""
    email = _email(address)
    project = email.partition("@")[2].removesuffix(ACCOUNTS)
    return f"projects/{project}/serviceAccounts/{email}"
