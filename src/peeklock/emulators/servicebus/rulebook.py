"""The rules of a subscription: what they see of a message, and what their actions change of it.

https://learn.microsoft.com/azure/service-bus-messaging/topic-filters
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from peeklock.emulators.servicebus import encode
from peeklock.emulators.servicebus.decode import whole
from peeklock.emulators.servicebus.message import (
    CONTENT_TYPE,
    CORRELATION_ID,
    GROUP_ID,
    MESSAGE_ID,
    REPLY_TO,
    REPLY_TO_GROUP_ID,
    SUBJECT,
    TO,
    Content,
    Message,
)  # fmt: skip

_FIELDS = {
    "MessageId": MESSAGE_ID,
    "To": TO,
    "Label": SUBJECT,
    "ReplyTo": REPLY_TO,
    "CorrelationId": CORRELATION_ID,
    "ContentType": CONTENT_TYPE,
    "SessionId": GROUP_ID,
    "ReplyToSessionId": REPLY_TO_GROUP_ID,
}
"""The names of SQL's `sys.` scope, and where they are in AMQP's properties."""


@dataclass(frozen=True, slots=True)
class View:
    """What a rule sees of a message: decoded, without the fields that are not set."""

    system: Mapping[str, object]
    properties: Mapping[str, object]


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    name: str
    matches: Callable[[View], bool]
    action: Callable[[View], View] | None = None
    """What becomes of the copy that is made for this rule."""
    shown: bytes = b""
    """The filter, encoded, for clients that list the rules; where it is a Python function there is none to show."""


def everything(_seen: View) -> bool:
    return True


def nothing(_seen: View) -> bool:
    return False


EVERYTHING = Rule(name="$Default", matches=everything)
"""The rule of a subscription that was given none."""


def view(message: Message) -> View:
    content = message.content
    fields = {name: _field(content, position) for name, position in _FIELDS.items()}
    return View(
        {name: value for name, value in fields.items() if value is not None},
        {name: whole(value) for name, value in content.application.items()},
    )


def _field(content: Content, position: int) -> object:
    return whole(content.properties[position]) if position < len(content.properties) else None


def changed(content: Content, before: View, after: View) -> Content:
    """The content that `after` is seen of. What is as it was keeps its bytes."""
    application = {
        name: content.application[name] if _same(name, value, before.properties) else encode.value(value)
        for name, value in after.properties.items()
    }
    fields = list(content.properties) + [encode.NULL] * (REPLY_TO_GROUP_ID + 1 - len(content.properties))
    for name, position in _FIELDS.items():
        if after.system.get(name) != before.system.get(name):
            fields[position] = encode.value(after.system.get(name))
    session = after.system.get("SessionId")
    return replace(
        content,
        application=application,
        properties=tuple(fields),
        session=None if session is None else str(session),
    )


def _same(name: str, value: object, before: Mapping[str, object]) -> bool:
    return name in before and before[name] == value and type(before[name]) is type(value)
