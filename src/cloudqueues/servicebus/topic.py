"""A topic: each message goes, as a copy, to every subscription that has a rule for it.

https://learn.microsoft.com/azure/service-bus-messaging/topic-filters
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import replace

from cloudqueues.servicebus.errors import EXISTS, Refused, disabled, not_found
from cloudqueues.servicebus.intake import Intake
from cloudqueues.servicebus.message import Content, Message
from cloudqueues.servicebus.queue import Queue, send_letter
from cloudqueues.servicebus.rulebook import Rule
from cloudqueues.servicebus.sql import EvaluationError
from cloudqueues.servicebus.times import Times
from cloudqueues.servicebus.view import View, changed, view
from cloudqueues.servicebus.world import Settings, World

NO_SESSION = {
    "DeadLetterReason": "Session ID is null.",
    "DeadLetterErrorDescription": "Session enabled entity doesn't allow a message whose session identifier is null.",
}


FILTER_FAILED = "FilterEvaluationException"
"""Ours: the service's own word for it is not documented."""


class Subscription:
    def __init__(self, queue: Queue, rules: Sequence[Rule]) -> None:
        self.queue = queue
        self.rules = {rule.name: rule for rule in rules}
        self.times = {name: queue.times.another() for name in self.rules}

    def add(self, rule: Rule) -> None:
        if rule.name in self.rules:
            raise Refused(EXISTS, f"The rule '{rule.name}' exists in '{self.queue.path}' already.")
        self.rules[rule.name] = rule
        self.times[rule.name] = self.queue.times.another()

    def replace(self, rule: Rule) -> None:
        """Put it in the place of the rule with its name. Raises Refused where there is none."""
        self._need(rule.name)
        self.rules[rule.name] = rule
        self.times[rule.name].update()

    def remove(self, name: str) -> None:
        """Raises Refused where there is none."""
        self._need(name)
        del self.rules[name], self.times[name]

    def _need(self, name: str) -> None:
        if name not in self.rules:
            raise not_found(f"{self.queue.path}/Rules/{name}")

    def offer(self, message: Message, seen: View) -> None:
        """A copy for each rule with an action that matches, and one for all the other rules that do."""
        copies: dict[str | None, Content] = {}
        failure: EvaluationError | None = None
        for rule in self.rules.values():
            try:
                if rule.matches(seen):
                    copies[rule.name if rule.action else None] = applied(rule, message.content, seen)
            except EvaluationError as error:
                failure = failure or error
        for content in copies.values():
            self._enqueue(content, message)
        if failure is not None and self.queue.settings.dead_letter_filter_errors:
            self._letter(message, failure)

    def _letter(self, message: Message, error: EvaluationError) -> None:
        changes = {"DeadLetterReason": FILTER_FAILED, "DeadLetterErrorDescription": str(error)}
        send_letter(self._copy(message.content, message), self._letters, changes)

    def _enqueue(self, content: Content, origin: Message) -> None:
        copy = self._copy(content, origin)
        if self.queue.sessions is None or content.session is not None:
            self.queue.arrive(copy)
        else:
            send_letter(copy, self._letters, NO_SESSION)

    def _copy(self, content: Content, origin: Message) -> Message:
        copy = Message(content, next(self.queue.numbers), origin.enqueued)
        copy.first_sequence = origin.first_sequence or origin.sequence
        copy.hops, copy.source = origin.hops, origin.source
        return copy

    @property
    def _letters(self) -> Queue:
        assert self.queue.letters is not None
        return self.queue.letters


def applied(rule: Rule, content: Content, seen: View) -> Content:
    """What a rule makes of a message that it matches. Raises EvaluationError."""
    if rule.action is None:
        return content
    return changed(content, seen, rule.action(seen)).with_application({"RuleName": rule.name})


class Topic:
    def __init__(self, path: str, settings: Settings, world: World) -> None:
        self.path = path
        self.settings = settings
        self._world = world
        self.times = Times(world)
        self.subscriptions: dict[str, Subscription] = {}
        self.intake = Intake(world, settings.duplicate_window, itertools.count(1), self._arrive)

    def check(self, _content: Content) -> None:
        """Raises Refused while the topic takes no messages."""
        if not self.settings.is_sendable:
            raise disabled(self.path)

    def send(self, contents: Sequence[Content]) -> list[int]:
        """All of them, or none. Their sequence numbers."""
        for content in contents:
            self.check(content)
        self.times.access()
        return [self.intake.accept(content) for content in contents]

    def _arrive(self, message: Message) -> None:
        ttl = min(math.inf if message.content.ttl is None else message.content.ttl, self.settings.default_ttl)
        if math.isfinite(ttl):
            message.content = replace(message.content, ttl=ttl)
        seen = view(message, self._world.ahead)
        for subscription in list(self.subscriptions.values()):
            subscription.offer(message, seen)
