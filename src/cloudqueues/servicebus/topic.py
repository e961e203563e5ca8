"""Topics: each message is copied to every subscription with a rule that matches it.

https://learn.microsoft.com/azure/service-bus-messaging/topic-filters
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import replace

from cloudqueues.servicebus.context import BrokerContext
from cloudqueues.servicebus.errors import EXISTS, Refused, disabled, not_found
from cloudqueues.servicebus.ingress import Ingress
from cloudqueues.servicebus.message import Content, Message
from cloudqueues.servicebus.message_properties import MessageProperties, properties_of, with_properties
from cloudqueues.servicebus.queue import Queue, send_dead_letter
from cloudqueues.servicebus.rules import Rule
from cloudqueues.servicebus.settings import Settings
from cloudqueues.servicebus.sql import EvaluationError
from cloudqueues.servicebus.timestamps import Timestamps

NO_SESSION = {
    "DeadLetterReason": "Session ID is null.",
    "DeadLetterErrorDescription": "Session enabled entity doesn't allow a message whose session identifier is null.",
}


FILTER_FAILED = "FilterEvaluationException"
"""Our own reason, since the service's is not documented."""


class Subscription:
    """Subscription of a topic: a queue with the rules that select its messages."""

    def __init__(self, queue: Queue, rules: Sequence[Rule]) -> None:
        self.queue = queue
        self.rules = {rule.name: rule for rule in rules}
        self.timestamps = {name: queue.timestamps.another() for name in self.rules}

    def add(self, rule: Rule) -> None:
        if rule.name in self.rules:
            raise Refused(EXISTS, f"The rule '{rule.name}' exists in '{self.queue.path}' already.")
        self.rules[rule.name] = rule
        self.timestamps[rule.name] = self.queue.timestamps.another()

    def replace(self, rule: Rule) -> None:
        """Replace the rule of the same name. Raises Refused where there is none."""
        self._need(rule.name)
        self.rules[rule.name] = rule
        self.timestamps[rule.name].update()

    def remove(self, name: str) -> None:
        """Remove a rule. Raises Refused where there is none."""
        self._need(name)
        del self.rules[name], self.timestamps[name]

    def _need(self, name: str) -> None:
        if name not in self.rules:
            raise not_found(f"{self.queue.path}/Rules/{name}")

    def offer(self, message: Message, properties: MessageProperties) -> None:
        """Enqueue a copy for each matching rule with an action, and one for all other matching rules."""
        copies: dict[str | None, Content] = {}
        failure: EvaluationError | None = None
        for rule in self.rules.values():
            try:
                if rule.matches(properties):
                    copies[rule.name if rule.action else None] = applied(rule, message.content, properties)
            except EvaluationError as error:
                failure = failure or error
        for content in copies.values():
            self._enqueue(content, message)
        if failure is not None and self.queue.settings.dead_letter_filter_errors:
            self._dead_letter(message, failure)

    def _dead_letter(self, message: Message, error: EvaluationError) -> None:
        changes = {"DeadLetterReason": FILTER_FAILED, "DeadLetterErrorDescription": str(error)}
        send_dead_letter(self._copy(message.content, message), self._dead_letters, changes)

    def _enqueue(self, content: Content, origin: Message) -> None:
        copy = self._copy(content, origin)
        if self.queue.sessions is None or content.session is not None:
            self.queue.arrive(copy)
        else:
            send_dead_letter(copy, self._dead_letters, NO_SESSION)

    def _copy(self, content: Content, origin: Message) -> Message:
        copy = Message(content, next(self.queue.numbers), origin.enqueued)
        copy.first_sequence = origin.first_sequence or origin.sequence
        copy.hops, copy.source = origin.hops, origin.source
        return copy

    @property
    def _dead_letters(self) -> Queue:
        assert self.queue.dead_letters is not None
        return self.queue.dead_letters


def applied(rule: Rule, content: Content, properties: MessageProperties) -> Content:
    """Return the content that a matching rule makes of a message. Raises EvaluationError."""
    if rule.action is None:
        return content
    return with_properties(content, properties, rule.action(properties)).with_application({"RuleName": rule.name})


class Topic:
    """Topic that copies its messages to subscriptions."""

    def __init__(self, path: str, settings: Settings, context: BrokerContext) -> None:
        self.path = path
        self.settings = settings
        self._context = context
        self.timestamps = Timestamps(context)
        self.subscriptions: dict[str, Subscription] = {}
        self.ingress = Ingress(context, settings.duplicate_window, itertools.count(1), self._arrive)

    def check(self, _content: Content) -> None:
        """Raise Refused while the topic is disabled for sending."""
        if not self.settings.is_sendable:
            raise disabled(self.path)

    def send(self, contents: Sequence[Content]) -> list[int]:
        """Accept all messages or none, and return their sequence numbers."""
        for content in contents:
            self.check(content)
        self.timestamps.access()
        return [self.ingress.accept(content) for content in contents]

    def _arrive(self, message: Message) -> None:
        ttl = min(math.inf if message.content.ttl is None else message.content.ttl, self.settings.default_ttl)
        if math.isfinite(ttl):
            message.content = replace(message.content, ttl=ttl)
        properties = properties_of(message, self._context.clock_offset)
        for subscription in list(self.subscriptions.values()):
            subscription.offer(message, properties)
