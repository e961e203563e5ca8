"""Secrets of a handler: references to Secret Manager, which Cloud Run resolves when an instance starts."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import pulumi

from peeklock.errors import ConfigError
from peeklock.infra.gcp import iam_members
from peeklock.infra.gcp.identity import SECRET
from peeklock.infra.inputs import checked

_FORM = re.compile(r"projects/[^/]+/secrets/[^/]+(?:/versions/(?:latest|\d+))?")
LATEST = "latest"
"""Version that is read when an instance starts: a rotated secret reaches new instances only.
https://cloud.google.com/run/docs/configuring/services/secrets"""


def check_secret(argument: str, reference: object) -> None:
    """Raise ConfigError for what is no full name of a secret. The error does not show it: it may be the secret."""
    if not isinstance(reference, str) or not _FORM.fullmatch(reference):
        raise ConfigError(
            f"{argument}: give the full name of a secret in Secret Manager, such as projects/shop/secrets/gateway or"
            " projects/shop/secrets/gateway/versions/3, not its value"
        )


def references(secrets: Mapping[str, pulumi.Input[str]]) -> dict[str, pulumi.Input[str]]:
    """Return references by variable. Raises ConfigError, during the update for outputs, for other texts."""

    def reference(name: str, value: pulumi.Input[str]) -> pulumi.Input[str]:
        return checked(value, lambda resolved: check_secret(f"secrets[{name!r}]", resolved))

    return {name: reference(name, value) for name, value in secrets.items()}


def environment(secrets: Mapping[str, pulumi.Input[str]]) -> list[Any]:
    """Return the function's variables that hold secrets."""
    return [
        pulumi.Output.all(name, value).apply(lambda resolved: _variable(*resolved)) for name, value in secrets.items()
    ]


def _variable(name: str, reference: str) -> dict[str, str]:
    _, project, _, secret, *version = reference.split("/")
    return {"key": name, "project_id": project, "secret": secret, "version": version[-1] if version else LATEST}


def grant(name: str, reference: pulumi.Input[str], member: Any, opts: pulumi.ResourceOptions) -> Any:
    """Let the member read a secret."""
    secret = pulumi.Output.from_input(reference).apply(lambda text: text.partition("/versions/")[0])
    return iam_members.on_secret(name, secret, SECRET.role.value, member, opts)
