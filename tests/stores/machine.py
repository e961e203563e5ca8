"""A store beside a dict: whatever is asked of both in any order, they answer the same."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

from peeklock.errors import UnreadableRecord
from peeklock.idempotency.record import Record, State
from peeklock.idempotency.store import Change, Store
from tests.contracts.stores import STORES, record
from tests.stores import servers_redis

KEYS = ("a", "b", "orders/7#€", "k" * 300)

FIRST_VERSION = 2**62
"""Real versions are that large: as floating-point numbers, neighbours would be the same."""

HOWS = ("claim", "follow", "late", "remove", "late removal", "again", "there already")
"""Kinds of change of a key, by the version expected: none, the present one, or an earlier one."""

hows = st.sampled_from(HOWS)
batches = st.lists(
    st.tuples(st.sampled_from(KEYS), hows), min_size=1, max_size=len(KEYS), unique_by=lambda pair: pair[0]
)
fields = st.fixed_dictionaries(
    {
        "state": st.sampled_from(State),
        "attempts": st.integers(0, 9),
        "counted": st.booleans(),
        "detail": st.text("aé\n\0😀'\"\\", max_size=5),
        "lease_until": st.datetimes(datetime(2020, 1, 1), datetime(2150, 1, 1), timezones=st.just(UTC)),  # noqa: DTZ001 - bounds are naive by design
    }
)


def _spoil_sqlite(store: Any, key: str) -> None:
    connection = store._connect()
    connection.execute("UPDATE records SET record = '{' WHERE key = ?", (key,))


def _spoil_redis(store: Any, key: str) -> None:
    client = servers_redis.connect(store.url, cluster=store.cluster)
    client.set(f"peeklock:{key}", "{")


SPOIL: dict[str, Callable[[Any, str], None]] = {
    "sqlite": _spoil_sqlite,
    "valkey": _spoil_redis,
    "redis": _spoil_redis,
    "redis-cluster": _spoil_redis,
}
"""Functions that make a key's record unreadable, bypassing the store, by the store's name in STORES."""


class StoreMachine(RuleBasedStateMachine):
    """`wrap` may put a fault around the store, to see that it is found."""

    def __init__(self, name: str, wrap: Callable[[Store], Store] = lambda store: store) -> None:
        super().__init__()
        self.opened = ExitStack()
        folder = self.opened.enter_context(tempfile.TemporaryDirectory())
        self.inner = self.opened.enter_context(STORES[name](Path(folder)))
        self.store = wrap(self.inner)
        self.spoiler = SPOIL.get(name)
        self.model: dict[str, Record] = {}
        self.spoilt: set[str] = set()
        self.before: dict[str, int] = {}
        """A version that each key had once."""
        self.sent: dict[str, Change] = {}
        self.version = FIRST_VERSION

    def teardown(self) -> None:
        self.opened.close()

    def fresh(self) -> int:
        self.version += 1
        return self.version

    def change(self, key: str, how: str, parts: dict[str, Any]) -> Change:
        held = self.model.get(key)
        now = None if held is None else held.version
        late = self.before.get(key, self.fresh())
        new = record(self.fresh(), **parts)
        match how:
            case "claim":
                return Change(key=key, expected=None, record=new)
            case "follow":
                return Change(key=key, expected=now, record=new)
            case "late":
                return Change(key=key, expected=late, record=new)
            case "remove":
                return Change(key=key, expected=now, record=None)
            case "late removal":
                return Change(key=key, expected=late, record=None)
            case "again":
                return self.sent.get(key) or Change(key=key, expected=None, record=new)
            case _:
                return Change(key=key, expected=late, record=held)

    def ask(self, changes: Sequence[Change]) -> None:
        """The store, and then the dict, which says what the answers should have been."""
        answers = self.store.swap(changes)
        assert len(answers) == len(changes)
        for change, answer in zip(changes, answers, strict=True):
            if change.key in self.spoilt:
                assert (answer.won, type(answer.error)) == (False, UnreadableRecord), "a record that cannot be read"
                continue
            held = self.model.get(change.key)
            now = None if held is None else held.version
            won = change.record == held or change.expected == now
            learnt = None if won else held
            assert (answer.won, answer.record, answer.error) == (won, learnt, None), (change, answer)
            self.sent[change.key] = change
            if won:
                self.keep(change)

    def keep(self, change: Change) -> None:
        held = self.model.pop(change.key, None)
        if change.record is not None:
            self.model[change.key] = change.record
        if held is not None and held != change.record:
            self.before[change.key] = held.version

    @initialize(parts=fields)
    def begin(self, parts: dict[str, Any]) -> None:
        """With something there, so that the first steps are not all claims."""
        self.ask([self.change(key, "claim", parts) for key in KEYS[:2]])

    @rule(key=st.sampled_from(KEYS), how=hows, parts=fields)
    def one(self, key: str, how: str, parts: dict[str, Any]) -> None:
        self.ask([self.change(key, how if key not in self.spoilt else "claim", parts)])

    @rule(wanted=batches, parts=fields)
    def several(self, wanted: list[tuple[str, str]], parts: dict[str, Any]) -> None:
        self.ask([self.change(key, how if key not in self.spoilt else "claim", parts) for key, how in wanted])

    @rule()
    def nothing(self) -> None:
        assert list(self.store.swap([])) == []

    @rule()
    def look(self) -> None:
        """Read all keys by changes that must lose where there is a record."""
        self.ask([Change(key=key, expected=self.fresh(), record=None) for key in KEYS if key not in self.spoilt])

    @precondition(lambda self: self.spoiler is not None and self.model and not self.spoilt)
    @rule(data=st.data())
    def spoil(self, data: st.DataObject) -> None:
        """One key's record becomes unreadable: an error for that key, from here on, and for no other."""
        assert self.spoiler is not None
        key = data.draw(st.sampled_from(sorted(self.model)))
        self.spoiler(self.inner, key)
        self.spoilt.add(key)
