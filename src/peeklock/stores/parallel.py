"""Changes made concurrently, for databases whose calls take one change each."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

from peeklock.concurrency.thread_pool import Pool
from peeklock.errors import store_error
from peeklock.idempotency.store import Answer

T = TypeVar("T")

CONNECTIONS = 32
"""Concurrent calls of a process: a client's connection pool should hold as many."""

pool = Pool(CONNECTIONS, "peeklock-store")
"""Separate from the engine's pool: a call that waits for its parts must not occupy the threads that they need."""


def swap_in_parallel(swap_one: Callable[[T], Answer], changes: Sequence[T]) -> Sequence[Answer]:
    """Return the answer to each change, in order. An exception of `swap_one` is the error of its own change only."""

    def answer(change: T) -> Answer:
        try:
            return swap_one(change)
        except Exception as exc:  # noqa: BLE001 - any exception of an SDK means the same
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
