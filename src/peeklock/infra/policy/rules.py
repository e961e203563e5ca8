"""Rules, and the resources that they check."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Resource:
    """One resource as a program registers it. Values that a preview does not know yet are left out of `props`; `refs` has the
    resources that they come from all the same."""

    type: str
    name: str
    urn: str
    props: Mapping[str, Any]
    """Properties by their names on the wire, such as `visibilityTimeoutSeconds`."""
    refs: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """URNs of the resources that a property comes from, by its name."""
    unknown: frozenset[str] = frozenset()
    """Properties with a value that is not known yet."""

    def document(self, name: str) -> Any:
        """Return a JSON property as data; None if it is unknown or not JSON."""
        text = self.props.get(name)
        try:
            return json.loads(text) if isinstance(text, str) else text
        except ValueError:
            return None

    def is_made_of(self, other: Resource, *names: str) -> bool:
        """Return whether one of these properties (by default any) comes from the other resource."""
        return any(other.urn in urns for name, urns in self.refs.items() if not names or name in names)

    def mentions(self, text: str) -> bool:
        """Return whether the text is a whole word anywhere in the properties."""
        return _has(self.props, text)


def _has(value: Any, text: str) -> bool:
    if isinstance(value, Mapping):
        return any(_has(item, text) for item in value.values())
    if isinstance(value, list | tuple):
        return any(_has(item, text) for item in value)
    return isinstance(value, str) and re.search(rf"(?<![\w-]){re.escape(text)}(?![\w-])", value) is not None


class Stack:
    """Resources of a stack."""

    def __init__(self, resources: Iterable[Resource]) -> None:
        self.resources = tuple(resources)

    def of(self, *types: str) -> Iterator[Resource]:
        """Return the resources of these types."""
        return (resource for resource in self.resources if resource.type in types)

    def made_of(self, other: Resource, type_: str, *names: str) -> list[Resource]:
        """Return the resources of one type in which one of these properties (by default any) comes from the other resource."""
        return [resource for resource in self.of(type_) if resource.is_made_of(other, *names)]


Found = Iterator[tuple[Resource, str]]

FEWEST_DELIVERIES = 100
"""Deliveries that a platform's own limit has to allow: those that are not attempts come on top of the queue's `max_attempts`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """Rule for a stack. `check` yields the resources that break it, each with a fix."""

    name: str
    cloud: str
    why: str
    source: str
    check: Callable[[Stack], Found]
    judges: frozenset[str] = frozenset()
    """Properties whose absence breaks the rule: a resource is not checked while one of them is unknown."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Violation:
    """One resource that breaks one rule."""

    rule: Rule
    resource: Resource
    fix: str

    def __str__(self) -> str:
        return f"{self.resource.name} ({self.resource.type}): {self.fix} [{self.rule.name}]"
