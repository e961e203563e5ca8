"""What a stand-in provider does with a resource of one type, and the decisions about it that need no emulator."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from cloudqueues.pulumi import invented, schema
from cloudqueues.pulumi.wire import UNKNOWN

Values = Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """A type that is applied to an emulator. Names are the wire's; each call raises what the emulator's client raises."""

    create: Callable[[Values], tuple[str, Values]]
    """From the inputs: the id, and the outputs that are not among the inputs."""
    read: Callable[[str, Values], Values | None]
    """From the id and what was known: what is there now, or None where nothing is."""
    update: Callable[[str, Values, Values], Values]
    """From the id, the old state and the new inputs: the outputs that changed."""
    delete: Callable[[str, Values], None]
    """From the id and the state. What is gone already is no error."""
    replaces: frozenset[str]
    """Inputs that the real service does not change: the provider makes a new one instead."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cloud:
    """One provider: what it applies, what it only records, and what a program may ask. It refuses all other types."""

    package: str
    applied: Mapping[str, Kind]
    recorded: frozenset[str]
    functions: Mapping[str, Callable[[Values], Values]]
    close: Callable[[], None] = lambda: None

    def refusal(self, type_: str) -> str | None:
        """Why a type is not taken, or None where it is."""
        if type_ in self.applied or type_ in self.recorded:
            return None
        return (
            f"{type_} is neither applied nor recorded by the stand-in for {self.package}: leave it out of this stack, or"
            f" add it to RECORDED in cloudqueues.pulumi.{self.package.partition('-')[0]}. It applies"
            f" {', '.join(sorted(self.applied))}; it records {', '.join(sorted(self.recorded))}."
        )

    def how(self, type_: str) -> str:
        """Of a type that is taken."""
        return "applied" if type_ in self.applied else "recorded"

    def replaces(self, type_: str) -> frozenset[str]:
        """Of a recorded type: what says which one it is."""
        return self.applied[type_].replaces if type_ in self.applied else IDENTITY | {invented.named_by(type_)}


IDENTITY = frozenset(
    {
        "name",
        "namePrefix",
        "location",
        "project",
        "resourceGroupName",
        "namespaceName",
        "topicName",
        "scope",
        "accountId",
    }
)


def differences(old: Values, new: Values, replaces: Iterable[str], ignored: Iterable[str]) -> dict[str, str]:
    """The inputs that differ, each with the kind of its difference as provider.proto calls it."""
    found: dict[str, str] = {}
    for name in sorted((set(old) | set(new)) - set(ignored)):
        if not same(old.get(name), new.get(name)):
            kind = "ADD" if name not in old else "DELETE" if name not in new else "UPDATE"
            found[name] = f"{kind}_REPLACE" if name in set(replaces) else kind
    return found


def same(one: Any, other: Any) -> bool:
    """Whether two values mean the same to a service: documents in JSON are compared by what they say."""
    return bool(_read(one) == _read(other))


def _read(value: Any) -> Any:
    if isinstance(value, str) and value[:1] in {"{", "["}:
        try:
            return json.loads(value)
        except ValueError:
            return value
    return value


def refreshed(known: Values, live: Values) -> dict[str, Any]:
    """What was known, with what is there now; where both mean the same, as it was written."""
    return {name: value if name not in live or same(value, live[name]) else live[name] for name, value in known.items()}


def unknown_beyond(inputs: Values, state: Values) -> dict[str, Any]:
    """The state, with UNKNOWN for whatever the inputs do not say, at all depths."""
    known: dict[str, Any] = {}
    for name, value in state.items():
        said = inputs.get(name)
        both = isinstance(said, dict) and isinstance(value, dict)
        known[name] = UNKNOWN if said is None else unknown_beyond(said, value) if both else value
    return known


UNBROKEN = frozenset({"azure-native:storage:StorageAccount", "azure-native:storage:Table"})
"""Types whose names have letters and digits only.
https://learn.microsoft.com/azure/azure-resource-manager/management/resource-name-rules#microsoftstorage"""


def named(type_: str, name: str, seed: bytes, news: Values, olds: Values) -> dict[str, Any]:
    """The inputs, with a physical name where the program gave none: its own name and some digits, and the same for as
    long as the resource is. https://www.pulumi.com/docs/iac/concepts/resources/names/#autonaming"""
    key = invented.named_by(type_)
    if key not in schema.inputs(type_) or news.get(key) or news.get("namePrefix"):
        return dict(news)
    digits = hashlib.sha256(seed + name.encode()).hexdigest()
    suffix = ".fifo" if news.get("fifoQueue") else ""
    between = "" if type_ in UNBROKEN else "-"
    return {**news, key: olds.get(key) or f"{name}{between}{digits[:7]}{suffix}"}
