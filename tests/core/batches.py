"""Every order in which one small batch can go: I/O, starts, ends, failures, lost answers and deaths at each step.

It drives the real schedule and lives, which do no I/O, over a real store. A run is a list of choices; the next run takes
the last of them that has another way, until none has.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from peeklock import Queue, consumer
from peeklock.engine.bound_consumer import BoundConsumer, Deadline, Delays
from peeklock.engine.delivery import Delivery
from peeklock.engine.scheduler import Schedule
from peeklock.errors import SendError, StoreError
from peeklock.idempotency import claims
from peeklock.idempotency.record import State
from peeklock.idempotency.store import Answer
from peeklock.message import Message
from peeklock.outcome import NOT_AN_ATTEMPT
from peeklock.outgoing import OutgoingMessage
from peeklock.stores.memory import MemoryStore
from peeklock.testing import FakeClock, Outbox
from tests.core.model import Broken
from tests.core.world import bound_for, message

QUEUE = Queue("orders", max_attempts=2, timeout=30)


@dataclass(frozen=True, kw_only=True)
class Case:
    """Messages as `(key, group)`, and how much may go wrong."""

    batch: tuple[tuple[str, str | None], ...]
    parallel: int = 1
    failures: int = 0
    """Runs that raise."""
    deaths: int = 0
    lost: int = 0
    """Rounds with the store that are made, and not answered."""
    refused: int = 0
    """Dead letters and copies that a queue does not take."""
    delays: Delays = Delays.NATIVE


class Choices:
    """The way of one run, and how to find the next."""

    def __init__(self) -> None:
        self.way: list[tuple[int, int]] = []
        self.at = 0

    def pick(self, options: int) -> int:
        if self.at == len(self.way):
            self.way.append((0, options))
        taken, expected = self.way[self.at]
        assert expected == options, "a run depends on its choices alone"
        self.at += 1
        return taken

    def next(self) -> bool:
        """Return whether there is another way."""
        while self.way and self.way[-1][0] + 1 == self.way[-1][1]:
            self.way.pop()
        if not self.way:
            return False
        taken, options = self.way[-1]
        self.way[-1] = taken + 1, options
        self.at = 0
        return True


class Death(Exception):
    """The process dies here."""


@consumer(QUEUE, key="key")
def handler(payload: dict) -> None:  # type: ignore[type-arg] # never called: a run ends as it is chosen to
    raise NotImplementedError


@dataclass
class Run:
    """One way through a case."""

    case: Case
    choices: Choices
    make: Callable[[Sequence[Message], BoundConsumer, Deadline], Schedule]
    clock: FakeClock = field(default_factory=FakeClock)
    store: MemoryStore = field(default_factory=MemoryStore)
    dead_letters: Outbox = field(default_factory=Outbox)
    copies: Outbox = field(default_factory=Outbox)
    effects: Counter[str] = field(default_factory=Counter)
    starts: Counter[str] = field(default_factory=Counter)
    newest: Counter[str] = field(default_factory=Counter)
    """The highest copy number of each message that was published."""
    ran: list[Delivery] = field(default_factory=list)
    """In this event."""
    settled: set[str] = field(default_factory=set)
    running: list[Delivery] = field(default_factory=list)
    spent: Counter[str] = field(default_factory=Counter)
    history: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.bound = bound_for(
            handler,
            clock=self.clock,
            store=self.store,
            dead_letters=self.dead_letters,
            copies=self.copies,
            delays=self.case.delays,
            parallel=self.case.parallel,
        )
        self.key_of = {f"m{n}": key for n, (key, _) in enumerate(self.case.batch)}

    def fail(self, law: str) -> None:
        raise Broken(f"{law}\n" + "\n".join(self.history))

    def may(self, what: str, budget: int) -> bool:
        """Return whether it goes wrong here, at most as often as the case allows."""
        if self.spent[what] == budget or not self.choices.pick(2):
            return False
        self.spent[what] += 1
        self.history.append(what)
        return True

    # -- what the platform does

    def play(self) -> None:
        queue = [self.deliver(n, None) for n in range(len(self.case.batch))]
        for _ in range(
            QUEUE.max_attempts * len(queue) + sum((self.case.deaths, self.case.lost, self.case.refused)) + 4
        ):
            if not queue:
                return self.check_end()
            self.history.append(f"event: {[delivery.effective_lineage.derived for delivery in queue]}")
            queue = self.event(queue)
            self.clock.advance(3600)
        return self.fail("it never ends")

    def deliver(self, n: int, outgoing: OutgoingMessage | None) -> Message:
        key, group = self.case.batch[n]
        return message({"key": key}, id=f"m{n}", group=group, lineage=outgoing.lineage if outgoing else None)

    def event(self, queue: list[Message]) -> list[Message]:
        """Return the queue's messages after the event."""
        self.copies.outgoing_messages.clear()
        self.ran.clear()
        schedule = self.make(queue, self.bound, Deadline(self.bound, None, len(queue)))
        try:
            self.drive(schedule)
        except Death:
            self.running.clear()
            left = queue
        else:
            self.check_event(schedule.deliveries)
            self.settled |= {
                delivery.message.id
                for delivery in schedule.deliveries
                if delivery.outcome.finished and not delivery.outcome.copied
            }
            left = [delivery.message for delivery in schedule.deliveries if not delivery.outcome.finished]
        return left + [
            self.deliver(int(outgoing.lineage.id[1:]), outgoing) for outgoing in self.copies.outgoing_messages
        ]

    # -- what a driver does, in any order

    def drive(self, schedule: Schedule) -> None:
        while schedule.unfinished:
            steps = list(self.steps(schedule))
            if self.may("dies", self.case.deaths):
                self.check_loss()
                raise Death
            if steps:
                steps[self.choices.pick(len(steps))]()
            else:
                schedule.resume_suspect()

    def steps(self, schedule: Schedule) -> Iterator[Callable[[], None]]:
        if schedule.changes or schedule.sends:
            yield lambda: self.round(schedule)
        if schedule.ready and len(self.running) < self.case.parallel:
            yield lambda: self.start(schedule)
        for delivery in self.running:
            yield lambda delivery=delivery: self.end(schedule, delivery)

    def round(self, schedule: Schedule) -> None:
        changes, schedule.changes = schedule.changes, deque()
        sends, schedule.sends = schedule.sends, deque()
        self.history.append(f"round: {[(change.key, change.record and change.record.state) for _, change in changes]}")
        if len({change.key for _, change in changes}) < len(changes):
            self.fail("two changes of a key in one call")
        results: list[tuple[Delivery, Any]] = list(
            zip((delivery for delivery, _ in changes), self.store.swap([change for _, change in changes]), strict=True)
        )
        if changes and self.may("the answer is lost", self.case.lost):
            results = [(delivery, Answer(won=False, error=StoreError("lost"))) for delivery, _ in changes]
        for delivery, send in sends:
            refused = SendError("down") if self.may("refused", self.case.refused) else None
            results.append((delivery, refused or next(iter(send.sender.send([send.outgoing])))))
            if refused is None and send.sender is self.copies:
                name = send.outgoing.lineage.id
                self.newest[name] = max(self.newest[name], send.outgoing.lineage.copy_number)
        for delivery, result in results:
            schedule.advance(delivery, result)

    def start(self, schedule: Schedule) -> None:
        delivery = schedule.start()
        assert delivery is not None, "something was ready"
        name = delivery.message.id
        self.history.append(f"start: {delivery.message.effective_lineage.derived}")
        self.starts[name] += 1
        self.ran.append(delivery)
        if any(running.key == delivery.key for running in self.running):
            self.fail("two runs of a key at once")
        record = self.store.records.get(f"orders/{delivery.key}")
        if record is not None and record.state is State.DONE:
            self.fail("a run after a recorded success")
        self.check_turn(schedule, delivery)
        self.running.append(delivery)

    def check_turn(self, schedule: Schedule, delivery: Delivery) -> None:
        """All before it in its group are settled, or finished in this event without coming back."""
        group, name = delivery.message.group, delivery.message.id
        now = {
            delivery.message.id for delivery in schedule.deliveries if delivery.finished and delivery.outcome.finished
        }
        for n, (_, other_group) in enumerate(self.case.batch):
            before = f"m{n}"
            if before == name:
                return
            if group is not None and other_group == group and before not in self.settled | now:
                self.fail("run before its turn")

    def end(self, schedule: Schedule, delivery: Delivery) -> None:
        self.running.remove(delivery)
        failed = self.may("raises", self.case.failures)
        self.history.append(f"end: {delivery.message.id}")
        if not failed:
            self.effects[delivery.key] += 1
        schedule.advance(delivery, ValueError("no") if failed else None)

    # -- laws

    def check_loss(self) -> None:
        """A death exhausts no message but one that was alone: no other handler runs, and no other claim is a last one."""
        now = self.clock.now()
        last = {
            name
            for name, record in self.store.records.items()
            if record.state is State.RUNNING
            and record.lease_until > now
            and claims.counted(record) >= QUEUE.max_attempts
        }
        if last and len(last | {f"orders/{running.key}" for running in self.running}) > 1:
            self.fail(f"a death exhausts {sorted(last)}, and others had begun")

    def check_event(self, deliveries: Sequence[Delivery]) -> None:
        if self.running:
            self.fail("an event ended while a handler ran")
        dead_lettered = {outgoing.lineage.id for outgoing in self.dead_letters.outgoing_messages}
        for delivery in deliveries:
            outcome, name = delivery.outcome, delivery.message.id
            moved = self.newest[name] > delivery.message.effective_lineage.copy_number
            if outcome.finished and not (self.effects[delivery.key] or name in dead_lettered or moved):
                self.fail(f"{name} is lost: {outcome}")
            record = self.store.records.get(f"orders/{delivery.key}")
            held = record is not None and record.state is State.RUNNING and record.lease_until > self.clock.now()
            if held and not self.spent["the answer is lost"] and not self.spent["dies"]:
                self.fail(f"{name} ended as {outcome.reason} and its key is still held")
            if outcome.reason in NOT_AN_ATTEMPT and delivery in self.ran:
                self.fail(f"{name} is {outcome.reason}, and ran")

    def check_end(self) -> None:
        dead_lettered = {outgoing.lineage.id for outgoing in self.dead_letters.outgoing_messages}
        wrong = self.spent["dies"] + self.spent["the answer is lost"]
        for name, key in self.key_of.items():
            if not (self.effects[key] or name in dead_lettered):
                self.fail(f"{name} is lost")
            if self.effects[key] > 1 + wrong:
                self.fail(f"the effect of {key} is repeated")
        for key, messages in Counter(self.key_of.values()).items():
            runs = sum(self.starts[name] for name, other_key in self.key_of.items() if other_key == key)
            twins = (
                wrong if messages > 1 else 0
            )  # a life that they share may end in one's dead letter: the other begins anew
            if runs > QUEUE.max_attempts * messages + twins:
                self.fail(f"{key} ran more often than its attempts allow")


def explore(case: Case, make: Callable[[Sequence[Message], BoundConsumer, Deadline], Schedule] = Schedule) -> int:
    """The number of ways. Raises Broken."""
    choices, ways = Choices(), 0
    while True:
        Run(case, choices, make).play()
        ways += 1
        if not choices.next():
            return ways
