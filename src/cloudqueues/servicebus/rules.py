"""Rules of a subscription: filters that select messages, and actions that change them.

https://learn.microsoft.com/azure/service-bus-messaging/topic-filters
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Self

from cloudqueues.errors import ConfigError
from cloudqueues.servicebus.amqp import encode
from cloudqueues.servicebus.message_properties import MessageProperties
from cloudqueues.servicebus.sql import SqlAction, SqlFilter, parse, parse_action

DEFAULT = "$Default"
"""Name of a subscription's first rule."""
KEYWORDS = {
    "CorrelationId": "correlation_id",
    "MessageId": "message_id",
    "To": "to",
    "ReplyTo": "reply_to",
    "Label": "label",
    "SessionId": "session_id",
    "ReplyToSessionId": "reply_to_session_id",
    "ContentType": "content_type",
}
"""Parameter of `Rule.correlation` by the service's name of the field."""
LONGEST_NAME = 50
"""Characters: https://learn.microsoft.com/azure/service-bus-messaging/service-bus-quotas"""


@dataclass(frozen=True, slots=True, kw_only=True)
class CorrelationFilter:
    """Filter on fields and properties, all of which must be equal, in case and type too."""

    system: Mapping[str, str]
    properties: Mapping[str, object] = field(default_factory=dict[str, object])

    def __call__(self, properties: MessageProperties) -> bool:
        return _within(self.system, properties.system) and _within(self.properties, properties.application)


def _within(wanted: Mapping[str, object], actual: Mapping[str, object]) -> bool:
    return all(name in actual and _same(value, actual[name]) for name, value in wanted.items())


def _same(left: object, right: object) -> bool:
    """Return whether two values are equal and of the same type: True does not equal 1."""
    return left == right and type(left) is type(right)


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """Rule of a subscription. Use `sql` or `correlation` to create one."""

    name: str
    matches: SqlFilter | CorrelationFilter
    action: SqlAction | None = None
    """Changes to the copy of the message that this rule makes."""

    def __post_init__(self) -> None:
        """Raise ConfigError for a name or a value that cannot be encoded for clients."""
        named = self.matches if isinstance(self.matches, CorrelationFilter) else CorrelationFilter(system={})
        try:
            encode.value([self.name, dict(named.system), dict(named.properties)])
        except (TypeError, ValueError, struct.error) as exc:
            raise ConfigError(f"the rule {self.name!r} has a value that AMQP cannot encode: {exc}") from exc
        if not 0 < len(self.name) <= LONGEST_NAME:
            raise ConfigError(f"the name {self.name!r} of a rule is not valid: use 1 to {LONGEST_NAME} characters")

    @classmethod
    def sql(
        cls,
        expression: str,
        *,
        name: str = DEFAULT,
        action: str | SqlAction | None = None,
        parameters: Mapping[str, object] | None = None,
    ) -> Self:
        """Return a rule with an SQL filter: `Rule.sql("size > 10 AND sys.Label = 'created'", action="SET seen =
        TRUE")`.

        Raises FilterError with the position and the fix, and ConfigError for an invalid name.
        """
        return cls(name=name, matches=parse(expression, parameters), action=_action(action))

    @classmethod
    def correlation(
        cls,
        *,
        name: str = DEFAULT,
        correlation_id: str | None = None,
        message_id: str | None = None,
        to: str | None = None,
        reply_to: str | None = None,
        label: str | None = None,
        session_id: str | None = None,
        reply_to_session_id: str | None = None,
        content_type: str | None = None,
        properties: Mapping[str, object] | None = None,
        action: str | SqlAction | None = None,
    ) -> Self:
        """Return a rule for messages with equal fields and application properties. Raises FilterError for the action,
        ConfigError for a value that no message can have."""
        fields = {
            "CorrelationId": correlation_id,
            "MessageId": message_id,
            "To": to,
            "ReplyTo": reply_to,
            "Label": label,
            "SessionId": session_id,
            "ReplyToSessionId": reply_to_session_id,
            "ContentType": content_type,
        }
        system = {field: value for field, value in fields.items() if value is not None}
        matches = CorrelationFilter(system=system, properties=dict(properties or {}))
        return cls(name=name, matches=matches, action=_action(action))


def _action(action: str | SqlAction | None) -> SqlAction | None:
    return parse_action(action) if isinstance(action, str) else action


EVERYTHING = Rule.sql("1=1")
"""Rule of a subscription that was created without one."""
