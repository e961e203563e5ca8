"""Rules in the XML of the management API: filters, actions and their typed values.

https://learn.microsoft.com/rest/api/servicebus/create-rule
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta, timezone
from xml.etree import ElementTree as ET
from xml.sax.saxutils import escape

from cloudqueues.errors import ConfigError
from cloudqueues.servicebus.admin import atom
from cloudqueues.servicebus.admin.refusals import invalid
from cloudqueues.servicebus.admin.values import duration, duration_text, flag, flag_text
from cloudqueues.servicebus.message_properties import FIELDS
from cloudqueues.servicebus.rules import DEFAULT, KEYWORDS, CorrelationFilter, Rule
from cloudqueues.servicebus.sql import SqlAction, SqlFilter, parse_action

_CONSTANTS = {"1=1": "TrueFilter", "1=0": "FalseFilter"}
_EXPRESSIONS = {kind: expression for expression, kind in _CONSTANTS.items()}
_INTS = ("int", "long", "short", "byte", "unsignedInt", "unsignedShort", "unsignedByte", "unsignedLong")
_LARGEST_INT = 2**31 - 1
_UNZONED = timezone(timedelta(0), "unzoned")
"""Zone of a time that was written without one. It counts as UTC, and is written without a zone again."""


def read(name: str, description: ET.Element) -> Rule:
    """Return the rule in a RuleDescription or a DefaultRuleDescription. Raises Rejected."""
    parts = {atom.local(child): child for child in description}
    try:
        return _rule(name, parts.get("Filter"), _action(parts.get("Action")))
    except ConfigError as exc:
        raise invalid(f"{exc}.") from exc


def default(subscription: ET.Element) -> Rule:
    """Return the first rule of a new subscription: the one in its description, or a rule that matches all messages."""
    for child in subscription:
        if atom.local(child) == "DefaultRuleDescription":
            return read(_texts(child).get("Name", DEFAULT), child)
    return Rule.sql("1=1")


def _rule(name: str, matches: ET.Element | None, action: SqlAction | None) -> Rule:
    if matches is None:
        return Rule.sql("1=1", name=name, action=action)
    kind = atom.kind(matches)
    if kind == "CorrelationFilter":
        texts = _texts(matches)
        fields = {keyword: texts[field] for field, keyword in KEYWORDS.items() if field in texts}
        return Rule.correlation(name=name, properties=_values(matches, "Properties"), action=action, **fields)
    if kind not in {"SqlFilter", *_EXPRESSIONS}:
        kinds = ", ".join(["SqlFilter", "CorrelationFilter", *_EXPRESSIONS])
        raise invalid(f"The filter of the rule '{name}' is of the type {kind!r}; known are {kinds}.")
    expression = _EXPRESSIONS.get(kind) or _texts(matches).get("SqlExpression")
    if expression is None:
        raise invalid(f"The SqlFilter of the rule '{name}' has no SqlExpression.")
    return Rule.sql(expression, name=name, parameters=_values(matches, "Parameters"), action=action)


def _action(action: ET.Element | None) -> SqlAction | None:
    """Return the action of a rule, or None. Raises FilterError and Rejected."""
    kind = "EmptyRuleAction" if action is None else atom.kind(action)
    if action is None or kind == "EmptyRuleAction":
        return None
    if kind != "SqlRuleAction":
        raise invalid(f"The action is of the type {kind!r}; known are SqlRuleAction and EmptyRuleAction.")
    return parse_action(_texts(action).get("SqlExpression", ""), _values(action, "Parameters"))


def _texts(element: ET.Element) -> dict[str, str]:
    return {atom.local(child): child.text for child in element if child.text and not len(child)}


# -- typed values


def _values(element: ET.Element, name: str) -> dict[str, object]:
    """Return the entries of a list such as Properties or Parameters."""
    pairs = [pair for child in element if atom.local(child) == name for pair in child]
    return dict(_pair(pair) for pair in pairs)


def _pair(pair: ET.Element) -> tuple[str, object]:
    parts = {atom.local(child): child for child in pair}
    if "Key" not in parts or "Value" not in parts:
        raise invalid("A property of a rule has a Key and a Value.")
    key, kind, text = parts["Key"].text or "", atom.kind(parts["Value"]), parts["Value"].text or ""
    if kind not in _READERS:
        raise invalid(f"The value of {key!r} is of the type {kind!r}; known are {', '.join(_READERS)}.")
    try:
        return key, _READERS[kind](key, text)
    except (ValueError, OverflowError) as exc:
        raise invalid(f"The value of {key!r} is {text!r}, not a {kind}.") from exc


def _moment(_key: str, text: str) -> datetime:
    moment = datetime.fromisoformat(text)
    return moment.replace(tzinfo=_UNZONED) if moment.tzinfo is None else moment.astimezone(UTC)


def _moment_text(value: datetime) -> str:
    text = value.replace(tzinfo=None).isoformat()
    return text if value.tzinfo is _UNZONED else f"{text}Z"


_READERS: Mapping[str, Callable[[str, str], object]] = {
    "string": lambda _key, text: text,
    "boolean": flag,
    **dict.fromkeys(_INTS, lambda _key, text: int(text)),
    **dict.fromkeys(("double", "float", "decimal"), lambda _key, text: float(text)),
    "dateTime": _moment,
    "duration": lambda key, text: timedelta(seconds=duration(0)(key, text)),
    "guid": lambda _key, text: uuid.UUID(text),
}


def _typed(value: object) -> tuple[str, str]:
    """Return the XML type and the text of a value. A Rule holds values of these types only."""
    match value:
        case bool():
            return "boolean", flag_text(value)
        case int():
            return "int" if abs(value) <= _LARGEST_INT else "long", str(value)
        case float():
            return "double", repr(value)
        case datetime():
            return "dateTime", _moment_text(value)
        case timedelta():
            return "duration", duration_text(value.total_seconds())
        case uuid.UUID():
            return "guid", str(value)
        case _:
            return "string", str(value)


# -- writing


def write(rule: Rule, created: float) -> str:
    """Return a rule's description in XML. `created` is in seconds since 1970."""
    named = atom.element("CreatedAt", atom.moment(created)) + atom.element("Name", rule.name)
    parts = (_filter_text(rule.matches), _action_text(rule.action), named)
    return atom.described("RuleDescription", "".join(parts))


def _filter_text(matches: SqlFilter | CorrelationFilter) -> str:
    if isinstance(matches, SqlFilter):
        kind = _CONSTANTS.get(matches.text, "SqlFilter")
        return f'<Filter i:type="{kind}">{_sql(matches)}</Filter>'
    fields = "".join(atom.element(name, matches.system[name]) for name in FIELDS if name in matches.system)
    return f'<Filter i:type="CorrelationFilter">{fields}{_list("Properties", matches.properties)}</Filter>'


def _action_text(action: SqlAction | None) -> str:
    if action is None:
        return '<Action i:type="EmptyRuleAction"/>'
    return f'<Action i:type="SqlRuleAction">{_sql(action)}</Action>'


def _sql(sql: SqlFilter | SqlAction) -> str:
    level = atom.element("CompatibilityLevel", 20)
    return f"{atom.element('SqlExpression', sql.text)}{level}{_list('Parameters', sql.parameters)}"


def _list(name: str, values: Mapping[str, object]) -> str:
    pairs = "".join(_pair_text(key, *_typed(value)) for key, value in values.items())
    return f"<{name}>{pairs}</{name}>" if pairs else ""


def _pair_text(key: str, kind: str, text: str) -> str:
    value = f'<Value i:type="d6p1:{kind}" xmlns:d6p1="{atom.SCHEMA}">{escape(text)}</Value>'
    return f"<KeyValueOfstringanyType>{atom.element('Key', key)}{value}</KeyValueOfstringanyType>"
