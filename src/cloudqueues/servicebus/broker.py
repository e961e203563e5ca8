"""Entities of one namespace by path."""

from __future__ import annotations

import itertools
import math
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

from cloudqueues.errors import ConfigError
from cloudqueues.servicebus.context import BrokerContext, ForwardingQueue
from cloudqueues.servicebus.errors import NOT_FOUND, Refused, disabled, not_found
from cloudqueues.servicebus.message import Message
from cloudqueues.servicebus.queue import Queue, send_dead_letter
from cloudqueues.servicebus.rules import Rule
from cloudqueues.servicebus.settings import ACTIVE, Settings
from cloudqueues.servicebus.topic import Subscription, Topic

DEAD_LETTER_QUEUE = "/$DeadLetterQueue"
TRANSFER_DEAD_LETTER_QUEUE = "/$Transfer/$DeadLetterQueue"
SUBSCRIPTIONS = "/Subscriptions/"
NAME = re.compile(r"[a-zA-Z0-9]([\w./-]*[a-zA-Z0-9])?", re.ASCII)
"""https://learn.microsoft.com/azure/azure-resource-manager/management/resource-name-rules#microsoftservicebus"""
MAX_HOPS = 4
"""https://learn.microsoft.com/azure/service-bus-messaging/service-bus-auto-forwarding#considerations"""


class Broker:
    """Broker of one namespace. Names are case-insensitive, as in the service."""

    def __init__(self, context: BrokerContext) -> None:
        self.context = context
        context.forward = self._forward
        self._entities: dict[str, Queue | Topic] = {}
        self._subscriptions: dict[str, Subscription] = {}

    # -- entities

    def add_queue(self, name: str, settings: Settings) -> None:
        """Add a queue. Raises ConfigError for a name that is taken or invalid."""
        self._claim(name)
        self._put(name, settings)

    def add_topic(self, name: str, settings: Settings) -> None:
        """Add a topic. Raises ConfigError for a name that is taken or invalid."""
        self._claim(name)
        self._entities[name.lower()] = Topic(name, settings, self.context)

    def add_subscription(self, topic: str, name: str, settings: Settings, rules: Sequence[Rule]) -> None:
        """Add a subscription to a topic. Raises ConfigError for a name that is taken, two rules with one name, or a
        missing topic."""
        parent = self._entities.get(topic.lower())
        if not isinstance(parent, Topic):
            raise ConfigError(f"there is no topic {topic!r}: add it before its subscription {name!r}")
        path = f"{parent.path}{SUBSCRIPTIONS}{name}"
        if twice := [rule_name for rule_name, count in Counter(rule.name for rule in rules).items() if count > 1]:
            raise ConfigError(f"two rules of {path!r} have the name {twice[0]!r}: give each its own `name`")
        self._claim(path)
        subscription = Subscription(self._put(path, settings), rules)
        parent.subscriptions[name.lower()] = self._subscriptions[path.lower()] = subscription

    def _claim(self, path: str) -> None:
        if not NAME.fullmatch(path):
            raise ConfigError(
                f"{path!r} is not a valid entity name: use letters, digits, '.', '-', '_' and '/', and begin and end"
                " with a letter or a digit"
            )
        if path.lower() in self._entities:
            raise ConfigError(
                f"an entity named {path!r} exists already: add it once, or choose another name (case is ignored)"
            )

    def _put(self, path: str, settings: Settings) -> Queue:
        """Add a queue with its two dead-letter queues, which share its sequence numbers."""
        numbers = itertools.count(1)
        forwarding, plain = _dead_letter_settings(settings)
        dead_letters = Queue(path + DEAD_LETTER_QUEUE, forwarding, self.context, numbers=numbers)
        transfer = Queue(path + TRANSFER_DEAD_LETTER_QUEUE, plain, self.context, numbers=numbers)
        queue = Queue(
            path, settings, self.context, dead_letters=dead_letters, transfer_dead_letters=transfer, numbers=numbers
        )
        for entity in (queue, dead_letters, transfer):
            self._entities[entity.path.lower()] = entity
        return queue

    def settings(self, path: str) -> Settings | None:
        """Return the settings of an entity, or None where it does not exist."""
        entity = self._entities.get(path.lower())
        return None if entity is None else entity.settings

    def has(self, path: str) -> bool:
        """Return whether an entity exists."""
        return path.lower() in self._entities

    def change(self, path: str, settings: Settings) -> None:
        """Change the settings of an entity. Its messages stay, and follow the new settings from their next delivery on.
        Links are detached when it is no longer active. Raises Refused where it does not exist."""
        entity = self.find(path)
        entity.settings = settings
        entity.ingress.window = settings.duplicate_window
        entity.timestamps.update()
        if settings.status != ACTIVE:
            self.context.detach_links(entity.path, disabled(entity.path))
        if isinstance(entity, Queue) and entity.dead_letters is not None and entity.transfer_dead_letters is not None:
            entity.dead_letters.settings, entity.transfer_dead_letters.settings = _dead_letter_settings(settings)

    def remove(self, path: str) -> None:
        """Remove an entity, if it exists, with its messages and dead letters, and a topic with its subscriptions."""
        whole = path.lower()
        entity = self._entities.pop(whole, None)
        self.context.detach_links(path, not_found(path))
        if isinstance(entity, Topic):
            for subscription in tuple(entity.subscriptions.values()):
                self.remove(subscription.queue.path)
        elif entity is not None:
            for dead_letters in (entity.dead_letters, entity.transfer_dead_letters):
                if dead_letters is not None:
                    self.remove(dead_letters.path)
            self._unsubscribe(whole)

    def _unsubscribe(self, path: str) -> None:
        if self._subscriptions.pop(path, None) is not None:
            topic, _, name = path.partition(SUBSCRIPTIONS.lower())
            parent = self._entities.get(topic)
            if isinstance(parent, Topic):
                del parent.subscriptions[name]

    def listed(self) -> list[Queue | Topic]:
        """Return queues and topics by name, without subscriptions and dead-letter queues."""
        return [
            entity
            for path, entity in sorted(self._entities.items())
            if isinstance(entity, Topic) or (entity.dead_letters is not None and path not in self._subscriptions)
        ]

    def find(self, path: str) -> Queue | Topic:
        """Return an entity. Raises Refused where it does not exist."""
        entity = self._entities.get(path.lower())
        if entity is None:
            raise not_found(path)
        return entity

    def queue(self, path: str) -> Queue:
        """Return a queue. Raises Refused where it does not exist."""
        entity = self.find(path)
        if isinstance(entity, Topic):
            raise Refused(NOT_FOUND, f"'{path}' is a topic: it has no messages.")
        return entity

    def target(self, path: str) -> Queue | Topic:
        """Return a queue or topic that can be sent to. Raises Refused."""
        entity = self.find(path)
        if path.lower() in self._subscriptions or (isinstance(entity, Queue) and entity.dead_letters is None):
            raise Refused(NOT_FOUND, f"'{path}' cannot be sent to.")
        return entity

    def subscription(self, queue: Queue) -> Subscription:
        """Return the subscription that a queue belongs to. Raises Refused for any other queue."""
        subscription = self._subscriptions.get(queue.path.lower())
        if subscription is None:
            raise Refused(NOT_FOUND, f"'{queue.path}' is not a subscription: it has no rules.")
        return subscription

    # -- forwarding

    def _forward(self, queue: ForwardingQueue, message: Message) -> None:
        """Forward a message, or move it to the transfer dead-letter queue where that fails. Dead letters keep the path
        of their source."""
        if queue.is_dead_letter_queue:
            message.source = message.source or queue.path.removesuffix(DEAD_LETTER_QUEUE)
        try:
            target = self._next(queue, message)
        except Refused as refused:
            self._stop(queue, message, refused)
        else:
            target.ingress.accept(replace(message.content, due=None), message)

    def _next(self, queue: ForwardingQueue, message: Message) -> Queue | Topic:
        if message.hops >= MAX_HOPS:
            raise Refused("MaxTransferHopCountExceeded", "The maximum number of hops between entities is exceeded.")
        target = self.target(queue.settings.forward_to or "")
        target.check(message.content)
        return target

    def _stop(self, queue: ForwardingQueue, message: Message, refused: Refused) -> None:
        owner = self.queue(queue.path.removesuffix(DEAD_LETTER_QUEUE))
        changes = {"DeadLetterReason": refused.condition, "DeadLetterErrorDescription": refused.text}
        assert owner.transfer_dead_letters is not None
        send_dead_letter(message, owner.transfer_dead_letters, changes)


def _dead_letter_settings(settings: Settings) -> tuple[Settings, Settings]:
    """Return the settings of an entity's dead-letter queue and of its transfer dead-letter queue."""
    plain = replace(
        settings, max_delivery_count=math.inf, requires_session=False, default_ttl=math.inf, duplicate_window=0.0,
        forward_to=None, status=ACTIVE,
    )  # fmt: skip
    return replace(plain, forward_to=settings.forward_dead_letters_to), plain
