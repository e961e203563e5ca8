"""Resource types of a stand-in provider, and how their inputs are compared with their state. Nothing here needs an emulator."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from cloudqueues.pulumi import fake_outputs
from cloudqueues.pulumi.wire import UNKNOWN

Values = Mapping[str, Any]


class MissingInput(ValueError):
    """A resource lacks an input that only its program or its stack can give. The message is `property: reason`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ResourceHandler:
    """Operations of a type that is applied to an emulator. Property names are camelCase; each call raises what the
    emulator's client raises."""

    create: Callable[[Values], tuple[str, Values]]
    """Create from the inputs; return the id, and the outputs that are not among the inputs."""
    read: Callable[[str, Values], Values | None]
    """Return the live values for an id and its last state; None where nothing exists."""
    update: Callable[[str, Values, Values], Values]
    """Update from the id, the old state and the new inputs; return the outputs that changed."""
    delete: Callable[[str, Values], None]
    """Delete by the id and the state. Succeeds for a resource that is gone already."""
    replaces: frozenset[str]
    """Inputs that the real service cannot change: the provider replaces the resource instead."""


def _any_config(_: Values) -> Iterable[str]:
    return ()


def _no_defaults(_type: str, inputs: Values, _config: Values) -> Values:
    return inputs


def _no_parent(_type: str, inputs: Values, _checked: Mapping[tuple[str, str], Values]) -> Values:
    return inputs


@dataclass(frozen=True, slots=True, kw_only=True)
class Cloud:
    """One provider: the types it applies, those it only records, and the functions it answers. It refuses all other types."""

    package: str
    applied: Mapping[str, ResourceHandler]
    recorded: frozenset[str]
    functions: Mapping[str, Callable[[Values], Values]]
    config_problems: Callable[[Values], Iterable[str]] = _any_config
    """Problems of the provider's configuration, each as `property: reason`."""
    with_defaults: Callable[[str, Values, Values], Values] = _no_defaults
    """Inputs of a type, completed from the provider's configuration. Raises MissingInput."""
    with_parent: Callable[[str, Values, Mapping[tuple[str, str], Values]], Values] = _no_parent
    """Inputs of a type, with those of its parent where `rules` compare them: all inputs are given by type and name."""
    close: Callable[[], None] = lambda: None

    def refusal(self, type_: str) -> str | None:
        """Return why a type is refused, or None where it is accepted."""
        if type_ in self.applied or type_ in self.recorded:
            return None
        return (
            f"{type_} is neither applied nor recorded by the stand-in for {self.package}: leave it out of this stack, or"
            f" add it to RECORDED in cloudqueues.pulumi.{self.package.partition('-')[0]}. It applies"
            f" {', '.join(sorted(self.applied))}; it records {', '.join(sorted(self.recorded))}."
        )

    def how(self, type_: str) -> str:
        """Return `applied` or `recorded` for an accepted type."""
        return "applied" if type_ in self.applied else "recorded"

    def replaces(self, type_: str) -> frozenset[str]:
        """Return the inputs whose change replaces a resource; for a recorded type those that identify it."""
        return self.applied[type_].replaces if type_ in self.applied else IDENTITY | {fake_outputs.name_property(type_)}


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
"""Inputs that identify a resource of any recorded type."""


def differences(old: Values, new: Values, replaces: Iterable[str], ignored: Iterable[str]) -> dict[str, str]:
    """Return the inputs that differ, each with the kind of its difference as in provider.proto."""
    kinds: dict[str, str] = {}
    for name in sorted((set(old) | set(new)) - set(ignored)):
        if not same(old.get(name), new.get(name)):
            kind = "ADD" if name not in old else "DELETE" if name not in new else "UPDATE"
            kinds[name] = f"{kind}_REPLACE" if name in set(replaces) else kind
    return kinds


def same(value: Any, other: Any) -> bool:
    """Return whether two values are equal to a service: JSON documents are compared by their content."""
    return bool(_parsed(value) == _parsed(other))


def _parsed(value: Any) -> Any:
    if isinstance(value, str) and value[:1] in {"{", "["}:
        try:
            return json.loads(value)
        except ValueError:
            return value
    return value


def refreshed(state: Values, live: Values) -> dict[str, Any]:
    """Return the state with the live values; where both are equal to the service, the state's own spelling stays."""
    return {name: value if name not in live or same(value, live[name]) else live[name] for name, value in state.items()}


def unknown_beyond(inputs: Values, state: Values) -> dict[str, Any]:
    """Return the state with UNKNOWN for every value that the inputs do not contain, at all depths."""
    values: dict[str, Any] = {}
    for name, value in state.items():
        input_value = inputs.get(name)
        both = isinstance(input_value, dict) and isinstance(value, dict)
        values[name] = UNKNOWN if input_value is None else unknown_beyond(input_value, value) if both else value
    return values
