"""Scheduling of an event's messages: groups in order, messages of one key one after the other, suspects last and alone.

No I/O.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import Any

from peeklock.engine.bound_consumer import BoundConsumer, Deadline
from peeklock.engine.delivery import RUN, Delivery, Effect, Group, Halted, Send, prepare, record_key
from peeklock.engine.lifecycle import NOTHING_TO_DO, process, refuse
from peeklock.engine.settlement import done, fail
from peeklock.idempotency.decision import Verdict
from peeklock.idempotency.store import Change
from peeklock.message import Message
from peeklock.observability.observer import log_event
from peeklock.outcome import Disposition, Outcome, Reason

BACKSTOP = 10
"""Multiple of `max_attempts` in deliveries after which a message is exhausted without a run, if no store counts starts.
Single deliveries may end without a run, but so many do only if the message kills its process."""

NEVER_ENDS = f"delivered more than {BACKSTOP} times as often as max_attempts, and no attempt has come to an end"

NOT_ALONE = "a handler that could not be stopped still runs beside it"

NOT_COMPLETED = "an earlier message of its group was not completed"

READING_SECONDS = 0.5
"""Time for which an event reads messages with the user's hooks before it runs those that it has read. Looking up a key takes
microseconds, but fetching a body may take seconds, and fetching all of them more than there is time for."""

QUICK_READING_SECONDS = 0.05
"""The same, if a next hook that takes its full time-out would leave no time to run the messages that were read."""


class Schedule:
    """Lifecycles of the messages of one event.

    A driver performs the effects in `changes` and `sends`, runs the deliveries that `start` returns, and passes each result
    to `advance`. When none of these is left or in progress, `resume_suspect` continues one of the messages that have to run
    alone. When `unfinished` is 0, all messages have an outcome.
    """

    def __init__(self, messages: Sequence[Message], bound: BoundConsumer, deadline: Deadline) -> None:
        self.bound = bound
        self.deadline = deadline
        self.deliveries: list[Delivery] = []
        self.unfinished = len(messages)
        self._messages = iter(messages)
        self._monotonic, self._last_start = deadline.clock.monotonic, deadline.last_start
        self._backstop = bound.queue.max_attempts * BACKSTOP
        self._groups: dict[str, Group] = {}
        self.ready: deque[Delivery] = deque()
        self.changes: deque[tuple[Delivery, Change]] = deque()
        self.sends: deque[tuple[Delivery, Send]] = deque()
        self.suspects: deque[Delivery] = deque()
        self._keys: dict[str, Delivery] = {}
        """The last delivery of each key."""
        self._steps: list[tuple[Delivery, Any]] = []
        """Lifecycles that may continue now, each with the result that it waits for."""
        self._has_store = bound.store is not None
        if self._has_store:
            self._claim_next()

    def _claim_next(self) -> bool:
        """Begin all lifecycles, with a store, so that their claims leave in one call; only some if reading takes long.

        Return whether there were any.
        """
        first = []
        began = self._monotonic()
        admitted = len(self.deliveries)
        for message in self._messages:
            delivery = self._admit(message)
            delivery.lifecycle = process(delivery, self.bound, self.deadline)
            if self._is_first_of_key(delivery):
                first.append(delivery)
            if self.bound.has_hooks and self._has_read_enough(began):
                break
        for delivery in first:
            self.advance(delivery, None)
        return len(self.deliveries) > admitted

    def _has_read_enough(self, began: float) -> bool:
        """Return whether the messages read since `began` have to run before more are read."""
        now = self._monotonic()
        has_room = now + self.deadline.timeout <= self._last_start
        return now - began > (READING_SECONDS if has_room else QUICK_READING_SECONDS)

    def _is_first_of_key(self, delivery: Delivery) -> bool:
        """Return whether no unfinished delivery of this event has the same key. Otherwise this one waits for it."""
        delivery.record_key = record_key(delivery, self.bound)
        neighbour = self._keys.get(delivery.record_key)
        self._keys[delivery.record_key] = delivery
        if neighbour is None:
            return True
        if neighbour.finished:
            _pass_record(neighbour, delivery)
            return True
        neighbour.next_of_key = delivery
        return False

    def _begin_next(self) -> bool:
        """Admit one more message, without a store. Admitting all 10,000 of a large event at once would be slower."""
        for message in self._messages:
            self._begin(self._admit(message))
            return True
        return False

    def _begin(self, delivery: Delivery) -> None:
        if delivery.is_empty:
            self._finish(delivery, NOTHING_TO_DO)
            self._follow()
        elif delivery.verdict is not None or self._is_exhausted(delivery.message):
            delivery.lifecycle = refuse(delivery, self.bound, self.deadline)
            self.advance(delivery, None)
        elif delivery.message.group is None:
            self.ready.append(delivery)
        else:
            self._at_gate(delivery)
            self._follow()

    def _is_exhausted(self, message: Message) -> bool:
        """Return whether the lineage says that all attempts are used up. It counts starts, unlike the platform."""
        return message.lineage is not None and message.lineage.attempts >= self.bound.queue.max_attempts

    def _admit(self, message: Message) -> Delivery:
        delivery = Delivery(message)
        self.deliveries.append(delivery)
        if not self._has_store and message.attempt > self._backstop:  # reading it may be what kills the process
            delivery.verdict = Verdict(reason=Reason.EXHAUSTED, detail=NEVER_ENDS)
        else:
            prepare(delivery, self.bound, self.deadline)
        if message.group is not None:
            self._groups.setdefault(message.group, Group()).join(delivery)
        return delivery

    def advance(self, delivery: Delivery, result: Any) -> None:
        """Pass a lifecycle the result that it waits for, and continue all that this allows to continue.

        Without a store, a delivery has no lifecycle until it fails: its success ends it here.
        """
        # One lifecycle each would take 10 % of an event of one message, 19 % of ten (CPU time, SQS, an empty handler).
        if result is None and delivery.lifecycle is None:
            self._finish(delivery, done(delivery.message.attempt))
        else:
            self._step(delivery, result)
        self._follow()

    def _follow(self) -> None:
        while self._steps:
            self._step(*self._steps.pop())

    def _step(self, delivery: Delivery, result: Any) -> None:
        """Make one step of a lifecycle, which may allow others to continue."""
        if delivery.lifecycle is None:
            delivery.lifecycle, result = fail(delivery, self.bound, self.deadline, result), None
        try:
            effect = delivery.lifecycle.send(result)
        except StopIteration as end:
            self._finish(delivery, end.value)
        except Exception as exc:  # noqa: BLE001 - a bug of peeklock must not affect the other messages
            self._finish(delivery, _fault(delivery, exc))
        else:
            self._request(delivery, effect)

    def _request(self, delivery: Delivery, effect: Effect) -> None:
        if effect is RUN:
            self._at_gate(delivery)
        elif isinstance(effect, Change):
            self.changes.append((delivery, effect))
        elif isinstance(effect, Send):
            self.sends.append((delivery, effect))
        else:
            self.suspects.append(delivery)

    def _at_gate(self, delivery: Delivery) -> None:
        group = delivery.group
        if group is None:
            self.ready.append(delivery)
        elif not group.is_turn_of(delivery):
            delivery.waiting = True
        elif group.halted:
            self._steps.append((delivery, Halted(NOT_COMPLETED)))
        else:
            self.ready.append(delivery)

    def _finish(self, delivery: Delivery, outcome: Outcome) -> None:
        delivery.outcome = outcome
        delivery.finished = True
        delivery.payload = None
        self.unfinished -= 1
        neighbour, group = delivery.next_of_key, delivery.group
        if neighbour is not None:
            _pass_record(delivery, neighbour)
            self._steps.append((neighbour, None))
        follower = None if group is None else group.next()
        if follower is not None:
            follower.waiting = False
            self._at_gate(follower)

    def resume_suspect(self, *, alone: bool = True) -> bool:
        """Continue the first message that has to run alone and whose turn it is in its group, now that nothing else runs.

        Return whether there was one.
        """
        for delivery in self.suspects:
            if delivery.group is None or delivery.group.is_turn_of(delivery):
                self.suspects.remove(delivery)
                self.advance(delivery, self._reason_to_halt(delivery, alone=alone))
                return True
        return False

    def _reason_to_halt(self, delivery: Delivery, *, alone: bool) -> Halted | None:
        if delivery.group is not None and delivery.group.halted:
            return Halted(NOT_COMPLETED)
        if not alone:
            return Halted(NOT_ALONE)
        return None if self.deadline.has_room(delivery.spent) else Halted("no time left to run it alone")

    def unblock(self, why: str, *, alone: bool) -> None:
        """Continue when nothing runs, no result is pending, and nothing more can be started.

        Messages that are ready are given back, with the reason `why`. Without any, further messages are admitted; without
        those, a suspect continues. `alone`: no handler that could not be stopped is still running.
        """
        if self.ready:
            self.halt_ready(why)
        elif not self.admit_more() and not self.resume_suspect(alone=alone):
            raise RuntimeError("a message waits for nothing; this is a bug of peeklock, and nothing is settled")

    def admit_more(self) -> bool:
        """Read further messages. Return whether there were any."""
        return self._claim_next() if self._has_store else self._begin_next()

    def start(self) -> Delivery | None:
        """Return the next delivery whose handler has to run now. If no time is left, all that are ready are halted instead."""
        ready = self.ready
        while True:
            while not ready:  # without a store, messages are admitted until something may run
                if self._has_store or self.sends or not self._begin_next():
                    return None
            if self._monotonic() > self._last_start + ready[0].spent:
                self.halt_ready("no time left to start")
                return None
            delivery = ready.popleft()
            if delivery.failure is None:
                return delivery
            self.advance(delivery, delivery.failure)  # it could not be read, and fails when it is its turn

    def start_all(self) -> list[Delivery]:
        """Return all deliveries that are ready, for a batch handler."""
        chosen = []
        began = self._monotonic()
        while (delivery := self.start()) is not None:
            chosen.append(delivery)
            if self.bound.has_hooks and self._has_read_enough(began):
                break
        return chosen

    def halt_ready(self, why: str) -> None:
        """Give back all deliveries that are ready."""
        while self.ready:
            self.advance(self.ready.popleft(), Halted(why))


def next_job(schedule: Schedule, bound: BoundConsumer, *, io_waits: bool) -> Sequence[Delivery]:
    """Return the deliveries of the next call: one, or for a batch handler all that may run, once no claim is pending.

    Empty if there are none.
    """
    if not bound.handler.batch:
        delivery = schedule.start()
        return () if delivery is None else (delivery,)
    if io_waits or schedule.changes or schedule.sends:
        return ()
    return schedule.start_all()


def _pass_record(before: Delivery, delivery: Delivery) -> None:
    """Tell the next delivery of a key the record that the previous one left."""
    delivery.expected_record = before.expected_record if before.record_key == delivery.record_key else None


def _fault(delivery: Delivery, exc: Exception) -> Outcome:
    log_event("peeklock.fault %s", {"message_id": delivery.message.id, "error": type(exc).__name__}, error=exc)
    return Outcome(disposition=Disposition.ABANDON, reason=Reason.RETRY, attempt=delivery.attempt, error=exc)
