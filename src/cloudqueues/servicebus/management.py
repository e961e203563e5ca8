"""Management node of an entity: operations that need no delivery.

https://learn.microsoft.com/azure/service-bus-messaging/service-bus-amqp-request-response
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any, TypeVar

from cloudqueues.servicebus import message_encoding, rule_encoding, settlement
from cloudqueues.servicebus.amqp import encode
from cloudqueues.servicebus.amqp.decode import is_list, mapped
from cloudqueues.servicebus.broker import Broker
from cloudqueues.servicebus.errors import ARGUMENT, NOT_IMPLEMENTED, Refused
from cloudqueues.servicebus.message import Message
from cloudqueues.servicebus.message_encoding import Request
from cloudqueues.servicebus.queue import Queue
from cloudqueues.servicebus.requests import NO_CONTENT, Reply
from cloudqueues.servicebus.sessions import Sessions
from cloudqueues.servicebus.topic import Topic

PREFIX = "com.microsoft:"
_DESTRUCTIVE = 0
"""Receiver settle mode `first`, that is, without a lock."""
_NO_DATE = 253_402_300_799
"""Seconds since 1970 of the last date of .NET, which means no date."""

T = TypeVar("T")


class Body:
    """Map in the body of a request. Raises Refused for a missing value or one of the wrong type."""

    def __init__(self, values: object) -> None:
        self._values = mapped(values)

    def get(self, name: str, kind: type[T]) -> T:
        value = self.maybe(name, kind)
        if value is None:
            raise Refused(ARGUMENT, f"the request has no '{name}'")
        return value

    def maybe(self, name: str, kind: type[T]) -> T | None:
        value = self._values.get(name)
        if value is not None and not isinstance(value, kind):
            raise Refused(ARGUMENT, f"'{name}' is of {type(value).__name__}, not of {kind.__name__}")
        return value

    def each(self, name: str, kind: type[T]) -> list[T]:
        values = self.get(name, object)
        if not is_list(values) or not all(isinstance(value, kind) for value in values):
            raise Refused(ARGUMENT, f"'{name}' must hold values of type {kind.__name__}")
        return values

    def tokens(self) -> list[uuid.UUID]:
        """Return the lock tokens. The JavaScript SDK sends some of them as strings."""
        try:
            return [
                token if isinstance(token, uuid.UUID) else uuid.UUID(str(token))
                for token in self.each("lock-tokens", object)
            ]
        except ValueError as exc:
            raise Refused(ARGUMENT, "a lock token is a UUID") from exc


class Management:
    """Operations of one management node."""

    def __init__(self, broker: Broker, entity: Queue | Topic) -> None:
        self._broker = broker
        self._context = broker.context
        self._entity = entity
        self._handlers: dict[str, Callable[[Body], Reply]] = {
            "peek-message": self._peek,
            "schedule-message": self._schedule,
            "cancel-scheduled-message": self._cancel,
            "renew-lock": self._renew,
            "receive-by-sequence-number": self._take_deferred,
            "update-disposition": self._settle,
            "get-session-state": self._state,
            "set-session-state": self._remember,
            "renew-session-lock": self._renew_session,
            "get-message-sessions": self._known_sessions,
            "add-rule": self._add_rule,
            "remove-rule": self._remove_rule,
            "enumerate-rules": self._rules,
        }

    def handle(self, request: Request) -> Reply:
        """Run an operation and return its reply. Raises Refused."""
        operation = str(request.application.get("operation")).removeprefix(PREFIX)
        if operation not in self._handlers:
            raise Refused(NOT_IMPLEMENTED, f"The operation '{operation}' is not implemented.")
        return self._handlers[operation](Body(request.body))

    @property
    def _queue(self) -> Queue:
        if isinstance(self._entity, Topic):
            raise Refused(ARGUMENT, f"'{self._entity.path}' is a topic")
        return self._entity

    def _moments(self, seconds: Sequence[float]) -> bytes:
        return encode.array([encode.timestamp(moment - self._context.clock_offset) for moment in seconds])

    # -- messages

    def _peek(self, body: Body) -> Reply:
        start, count = body.get("from-sequence-number", int), body.get("message-count", int)
        messages = settlement.peek(self._queue, start, max(count, 0), body.maybe("session-id", str))
        return (
            _reply(messages=encode.list_([self._message(message) for message in messages]))
            if messages
            else Reply(NO_CONTENT)
        )

    def _message(self, message: Message) -> bytes:
        pairs = [("message", encode.binary(message_encoding.render(message, self._context.clock_offset)))]
        if message.token is not None:
            pairs.append(("lock-token", encode.uuid_(message.token)))
        return _map(*pairs)

    def _schedule(self, body: Body) -> Reply:
        payloads = [Body(sequence).get("message", bytes) for sequence in body.each("messages", object)]
        contents = [content for payload in payloads for content in message_encoding.read(payload, 0)]
        self._context.tier.check(0, contents)
        return _reply(
            **{"sequence-numbers": encode.array([encode.long(sequence) for sequence in self._entity.send(contents)])}
        )

    def _cancel(self, body: Body) -> Reply:
        self._entity.ingress.cancel(body.each("sequence-numbers", int))
        return Reply()

    def _take_deferred(self, body: Body) -> Reply:
        destructive = body.get("receiver-settle-mode", int) == _DESTRUCTIVE
        session = body.maybe("session-id", str)
        if session is not None:
            self._sessions.require_lock(session)
        sequences = body.each("sequence-numbers", int)
        messages = settlement.take_deferred(self._queue, sequences, destructive=destructive)
        return _reply(messages=encode.list_([self._message(message) for message in messages]))

    # -- locks

    def _renew(self, body: Body) -> Reply:
        return _reply(expirations=self._moments(settlement.renew(self._queue, body.tokens())))

    def _settle(self, body: Body) -> Reply:
        queue, tokens, session = self._queue, body.tokens(), body.maybe("session-id", str)
        if session is not None:
            self._sessions.require_lock(session)
        changes = mapped(body.maybe("properties-to-modify", object))
        settle = self._settlements(body, changes).get(body.get("disposition-status", str))
        if settle is None:
            raise Refused(
                ARGUMENT, "the disposition-status is not one of completed, abandoned, suspended, defered, renewed"
            )
        for token in tokens:
            queue.locks.find(token)  # raises before anything is settled
        for token in tokens:
            settle(queue, token)
        return Reply()

    @staticmethod
    def _settlements(body: Body, changes: dict[Any, Any]) -> dict[str, Callable[[Queue, uuid.UUID], object]]:
        reason = body.maybe("deadletter-reason", str), body.maybe("deadletter-description", str)
        named = dict(zip(("DeadLetterReason", "DeadLetterErrorDescription"), reason, strict=True))
        dead_letter_changes = {**changes, **{name: text for name, text in named.items() if text is not None}}
        return {
            "completed": settlement.complete,
            "abandoned": lambda queue, token: settlement.abandon(queue, token, changes),
            "defered": lambda queue, token: settlement.defer(queue, token, changes),
            "suspended": lambda queue, token: settlement.dead_letter(queue, token, dead_letter_changes),
            "renewed": lambda queue, token: settlement.renew(queue, [token]),
        }

    # -- sessions

    @property
    def _sessions(self) -> Sessions:
        if self._queue.sessions is None:
            raise Refused(ARGUMENT, f"'{self._entity.path}' has no sessions")
        return self._queue.sessions

    def _state(self, body: Body) -> Reply:
        state = self._sessions.state(body.get("session-id", str))
        return _reply(**{"session-state": encode.NULL if state is None else encode.binary(state)})

    def _remember(self, body: Body) -> Reply:
        state = body.maybe("session-state", bytes) or None  # Go's client clears a state by an empty one
        self._sessions.set_state(body.get("session-id", str), state)
        return Reply()

    def _renew_session(self, body: Body) -> Reply:
        until = self._sessions.renew(body.get("session-id", str))
        return _reply(expiration=encode.timestamp(until - self._context.clock_offset))

    def _known_sessions(self, body: Body) -> Reply:
        since = body.maybe("last-updated-time", datetime)
        after = (
            None if since is None or since.timestamp() >= _NO_DATE else since.timestamp() + self._context.clock_offset
        )
        skip, count = max(body.maybe("skip", int) or 0, 0), max(body.get("top", int), 0)
        ids = self._sessions.list_ids(after, skip, count)
        names = encode.list_([encode.string(session) for session in ids])
        return _reply(skip=encode.integer(skip + len(ids)), **{"sessions-ids": names}) if ids else Reply(NO_CONTENT)

    # -- rules

    def _add_rule(self, body: Body) -> Reply:
        rule = rule_encoding.read(body.get("rule-name", str), mapped(body.get("rule-description", object)))
        self._broker.subscription(self._queue).add(rule)
        return Reply()

    def _remove_rule(self, body: Body) -> Reply:
        self._broker.subscription(self._queue).remove(body.get("rule-name", str))
        return Reply()

    def _rules(self, body: Body) -> Reply:
        skip, count = max(body.maybe("skip", int) or 0, 0), max(body.get("top", int), 0)
        rules = self._broker.subscription(self._queue).rules
        chosen = [rules[name] for name in sorted(rules)[skip : skip + count]]
        return _reply(rules=encode.list_([_map(("rule-description", rule_encoding.write(rule))) for rule in chosen]))


def _map(*pairs: tuple[str, bytes]) -> bytes:
    return encode.map_((encode.string(name), value) for name, value in pairs)


def _reply(**values: bytes) -> Reply:
    return Reply(body=_map(*values.items()))
