"""Rules as clients write and read them on a management node.

https://learn.microsoft.com/azure/service-bus-messaging/service-bus-amqp-request-response#rule-operations
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from peeklock.emulators.servicebus import encode
from peeklock.emulators.servicebus.decode import mapped
from peeklock.emulators.servicebus.errors import ARGUMENT, NOT_IMPLEMENTED, Refused
from peeklock.emulators.servicebus.rulebook import Rule, View, everything, nothing

_DESCRIPTION, _NO_ACTION = 0x137_0000_0004, 0x137_0000_0005
_SQL, _TRUE, _FALSE, _CORRELATION = 0x13_7000_0006, 0x13_7000_0007, 0x13_7000_0008, 0x13_7000_0009
"""The descriptors, as `Constants.descriptorCodes` in the JavaScript core-amqp has them."""

_CONSTANTS = {"1=1": (everything, _TRUE), "1=0": (nothing, _FALSE)}
_FIELDS = {
    "correlation-id": "CorrelationId",
    "message-id": "MessageId",
    "to": "To",
    "reply-to": "ReplyTo",
    "label": "Label",
    "session-id": "SessionId",
    "reply-to-session-id": "ReplyToSessionId",
    "content-type": "ContentType",
}
"""A correlation filter's fields in the order of its encoded list, and what a view calls them."""


def read(name: str, description: Mapping[Any, Any]) -> Rule:
    """Raises Refused for a description that is none, or that this emulator does not speak."""
    if description.get("sql-rule-action") is not None:
        raise Refused(NOT_IMPLEMENTED, "SQL rule actions are not implemented.")
    if "sql-filter" in description:
        matches, code = _sql(str(mapped(description["sql-filter"]).get("expression")))
        return Rule(name=name, matches=matches, shown=_described(code, encode.list_([])))
    if "correlation-filter" in description:
        named = mapped(description["correlation-filter"])
        return _correlation(name, {key: value for key, value in named.items() if value is not None})
    raise Refused(ARGUMENT, f"The rule '{name}' has neither an sql-filter nor a correlation-filter.")


def _sql(expression: str) -> tuple[Callable[[View], bool], int]:
    """The two constants that the SDKs write for the true and the false filter."""
    found = _CONSTANTS.get(expression.replace(" ", ""))
    if found is None:
        raise Refused(NOT_IMPLEMENTED, f"The SQL filter {expression!r} is not implemented: only 1=1 and 1=0 are.")
    return found


def _correlation(name: str, wanted: Mapping[str, Any]) -> Rule:
    """All that it names has to be equal: https://learn.microsoft.com/azure/service-bus-messaging/topic-filters"""
    properties = mapped(wanted.get("properties"))
    if unknown := wanted.keys() - _FIELDS.keys() - {"properties"}:
        raise Refused(ARGUMENT, f"A correlation filter has no '{min(unknown)}'.")
    system = {_FIELDS[key]: value for key, value in wanted.items() if key in _FIELDS}

    def matches(seen: View) -> bool:
        return system.items() <= seen.system.items() and properties.items() <= seen.properties.items()

    fields = [encode.value(wanted.get(key)) for key in _FIELDS]
    return Rule(
        name=name, matches=matches, shown=_described(_CORRELATION, encode.list_([*fields, encode.value(properties)]))
    )


def write(rule: Rule) -> bytes:
    """As `read` had it; a filter that is a Python function is shown as one that lets everything through."""
    shown = rule.shown or _described(_TRUE, encode.list_([]))
    action = _described(_NO_ACTION, encode.list_([]))
    return _described(_DESCRIPTION, encode.list_([shown, action, encode.string(rule.name)]))


def _described(code: int, value: bytes) -> bytes:
    return b"\x00" + encode.ulong(code) + value
