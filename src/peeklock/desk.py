"""The I/O of an event, in rounds: one call to the store and one to each queue, for all that wait."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from peeklock.errors import SendError, StoreError, UnreadableRecord, because, store_error
from peeklock.item import Item, Send
from peeklock.plan import Plan, Window
from peeklock.schedule import Schedule
from peeklock.store import Answer, Change

PAUSES = (0.05, 0.2)
"""Seconds, give or take a half, before the second and the third try of a change that the store did not answer."""

Results = list[tuple[Item, Any]]

T = TypeVar("T")


def take_round(schedule: Schedule, plan: Plan, window: Window) -> Callable[[], Results] | None:
    """All I/O that waits, as one call that may run in another thread; None when none waits. What waits is looked at when
    that begins, so what came up on the way there goes out with it: quick handlers share one trip, and slow ones do not
    wait for each other."""
    if not schedule.changes and not schedule.sends:
        return None

    def perform() -> Results:
        changes, sends = _taken(schedule.changes), _taken(schedule.sends)
        results: Results = []
        if changes:
            answers = _swap(plan, window, [change for _, change in changes])
            results += [(item, answer) for (item, _), answer in zip(changes, answers, strict=True)]
        results += _send_all(sends)
        return results

    return perform


def _taken(waiting: deque[T]) -> list[T]:
    """One by one, since the other thread may be adding to it."""
    return [waiting.popleft() for _ in range(len(waiting))]


def _swap(plan: Plan, window: Window, changes: Sequence[Change]) -> list[Answer]:
    """Ask again for what was not answered, while there is time: a change that is there already wins."""
    answers = _swap_once(plan, changes)
    for pause in PAUSES:
        unanswered = [n for n, answer in enumerate(answers) if _may_be_answered(answer)]
        if not unanswered or window.clock.monotonic() + pause >= window.limit:
            break
        time.sleep(plan.random.uniform(pause / 2, pause * 1.5))  # two in each other's way must not meet again
        for n, answer in zip(unanswered, _swap_once(plan, [changes[n] for n in unanswered]), strict=True):
            answers[n] = answer
    return answers


def _may_be_answered(answer: Answer) -> bool:
    """Whether asking again may help: a record that cannot be read stays so."""
    return answer.error is not None and not isinstance(answer.error, UnreadableRecord)


def _swap_once(plan: Plan, changes: Sequence[Change]) -> list[Answer]:
    assert plan.store is not None, "without a store no life asks for a change"
    try:
        answers = list(plan.store.swap(changes))
    except Exception as exc:  # noqa: BLE001 - any failure of a store means the same: unknown whether it was made
        return [Answer(won=False, error=store_error(exc))] * len(changes)
    missing = len(changes) - len(answers)
    return answers[: len(changes)] + [Answer(won=False, error=StoreError("the store gave no answer"))] * missing


def _send_all(sends: Sequence[tuple[Item, Send]]) -> Results:
    by_sender: dict[int, list[tuple[Item, Send]]] = {}
    for item, send in sends:
        by_sender.setdefault(id(send.sender), []).append((item, send))
    results: Results = []
    for batch in by_sender.values():
        refusals = _send(batch)
        results += [(item, refused) for (item, _), refused in zip(batch, refusals, strict=True)]
    return results


def _send(batch: Sequence[tuple[Item, Send]]) -> list[SendError | None]:
    sender = batch[0][1].sender
    try:
        refusals = list(sender.send([send.parcel for _, send in batch]))
    except SendError as exc:
        return [exc] * len(batch)
    except Exception as exc:  # noqa: BLE001 - any failure of a sender means the same: not known to be there
        failure = because(SendError(f"{type(exc).__name__}: {exc}"), exc)
        return [failure] * len(batch)
    missing = len(batch) - len(refusals)
    return refusals[: len(batch)] + [SendError("the sender gave no answer")] * missing
