"""Physical names of resources whose program gives none, as each provider makes them.

https://www.pulumi.com/docs/iac/concepts/resources/names/#autonaming
"""

from __future__ import annotations

import hashlib
import uuid
from dataclasses import dataclass
from typing import Any, Literal

from cloudqueues.pulumi import fake_outputs, schema
from cloudqueues.pulumi.resources import MissingInput, Values

COPIED = frozenset(
    f"azure-native:{name}"
    for name in (
        "servicebus:Queue",
        "servicebus:Rule",
        "servicebus:Subscription",
        "servicebus:Topic",
        "storage:Blob",
        "storage:BlobContainer",
        "storage:Table",
    )
)
"""Types below another resource: azure-native copies their name without a suffix (`AutoNameCopy`).
https://github.com/pulumi/pulumi-azure-native/blob/master/provider/pkg/provider/provider.go (getDefaultName)"""

UUID_NAMED = frozenset({"azure-native:authorization:RoleAssignment"})
"""Types that azure-native names by a UUID (`AutoNameUuid`)."""

AZURE_DIGITS, BRIDGED_DIGITS = 8, 7
"""Hexadecimal digits of a suffix: azure-native adds them without a hyphen, and the providers that are bridged from
Terraform (aws, gcp) after one.
https://github.com/pulumi/pulumi-terraform-bridge/blob/main/pkg/tfbridge/info/autonaming.go"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Autonaming:
    """Name that the engine computed from the stack's setting `pulumi:autonaming`.
    https://www.pulumi.com/docs/iac/concepts/resources/names/#configuring-auto-naming"""

    mode: Literal["PROPOSE", "ENFORCE", "DISABLE"]
    proposed_name: str


def with_name(
    type_: str,
    name: str,
    seed: bytes,
    news: Values,
    olds: Values,
    autonaming: Autonaming | None = None,
) -> dict[str, Any]:
    """Return the inputs with a physical name, which stays the same as long as the resource exists.

    `name` is the resource's name in its program, `seed` the engine's. Raises MissingInput where the stack disables
    automatic names.
    """
    key = fake_outputs.name_property(type_)
    if key not in schema.inputs(type_) or news.get(key) or news.get("namePrefix"):
        return dict(news)
    if olds.get(key):
        return {**news, key: olds[key]}
    return {**news, key: _new_name(type_, name, seed, autonaming, fifo=bool(news.get("fifoQueue")))}


def _new_name(type_: str, name: str, seed: bytes, autonaming: Autonaming | None, *, fifo: bool) -> str:
    suffix = ".fifo" if fifo else ""
    if autonaming is None or (autonaming.mode == "PROPOSE" and type_ in UUID_NAMED):
        return _default_name(type_, name, seed) + suffix
    if autonaming.mode == "DISABLE":
        key = fake_outputs.name_property(type_)
        raise MissingInput(f"{key}: automatic naming is disabled (pulumi:autonaming), so the program must set {key}")
    if autonaming.mode == "ENFORCE":
        return autonaming.proposed_name
    return autonaming.proposed_name.removesuffix(suffix) + suffix


def _default_name(type_: str, name: str, seed: bytes) -> str:
    digits = hashlib.sha256(seed + name.encode()).hexdigest()
    if type_ in COPIED:
        return name
    if type_ in UUID_NAMED:
        return str(uuid.UUID(digits[:32]))
    if type_.startswith("azure-native:"):
        return name + digits[:AZURE_DIGITS]
    return f"{name}-{digits[:BRIDGED_DIGITS]}"
