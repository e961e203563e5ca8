"""AMQP encoding of rules for management nodes.

https://learn.microsoft.com/azure/service-bus-messaging/service-bus-amqp-request-response#rule-operations
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from cloudqueues.errors import ConfigError
from cloudqueues.servicebus.amqp import encode
from cloudqueues.servicebus.amqp.decode import mapped
from cloudqueues.servicebus.errors import ARGUMENT, Refused
from cloudqueues.servicebus.message_properties import FIELDS
from cloudqueues.servicebus.rules import CorrelationFilter, Rule
from cloudqueues.servicebus.sql import SqlAction, SqlFilter

_DESCRIPTION, _NO_ACTION, _SQL_ACTION = 0x137_0000_0004, 0x137_0000_0005, 0x137_0000_0006
_SQL, _TRUE, _FALSE, _CORRELATION = 0x13_7000_0006, 0x13_7000_0007, 0x13_7000_0008, 0x13_7000_0009
"""Descriptors, as in `Constants.descriptorCodes` of the JavaScript core-amqp."""

_CONSTANTS = {"1=1": _TRUE, "1=0": _FALSE}
"""Expressions that the service turns into a true or a false filter, which the SDKs show as such."""
_LEVEL = 20
"""Compatibility level of SQL, the only one there is."""
_FIELDS = frozenset({
    "correlation-id", "message-id", "to", "reply-to", "label", "session-id", "reply-to-session-id", "content-type",
})  # fmt: skip


def read(name: str, description: Mapping[Any, Any]) -> Rule:
    """Return the rule in a description. Raises Refused for an invalid one."""
    action = description.get("sql-rule-action")
    changes = None if action is None else _expression(action)
    try:
        if "sql-filter" in description:
            return Rule.sql(_expression(description["sql-filter"]), name=name, action=changes)
        if "correlation-filter" in description:
            return _correlation(name, mapped(description["correlation-filter"]), changes)
    except ConfigError as error:
        raise Refused(ARGUMENT, str(error)) from error
    raise Refused(ARGUMENT, f"The rule '{name}' has neither an sql-filter nor a correlation-filter.")


def _expression(described: object) -> str:
    expression = mapped(described).get("expression")
    if not isinstance(expression, str):
        raise Refused(ARGUMENT, "An sql-filter and an sql-rule-action have an expression.")
    return expression


def _correlation(name: str, described: Mapping[Any, Any], action: str | None) -> Rule:
    wanted = {str(key): value for key, value in described.items() if value is not None}
    properties = {str(key): value for key, value in mapped(wanted.pop("properties", None)).items()}
    if unknown := wanted.keys() - _FIELDS:
        raise Refused(ARGUMENT, f"A correlation filter has no '{min(unknown)}'.")
    fields = {key.replace("-", "_"): str(value) for key, value in wanted.items()}
    return Rule.correlation(name=name, properties=properties, action=action, **fields)


def write(rule: Rule) -> bytes:
    name = encode.string(rule.name)
    return _described(_DESCRIPTION, _filter(rule.matches), _action(rule.action), name)


def _filter(matches: SqlFilter | CorrelationFilter) -> bytes:
    if isinstance(matches, CorrelationFilter):
        fields = (encode.value(matches.system.get(name)) for name in FIELDS)
        return _described(_CORRELATION, *fields, encode.value(dict(matches.properties)))
    if matches.text in _CONSTANTS:
        return _described(_CONSTANTS[matches.text])
    return _described(_SQL, encode.string(matches.text), encode.integer(_LEVEL))


def _action(action: SqlAction | None) -> bytes:
    if action is None:
        return _described(_NO_ACTION)
    return _described(_SQL_ACTION, encode.string(action.text), encode.integer(_LEVEL))


def _described(code: int, *items: bytes) -> bytes:
    return b"\x00" + encode.ulong(code) + encode.list_(items)
