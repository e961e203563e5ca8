"""Stores with one fault each, to see that the checks find it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from peeklock.idempotency.record import Record
from peeklock.idempotency.store import WON, Answer, Change, Store
from peeklock.stores.memory import MemoryStore


class Faulty:
    """A store in memory whose answer to each change is another's."""

    def __init__(self, decide: Callable[[dict[str, Record], Change], Answer]) -> None:
        self.records: dict[str, Record] = {}
        self.decide = decide

    def swap(self, changes: Sequence[Change], /) -> Sequence[Answer]:
        return [self.decide(self.records, change) for change in changes]


def right(records: dict[str, Record], change: Change) -> Answer:
    """Answer as a store without a fault does."""
    store = MemoryStore()
    store.records = records
    return store.swap([change])[0]


def _version(records: dict[str, Record], key: str) -> int | None:
    held = records.get(key)
    return None if held is None else held.version


def ignore_expected(records: dict[str, Record], change: Change) -> Answer:
    """Whoever writes last has written."""
    return right(records, replace(change, expected=_version(records, change.key)))


def overwrite_on_claim(records: dict[str, Record], change: Change) -> Answer:
    """A claim does not look whether there is a record: a put without its condition."""
    if change.expected is None and change.record is not None:
        return ignore_expected(records, change)
    return right(records, change)


def forget_fences(records: dict[str, Record], change: Change) -> Answer:
    """Only a claim is compared: a late owner's write is taken."""
    return right(records, change) if change.expected is None else ignore_expected(records, change)


def refuse_what_is_there(records: dict[str, Record], change: Change) -> Answer:
    """The same write again has lost, to itself."""
    held = records.get(change.key)
    if held is not None and held == change.record:
        return Answer(won=False, record=held)
    return right(records, change)


def write_nothing(records: dict[str, Record], change: Change) -> Answer:
    """Says that it has won, and has not written."""
    return right(dict(records), change)


def round_versions(records: dict[str, Record], change: Change) -> Answer:
    """Versions are floating-point numbers, as in JavaScript and in Lua."""
    now = _version(records, change.key)
    if now is not None and change.expected is not None and float(now) == float(change.expected):
        return right(records, replace(change, expected=now))
    return right(records, change)


def tell_losers_nothing(records: dict[str, Record], change: Change) -> Answer:
    answer = right(records, change)
    return answer if answer.won else Answer(won=False)


def remove_nothing(records: dict[str, Record], change: Change) -> Answer:
    return WON if change.record is None else right(records, change)


class AllOrNothing:
    """A transaction over all changes: one that loses takes the others with it."""

    def __init__(self, store: Store) -> None:
        self.inner = MemoryStore()

    def swap(self, changes: Sequence[Change], /) -> Sequence[Answer]:
        before = dict(self.inner.records)
        answers = self.inner.swap(changes)
        if all(answer.won for answer in answers):
            return answers
        self.inner.records = before
        return [replace(answer, won=False) for answer in answers]


class AnyOrder:
    """Answers come as the database gives them: by key."""

    def __init__(self, store: Store) -> None:
        self.inner = MemoryStore()

    def swap(self, changes: Sequence[Change], /) -> Sequence[Answer]:
        return self.inner.swap(sorted(changes, key=lambda change: change.key))


class OneForAll:
    """A record that cannot be read fails the whole call."""

    def __init__(self, store: Store) -> None:
        self.inner = store

    def swap(self, changes: Sequence[Change], /) -> Sequence[Answer]:
        answers = self.inner.swap(changes)
        errors = [answer for answer in answers if answer.error is not None]
        return answers if not errors else [errors[0]] * len(answers)
