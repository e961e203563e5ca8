"""I/O of an event. Pending effects are flushed together: one call to the store and one to each queue, concurrently."""

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
"""Seconds, plus or minus half, before the second and the third attempt of a change that the store did not answer."""

NO_ANSWER = "no answer before the event's time was over"

NO_TIME = "the event's time was over before it could be asked"

Steps = Sequence[tuple[Delivery, Any]]
"""Deliveries, each with the effect that it requests."""

Results = list[tuple[Delivery, Any]]
"""Deliveries, each with the result of its effect."""

Ask = Callable[[Steps], Iterable[Results]]


class Flush:
    """One call to a store or a queue, made in another thread, for all effects that wait for it.

    The effects are collected when that thread begins, and so include those added in the meantime: quick handlers share a
    call, and slow ones do not wait for each other.
    """

    def __init__(self, place: object, effects: deque[Any], ask: Ask) -> None:
        self.place = place
        """The store or the queue. Only one flush at a time is made to each."""
        self.effects = effects
        self._ask = ask
        self._lock = threading.Lock()
        self._over = False
        self._taken = False
        self._unanswered: dict[int, tuple[Delivery, Any]] = {}
        """Effects without a result, by the id of their delivery, which waits for one effect at a time."""
        self.results: Results = []
        """Results received so far."""

    def perform(self) -> None:
        """Perform the effects, unless the flush was given up."""
        for results in self._ask(self._take()):
            with self._lock:
                if self._over:
                    return  # `give_up` has already returned errors for these
                self.results += results
                for delivery, _ in results:
                    del self._unanswered[id(delivery)]

    def _take(self) -> Steps:
        with self._lock:
            if self._taken:
                return []
            self._taken = True
            steps = [self.effects.popleft() for _ in range(len(self.effects))]
            # One at a time, because the other thread may be adding to the deque.
            self._unanswered = {id(delivery): (delivery, effect) for delivery, effect in steps}
            return steps

    def give_up(self, why: str) -> Results:
        """Stop waiting. Return the results received so far, and an error for each other effect.

        Those may have been performed nevertheless. Later results are ignored.
        """
        self._take()
        with self._lock:
            self._over = True
            unanswered = self._unanswered.values()
            return [*self.results, *((delivery, _refused(effect, why)) for delivery, effect in unanswered)]


class EffectRunner:
    """Performs the effects of an event: one flush at a time to the store and to each queue, so that a call that hangs does not
    delay those to other places."""

    def __init__(self, schedule: Schedule, bound: BoundConsumer, deadline: Deadline) -> None:
        self._schedule = schedule
        self._bound = bound
        self._deadline = deadline
        self.flushes: dict[Future[None], Flush] = {}

    @property
    def busy(self) -> bool:
        """True while results are pending."""
        return bool(self.flushes)

    def start(self) -> tuple[list[Future[None]], Results]:
        """Start a flush for each place with waiting effects. Return the futures, and errors for effects that cannot start."""
        futures: list[Future[None]] = []
        results: Results = []
        for flush in self._waiting():
            begun, refused = self._begin(flush)
            futures += begun
            results += refused
        return futures, results

    def _waiting(self) -> list[Flush]:
        """Return a flush for each place that has waiting effects and no flush in progress."""
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
        """Give up a flush for which no time is left. Records of messages that have run are still written, without waiting for
        the answer; nothing is claimed or sent."""
        steps = list(flush.effects)
        changes = [effect for delivery, effect in steps if delivery.claim is not None and isinstance(effect, Change)]
        if changes:
            self._bound.io.submit(partial(_swap_once, self._bound, changes))
        return flush.give_up(NO_TIME)

    def collect(self) -> Results:
        """Return the results of finished flushes, and of all of them once their time is over. Raises what a flush raised."""
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
        """Return the seconds after which `collect` has results at the latest; None if nothing is in progress."""
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
    """Make changes, and repeat those that were not answered while there is time for a call as long as the last one.

    Repeating is safe: a change that has already been made wins again.
    """
    began = deadline.clock.monotonic()
    answers = _swap_once(bound, changes)
    for pause in PAUSES:
        unanswered = [n for n, answer in enumerate(answers) if _may_be_answered(answer)]
        took = deadline.clock.monotonic() - began
        if not unanswered or deadline.io_left() <= pause + took:
            break
        time.sleep(bound.random.uniform(pause / 2, pause * 1.5))  # jitter keeps two conflicting writers apart
        began = deadline.clock.monotonic()
        for n, answer in zip(unanswered, _swap_once(bound, [changes[n] for n in unanswered]), strict=True):
            answers[n] = answer
    return answers


def _may_be_answered(answer: Answer) -> bool:
    """Return whether a change is worth repeating. A record that this release cannot read stays unreadable."""
    return answer.error is not None and not isinstance(answer.error, UnreadableRecord)


def _swap_once(bound: BoundConsumer, changes: Sequence[Change]) -> list[Answer]:
    assert bound.store is not None, "without a store no lifecycle requests a change"
    try:
        answers = list(bound.store.swap(changes))
    except Exception as exc:  # noqa: BLE001 - any failure means that the change may have been made
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
    except Exception as exc:  # noqa: BLE001 - any failure means that the queue may have the message
        return [because(SendError(described(exc)), exc)] * len(batch)
    missing = len(batch) - len(refusals)
    return refusals[: len(batch)] + [SendError("the sender gave no answer")] * missing
