"""One world for all entry points of a platform: store, clock, queues and observer, fresh for each event at no cost."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from random import Random
from types import MappingProxyType
from typing import Any

from peeklock.errors import SendError
from peeklock.idempotency.record import State
from peeklock.idempotency.store import Answer, Change
from peeklock.observability.observer import LogObserver, Settled
from peeklock.outgoing import OutgoingMessage
from peeklock.stores.memory import MemoryStore
from peeklock.testing import FakeClock
from tests.fuzz.handlers import FATE

START = datetime(2026, 11, 25, 2, tzinfo=UTC)
"""A few minutes after the sample events were sent."""


class Shelf:
    """A store that is another one for each event."""

    def __init__(self) -> None:
        self.inner = MemoryStore()

    def swap(self, changes: Sequence[Change], /) -> Sequence[Answer]:
        return self.inner.swap(changes)

    def done(self) -> set[str]:
        return {key for key, record in self.inner.records.items() if record.state is State.DONE}


class Box:
    """A sender of the product in front of its service's client; remembers what went through it. `make`: gives a sender
    for each event, since it learns the limits of its queue."""

    def __init__(self, make: Callable[[], Any], service: Any) -> None:
        self.make = make
        self.service = service
        self.reset()

    def __getattr__(self, name: str) -> Any:
        return getattr(self.sender, name)

    def send(self, outgoing_messages: Sequence[OutgoingMessage], /) -> Sequence[SendError | None]:
        answers = self.sender.send(outgoing_messages)
        self.outgoing_messages += [
            outgoing for outgoing, refused in zip(outgoing_messages, answers, strict=True) if refused is None
        ]
        return answers

    def reset(self) -> None:
        self.sender = self.make()
        self.outgoing_messages: list[OutgoingMessage] = []
        self.service.taken, self.service.refused = [], []


class Ears(logging.Handler):
    """Hears every record of the product, as a log file would have it."""

    def __init__(self) -> None:
        super().__init__()
        self.lines: list[str] = []
        self.faults: list[str] = []
        self.formatter = logging.Formatter()

    def emit(self, record: logging.LogRecord) -> None:
        text = f"{self.format(record)} {record.__dict__.get('peeklock')}"
        self.lines.append(text)
        if text.startswith("peeklock.fault"):
            self.faults.append(text)


@dataclass
class Watcher:
    """Remembers the settlements of one delivery, and logs them as the product does."""

    settled_items: list[Settled] = field(default_factory=list)
    calls: int = 0
    log: LogObserver = field(default_factory=LogObserver)

    def running(self, _: Any, /) -> None:
        return None

    def settled(self, platform: str, settled: Sequence[Settled], /) -> None:
        self.calls += 1
        self.settled_items += settled
        self.log.settled(platform, settled)


class Stage:
    """Everything that an entry point is bound to. `clients`: by the module whose client the process would otherwise make."""

    def __init__(self, dead_letters: Box, copies: Box, clients: Mapping[Any, Any] = MappingProxyType({})) -> None:
        self.shelf = Shelf()
        self.clock = FakeClock(START)
        self.random = Random()
        self.dead_letters = dead_letters
        self.copies = copies
        self.watcher = Watcher()
        self.ears = Ears()
        self._clients = clients

    @contextmanager
    def set(self) -> Iterator[None]:
        """Within it, log and clients are the stage's; afterwards they are the process's again, for the next test."""
        log = logging.getLogger("peeklock")
        level, propagates = log.level, log.propagate
        own = {module: module.client for module in self._clients}
        try:
            log.addHandler(self.ears)
            log.setLevel(logging.INFO)
            log.propagate = False
            for module, client in self._clients.items():
                module.client = lambda _, client=client: client
            yield
        finally:
            for module, client in own.items():
                module.client = client
            log.removeHandler(self.ears)
            log.setLevel(level)
            log.propagate = propagates

    def options(self, *, stored: bool) -> dict[str, Any]:
        """Keywords of every `bind`."""
        world: dict[str, Any] = {
            "dead_letter": self.dead_letters,
            "queue": self.copies,
            "observer": self.watcher,
            "clock": self.clock,
            "random": self.random,
        }
        return {**world, "store": self.shelf} if stored else world

    def reset(self, seed: int) -> None:
        self.shelf.inner = MemoryStore()
        self.clock._now = START
        self.random.seed(seed)
        FATE.reset(seed)
        for box in (self.dead_letters, self.copies):
            box.reset()
        self.ears.lines, self.ears.faults = [], []

    def begin(self, passed: float) -> None:
        """Another delivery of the same event, some time later."""
        self.clock.advance(timedelta(seconds=passed))
        self.watcher.settled_items, self.watcher.calls = [], 0
        FATE.successes, FATE.runs = [], 0
