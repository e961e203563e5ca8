"""A topic: each message goes, as a copy, to every subscription that has a rule for it.

https://learn.microsoft.com/azure/service-bus-messaging/topic-filters
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import replace

from peeklock.emulators.servicebus.errors import EXISTS, NOT_FOUND, Refused
from peeklock.emulators.servicebus.intake import Intake
from peeklock.emulators.servicebus.message import Content, Message
from peeklock.emulators.servicebus.queue import Queue, send_letter
from peeklock.emulators.servicebus.rulebook import Rule, changed, view
from peeklock.emulators.servicebus.world import Settings, World

NO_SESSION = {
    "DeadLetterReason": "Session ID is null.",
    "DeadLetterErrorDescription": "Session enabled entity doesn't allow a message whose session identifier is null.",
}


class Subscription:
    def __init__(self, queue: Queue, rules: Sequence[Rule]) -> None:
        self.queue = queue
        self.rules = {rule.name: rule for rule in rules}

    def add(self, rule: Rule) -> None:
        if rule.name in self.rules:
            raise Refused(EXISTS, f"The rule '{rule.name}' exists in '{self.queue.path}' already.")
        self.rules[rule.name] = rule

    def remove(self, name: str) -> None:
        if self.rules.pop(name, None) is None:
            raise Refused(NOT_FOUND, f"The messaging entity '{self.queue.path}/Rules/{name}' could not be found.")

    def offer(self, message: Message) -> None:
        """A copy for each rule with an action that matches, and one for all the other rules that do."""
        seen = view(message)
        matching = [rule for rule in self.rules.values() if rule.matches(seen)]
        actions = [rule.action for rule in matching if rule.action is not None]
        contents = [changed(message.content, seen, action(seen)) for action in actions]
        if len(actions) < len(matching):
            contents.append(message.content)
        for content in contents:
            self._enqueue(content, message)

    def _enqueue(self, content: Content, origin: Message) -> None:
        copy = Message(content, next(self.queue.numbers), origin.enqueued)
        copy.first_sequence, copy.hops, copy.source = origin.first_sequence, origin.hops, origin.source
        if self.queue.sessions is None or content.session is not None:
            self.queue.arrive(copy)
        else:
            assert self.queue.letters is not None
            send_letter(copy, self.queue.letters, NO_SESSION)


class Topic:
    def __init__(self, path: str, settings: Settings, world: World) -> None:
        self.path = path
        self.settings = settings
        self.subscriptions: dict[str, Subscription] = {}
        self.intake = Intake(world, settings.duplicate_window, itertools.count(1), self._arrive)

    def check(self, content: Content) -> None:
        """Every message can be sent to a topic."""

    def send(self, contents: Sequence[Content]) -> list[int]:
        """Their sequence numbers."""
        return [self.intake.accept(content) for content in contents]

    def _arrive(self, message: Message) -> None:
        ttl = min(math.inf if message.content.ttl is None else message.content.ttl, self.settings.default_ttl)
        if math.isfinite(ttl):
            message.content = replace(message.content, ttl=ttl)
        for subscription in list(self.subscriptions.values()):
            subscription.offer(message)
