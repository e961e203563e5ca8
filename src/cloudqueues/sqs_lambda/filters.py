"""Filter criteria of an event source mapping, which choose the messages that the function gets. The others are deleted.

https://docs.aws.amazon.com/lambda/latest/dg/invocation-eventfiltering.html#filtering-syntax: the operators of Lambda,
which are fewer than EventBridge's. AWS promises filtering of SQS on `body` only; `attributes` and `messageAttributes`
match here as any other key of a record does.
"""

from __future__ import annotations

import json
import operator
from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from typing import Any

from cloudqueues.errors import ConfigError
from cloudqueues.quotas.aws import FILTER_CHARACTERS as MAX_PATTERN
from cloudqueues.quotas.aws import FILTERS as MAX_FILTERS
from cloudqueues.sqs_lambda.json_types import is_array, is_object

MISSING: Any = object()

Rule = Callable[[Any], bool]
"""Predicate for a value, or for MISSING."""

_COMPARISONS: Mapping[str, Callable[[Decimal, Decimal], bool]] = {
    "=": operator.eq,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}


class Filters:
    """Patterns, of which one has to match. Without patterns every message matches."""

    def __init__(self, patterns: Sequence[str | Mapping[str, Any]]) -> None:
        """Parse patterns: JSON objects, as text or parsed. Raises ConfigError for a pattern that Lambda refuses."""
        if len(patterns) > MAX_FILTERS:
            raise ConfigError(f"filters: at most {MAX_FILTERS}, not {len(patterns)}")
        self._patterns = [_Node(_parsed(pattern), "") for pattern in patterns]

    def match(self, record: Mapping[str, Any]) -> bool:
        """Return True if the function gets this record of an event."""
        if not self._patterns:
            return True
        readable = {**record, "body": _Body(record["body"])}
        return any(pattern.match(readable) for pattern in self._patterns)


class _Node:
    """Object of a pattern: all of its keys have to match, and one choice of each `$or`."""

    def __init__(self, pattern: Mapping[str, Any], where: str) -> None:
        if not pattern:
            raise ConfigError(f"filters: the pattern at {where or 'its top'} is empty")
        self.nodes: dict[str, _Node] = {}
        self.leaves: dict[str, list[Rule]] = {}
        self.choices: list[list[_Node]] = []
        for key, wanted in pattern.items():
            self._add(key, wanted, f"{where}.{key}".lstrip("."))

    def _add(self, key: str, wanted: Any, where: str) -> None:
        if key == "$or" and is_array(wanted):
            self.choices.append([_Node(_as_object(choice, where), where) for choice in wanted])
        elif is_object(wanted):
            self.nodes[key] = _Node(wanted, where)
        elif is_array(wanted) and wanted:
            self.leaves[key] = [_rule(rule, where) for rule in wanted]
        else:
            raise ConfigError(f"filters: {where} takes a list of rules or an object, not {wanted!r}")

    def match(self, value: Any) -> bool:
        """Return True if a value matches; an array matches if one of its elements does."""
        if isinstance(value, _Body):
            return value.parsed is not MISSING and self.match(value.parsed)
        if is_array(value):
            return any(self.match(element) for element in value)
        members = value if is_object(value) else {}
        return (
            all(node.match(members.get(key, MISSING)) for key, node in self.nodes.items())
            and all(_leaf(rules, members.get(key, MISSING)) for key, rules in self.leaves.items())
            and all(any(node.match(value) for node in choices) for choices in self.choices)
        )


def _leaf(rules: Sequence[Rule], value: Any) -> bool:
    """Return True if one of the rules matches. Rules are for leaves, so that an object or an empty array counts as missing."""
    if isinstance(value, _Body):
        return value.text is not MISSING and _leaf(rules, value.text)
    if is_array(value) and value:
        return any(_leaf(rules, element) for element in value)
    leaf = MISSING if (is_object(value) or is_array(value)) else value
    return any(rule(leaf) for rule in rules)


class _Body:
    """Body of a message: parsed JSON where it is an object or an array, else text."""

    def __init__(self, body: str) -> None:
        self.parsed = _as_json(body)
        self.text: Any = body if self.parsed is MISSING else MISSING


def _as_json(text: str) -> Any:
    """Return an object or an array, or MISSING for plain text. Numbers keep the form in which they are written."""
    try:
        value = json.loads(text, parse_float=Decimal)
    except (ValueError, RecursionError):
        return MISSING
    return value if (is_object(value) or is_array(value)) else MISSING


def _parsed(pattern: str | Mapping[str, Any]) -> Mapping[str, Any]:
    text = pattern if isinstance(pattern, str) else json.dumps(pattern)
    if len(text) > MAX_PATTERN:
        raise ConfigError(f"filters: a pattern has at most {MAX_PATTERN} characters, not {len(text)}")
    try:
        return _as_object(json.loads(text, parse_float=Decimal), "a pattern")
    except ValueError as exc:
        raise ConfigError(f"filters: a pattern is not JSON: {exc}") from exc


def _as_object(value: Any, where: str) -> Mapping[str, Any]:
    if not is_object(value):
        raise ConfigError(f"filters: {where} takes an object, not {value!r}")
    return value


def _rule(wanted: Any, where: str) -> Rule:
    if not is_object(wanted):
        return _equals(wanted, where)
    if len(wanted) != 1:
        raise ConfigError(f"filters: {where}: a rule has one operator, not {sorted(wanted)}")
    ((name, argument),) = wanted.items()
    maker = _OPERATORS.get(name)
    rule = None if maker is None else maker(argument)
    if rule is None:
        raise ConfigError(f"filters: {where}: Lambda has no operator {name!r} that takes {argument!r}")
    return rule


def _equals(wanted: Any, where: str) -> Rule:
    if is_array(wanted):
        raise ConfigError(f"filters: {where}: a list within a list")
    return lambda value: _same(value, wanted)


def _same(value: Any, wanted: Any) -> bool:
    """Compare numbers by their text, so that 300, 300.0 and 3.0e2 differ, and strings by their characters."""
    return type(value) is type(wanted) and str(value) == str(wanted)


def _equals_ignoring_case(argument: Any) -> Rule | None:
    if not isinstance(argument, str):
        return None
    return lambda value: isinstance(value, str) and value.casefold() == argument.casefold()


def _anything_but(argument: Any) -> Rule | None:
    unwanted = argument if is_array(argument) else [argument]
    if not unwanted or any(is_object(item) or is_array(item) for item in unwanted):
        return None
    return lambda value: value is not MISSING and not any(_same(value, item) for item in unwanted)


def _exists(argument: Any) -> Rule | None:
    if not isinstance(argument, bool):
        return None
    return lambda value: (value is not MISSING) == argument


def _prefix(argument: Any) -> Rule | None:
    return (lambda value: isinstance(value, str) and value.startswith(argument)) if isinstance(argument, str) else None


def _suffix(argument: Any) -> Rule | None:
    return (lambda value: isinstance(value, str) and value.endswith(argument)) if isinstance(argument, str) else None


def _numeric(argument: Any) -> Rule | None:
    """Return the rule of `["=", 100]`, or of a range such as `[">", 10, "<=", 20]`."""
    if not is_array(argument) or len(argument) not in {2, 4}:
        return None
    pairs = [(_COMPARISONS.get(str(argument[n])), _number(argument[n + 1])) for n in range(0, len(argument), 2)]
    checks = [(compare, number) for compare, number in pairs if compare is not None and number is not None]
    if len(checks) != len(pairs):
        return None

    def within(value: Any) -> bool:
        number = _number(value)
        return number is not None and all(compare(number, wanted) for compare, wanted in checks)

    return within


def _number(value: Any) -> Decimal | None:
    if isinstance(value, bool) or not isinstance(value, (int, Decimal)):
        return None
    return Decimal(value)


_OPERATORS: Mapping[str, Callable[[Any], Rule | None]] = {
    "equals-ignore-case": _equals_ignoring_case,
    "anything-but": _anything_but,
    "exists": _exists,
    "prefix": _prefix,
    "suffix": _suffix,
    "numeric": _numeric,
}
