"""What a rule is, and what it is asked about."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Resource:
    """One resource as a program registers it. What a preview does not know yet is left out of `props`; what it is made of is
    in `refs` all the same."""

    type: str
    name: str
    urn: str
    props: Mapping[str, Any]
    """By the wire's names, such as `visibilityTimeoutSeconds`."""
    refs: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """URNs that a property is made of, by its name."""
    unknown: frozenset[str] = frozenset()
    """Properties of which something is not known yet."""

    def document(self, name: str) -> Any:
        """A property that is JSON; None where it is not known, or none."""
        text = self.props.get(name)
        try:
            return json.loads(text) if isinstance(text, str) else text
        except ValueError:
            return None

    def is_made_of(self, other: Resource, *names: str) -> bool:
        """Whether one of its properties is: of these, or any."""
        return any(other.urn in urns for name, urns in self.refs.items() if not names or name in names)

    def mentions(self, text: str) -> bool:
        """Anywhere in its properties, as a whole word."""
        return _has(self.props, text)


def _has(value: Any, text: str) -> bool:
    if isinstance(value, Mapping):
        return any(_has(one, text) for one in value.values())
    if isinstance(value, list | tuple):
        return any(_has(one, text) for one in value)
    return isinstance(value, str) and re.search(rf"(?<![\w-]){re.escape(text)}(?![\w-])", value) is not None


class Stack:
    """All resources, by type."""

    def __init__(self, resources: Iterable[Resource]) -> None:
        self.resources = tuple(resources)

    def of(self, *types: str) -> Iterator[Resource]:
        return (one for one in self.resources if one.type in types)

    def made_of(self, other: Resource, type_: str, *names: str) -> list[Resource]:
        """Of one type, those that one of these properties (or any) connects with it."""
        return [one for one in self.of(type_) if one.is_made_of(other, *names)]


Found = Iterator[tuple[Resource, str]]

FEWEST_DELIVERIES = 100
"""Deliveries that a platform's own limit has to allow: those that are no attempts come on top of the queue's `max_attempts`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """`check` yields resources that break it, each with what to do."""

    name: str
    cloud: str
    why: str
    source: str
    check: Callable[[Stack], Found]
    judges: frozenset[str] = frozenset()
    """Properties whose absence breaks it: a resource is not judged while one of them is not known."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Violation:
    """One resource and one rule."""

    rule: Rule
    resource: Resource
    fix: str

    def __str__(self) -> str:
        return f"{self.resource.name} ({self.resource.type}): {self.fix} [{self.rule.name}]"
