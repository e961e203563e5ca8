"""Changes side by side, for databases whose calls take one each."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

from peeklock.concurrency.thread_pool import Pool
from peeklock.errors import store_error
from peeklock.idempotency.store import Answer

T = TypeVar("T")

CONNECTIONS = 32
"""Calls that a process has under way at once: a client's pool of connections should hold as many."""


pool = Pool(CONNECTIONS, "peeklock-store")
"""Not the engine's: a call that waits for its parts must not take the threads they need."""


def swap_in_parallel(ask: Callable[[T], Answer], changes: Sequence[T]) -> Sequence[Answer]:
    """The answer to each, in order. What `ask` raises is its own change's error and nobody else's."""

    def answer(change: T) -> Answer:
        try:
            return ask(change)
        except Exception as exc:  # noqa: BLE001 - whatever an SDK raises means the same
            return Answer(won=False, error=store_error(exc))

    if len(changes) == 1:
        return [answer(changes[0])]
    numbered = enumerate(changes)
    answers: dict[int, Answer] = {}

    def work() -> None:
        for n, change in numbered:
            answers[n] = answer(change)

    for worker in [pool.submit(work) for _ in range(min(CONNECTIONS, len(changes)))]:
        worker.result()
    return [answers[n] for n in range(len(changes))]
