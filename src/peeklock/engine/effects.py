"""The I/O of an event, in rounds: one call to the store and one to each queue, for all that wait, beside each other."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future
from functools import partial
from typing import Any

from peeklock.engine.bound_consumer import BoundConsumer, Deadline
from peeklock.engine.delivery import Delivery, Send
from peeklock.engine.scheduler import Schedule
from peeklock.errors import SendError, StoreError, UnreadableRecord, because, described, store_error
from peeklock.idempotency.store import Answer, Change

PAUSES = (0.05, 0.2)
"""Seconds, give or take a half, before the second and the third try of a change that the store did not answer."""

NO_ANSWER = "no answer before the event's time was over"

NO_TIME = "the event's time was over before it could be asked"

Steps = Sequence[tuple[Delivery, Any]]
"""Items and what each asks for."""

Results = list[tuple[Delivery, Any]]
"""Items and the answer to each."""

Ask = Callable[[Steps], Iterable[Results]]


class Flush:
    """All effects for one place that wait, as one call for another thread. What waits is looked at when that begins, so
    what came up on the way there goes out with it: quick handlers share one trip, and slow ones do not wait for each
    other."""

    def __init__(self, place: object, effects: deque[Any], ask: Ask) -> None:
        self.place = place
        """The store or the queue that it goes to: one round at a time."""
        self.effects = effects
        self._ask = ask
        self._lock = threading.Lock()
        self._over = False
        self._taken = False
        self._unanswered: dict[int, tuple[Delivery, Any]] = {}
        """By the number of the item: each waits for one effect."""
        self.results: Results = []
        """The answers so far."""

    def perform(self) -> None:
        """Ask for all of it, unless the round was given up."""
        for results in self._ask(self._take()):
            with self._lock:
                if self._over:
                    return  # what was not asked for yet was answered with an error
                self.results += results
                for delivery, _ in results:
                    del self._unanswered[id(delivery)]

    def _take(self) -> Steps:
        with self._lock:
            if self._taken:
                return []
            self._taken = True
            steps = [self.effects.popleft() for _ in range(len(self.effects))]
            # One by one, since the other thread may be adding to it.
            self._unanswered = {id(delivery): (delivery, effect) for delivery, effect in steps}
            return steps

    def give_up(self, why: str) -> Results:
        """Stop waiting: the answers that came, and an error for the rest, which may have been done all the same. What is
        answered later is ignored."""
        self._take()
        with self._lock:
            self._over = True
            unanswered = self._unanswered.values()
            return [*self.results, *((delivery, _refused(effect, why)) for delivery, effect in unanswered)]


class EffectRunner:
    """The I/O of an event: one round to the store at a time, and beside it one to each queue, so that none that hangs holds
    back what is for another."""

    def __init__(self, schedule: Schedule, bound: BoundConsumer, deadline: Deadline) -> None:
        self._schedule = schedule
        self._bound = bound
        self._deadline = deadline
        self.flushes: dict[Future[None], Flush] = {}

    @property
    def busy(self) -> bool:
        """Whether an answer is still to come."""
        return bool(self.flushes)

    def start(self) -> tuple[list[Future[None]], Results]:
        """Begin what waits: its futures, and what could not be begun with the reason."""
        futures: list[Future[None]] = []
        results: Results = []
        for flush in self._waiting():
            begun, refused = self._begin(flush)
            futures += begun
            results += refused
        return futures, results

    def _waiting(self) -> list[Flush]:
        """What waits for a place that no round is under way to."""
        taken = {flush.place for flush in self.flushes.values()}
        waiting: list[Flush] = []
        if self._schedule.changes and Change not in taken:
            waiting.append(Flush(Change, self._schedule.changes, partial(_ask_store, self._bound, self._deadline)))
        for sender, sends in self._by_sender().items():
            if sender in taken:
                self._schedule.sends.extend(sends)
            else:
                waiting.append(Flush(sender, sends, _ask_queue))
        return waiting

    def _by_sender(self) -> dict[int, deque[Any]]:
        """The sends that wait, taken, by the identity of their sender."""
        by_sender: dict[int, deque[Any]] = {}
        while self._schedule.sends:
            delivery, send = self._schedule.sends.popleft()
            by_sender.setdefault(id(send.sender), deque()).append((delivery, send))
        return by_sender

    def _begin(self, flush: Flush) -> tuple[list[Future[None]], Results]:
        try:
            if self._deadline.io_left() <= 0:
                return [], self._write_unawaited(flush)
            future = self._bound.io.submit(flush.perform)
        except TimeoutError as exc:
            return [], flush.give_up(f"not asked: {exc}")
        self.flushes[future] = flush
        return [future], []

    def _write_unawaited(self, flush: Flush) -> Results:
        """There is no time to wait for an answer. What messages came to is still written if it can be; none is claimed,
        and nothing is sent."""
        steps = list(flush.effects)
        known = [effect for delivery, effect in steps if delivery.claim is not None and isinstance(effect, Change)]
        if known:
            self._bound.io.submit(partial(_swap_once, self._bound, known))
        return flush.give_up(NO_TIME)

    def collect(self) -> Results:
        """The answers of rounds that ended; and of all, when their time is over. What ends a process is raised here."""
        over = self._deadline.io_left() <= 0
        results: Results = []
        for future, flush in list(self.flushes.items()):
            if future.done():
                future.result()
                results += flush.results
            elif over:
                self._bound.io.give_up(future)
                results += flush.give_up(NO_ANSWER)
            else:
                continue
            del self.flushes[future]
        return results

    def left(self) -> float | None:
        """Seconds until `collect` has something at the latest; None when nothing is under way."""
        return max(self._deadline.io_left(), 0.0) if self.flushes else None


def _refused(effect: Change | Send, why: str) -> Answer | SendError:
    return SendError(why) if isinstance(effect, Send) else Answer(won=False, error=StoreError(why))


def _ask_store(bound: BoundConsumer, deadline: Deadline, steps: Steps) -> Iterator[Results]:
    if steps:
        answers = _swap(bound, deadline, [change for _, change in steps])
        yield [(delivery, answer) for (delivery, _), answer in zip(steps, answers, strict=True)]


def _ask_queue(steps: Steps) -> Iterator[Results]:
    if steps:
        yield [(delivery, refused) for (delivery, _), refused in zip(steps, _send(steps), strict=True)]


def _swap(bound: BoundConsumer, deadline: Deadline, changes: Sequence[Change]) -> list[Answer]:
    """Ask again for what was not answered, while a try as long as the last one fits: a change that is there already
    wins."""
    began = deadline.clock.monotonic()
    answers = _swap_once(bound, changes)
    for pause in PAUSES:
        unanswered = [n for n, answer in enumerate(answers) if _may_be_answered(answer)]
        took = deadline.clock.monotonic() - began
        if not unanswered or deadline.io_left() <= pause + took:
            break
        time.sleep(bound.random.uniform(pause / 2, pause * 1.5))  # two in each other's way must not meet again
        began = deadline.clock.monotonic()
        for n, answer in zip(unanswered, _swap_once(bound, [changes[n] for n in unanswered]), strict=True):
            answers[n] = answer
    return answers


def _may_be_answered(answer: Answer) -> bool:
    """Whether asking again may help: a record that cannot be read stays so."""
    return answer.error is not None and not isinstance(answer.error, UnreadableRecord)


def _swap_once(bound: BoundConsumer, changes: Sequence[Change]) -> list[Answer]:
    assert bound.store is not None, "without a store no life asks for a change"
    try:
        answers = list(bound.store.swap(changes))
    except Exception as exc:  # noqa: BLE001 - any failure of a store means the same: unknown whether it was made
        return [Answer(won=False, error=store_error(exc))] * len(changes)
    answers = [_understood(answer) for answer in answers[: len(changes)]]
    missing = len(changes) - len(answers)
    return answers + [Answer(won=False, error=StoreError("the store gave no answer"))] * missing


def _understood(answer: object) -> Answer:
    if isinstance(answer, Answer):
        return answer
    return Answer(won=False, error=StoreError(f"the store answered with a {type(answer).__name__}"))


def _send(batch: Sequence[tuple[Delivery, Send]]) -> list[SendError | None]:
    sender = batch[0][1].sender
    try:
        refusals = list(sender.send([send.outgoing for _, send in batch]))
    except SendError as exc:
        return [exc] * len(batch)
    except Exception as exc:  # noqa: BLE001 - any failure of a sender means the same: not known to be there
        return [because(SendError(described(exc)), exc)] * len(batch)
    missing = len(batch) - len(refusals)
    return refusals[: len(batch)] + [SendError("the sender gave no answer")] * missing
