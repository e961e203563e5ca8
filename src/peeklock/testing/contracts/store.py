"""Contract suite for stores: compare-and-swap over records, one per key."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from peeklock.errors import UnreadableRecord
from peeklock.idempotency.record import Record, State
from peeklock.idempotency.store import WON, Change, Store

LATER = datetime(2099, 1, 1, tzinfo=UTC)

TRIES = 3
"""Calls for the same changes, as the engine makes them: a busy server may not answer for thousands of keys in time."""

KEYS = ("k", "orders/7", "ключ/日本\U0001f9fe", "a b\n\t\"'%#?", "k" * 1024)

BARE_RECORD = Record(state=State.DONE, version=0, owner="", message="m", expires_at=LATER, lease_until=LATER)

FULL_RECORD = Record(
    state=State.DEAD_LETTERING,
    version=2**63 - 1,
    owner="ключ",
    message="日本\U0001f9fe" * 10,
    expires_at=datetime(2149, 12, 31, 23, 59, 59, 999_999, UTC),
    lease_until=datetime(2020, 1, 1, tzinfo=UTC),
    generation=2**31,
    copy_number=2**31,
    attempts=2**31,
    counted=True,
    suspect=True,
    lost=9,
    due=datetime(2099, 6, 1, 12, 30, 0, 123_456, UTC),
    sent=1_798_761_600_123,
    reason="fatal",
    detail="\"'\\\x00\n\u2028 " * 20,
    body="0" * 64,
    result='{"cents":["ü",1.5,null]}' + "x" * 24_000,
    bare=True,
    redriven="m.1.0",
    extra='{"a":[1,{"b":null}],"slot":"\\u00fc"}',
)
"""A record with a value in every field, each as large or as unusual as the field allows."""


UNREADABLE_RECORD = Record(
    state=State.DEAD_LETTERED,
    version=1,
    owner="",
    message="m",
    expires_at=LATER,
    lease_until=LATER,
    reason="reason-of-a-newer-release",
)
"""A record that `peeklock.stores.record_json.dump` writes and `load` refuses, as one of a newer release."""


def record(version: int = 1, **changes: Any) -> Record:
    """Return a running record, with some fields changed."""
    return replace(
        Record(state=State.RUNNING, version=version, owner="w", message="m", expires_at=LATER, lease_until=LATER),
        **changes,
    )


def change(key: str, expected: int | None, new: Record | None) -> Change:
    """Return a change of a key whose record must have the version `expected`; None: there must be none."""
    return Change(key=key, expected=expected, record=new)


class StoreContract:
    """Tests that every `peeklock.idempotency.store.Store` must pass.

    Subclass it in a test module under a name that pytest collects, and override the fixture `store`:

        class TestLedger(StoreContract):
            @pytest.fixture
            def store(self, tmp_path):
                with LedgerStore(tmp_path / "keys") as store:
                    yield store
    """

    @pytest.fixture
    def store(self) -> Iterator[Store]:
        """Return or yield an empty store."""
        raise NotImplementedError("override the fixture `store`: return or yield an empty store")

    @pytest.fixture
    def keys_in_a_call(self) -> int:
        """Number of keys in the largest call. Lower it for a slow test server."""
        return 10_000

    def test_a_claim_wins_once(self, store: Store) -> None:
        """A lost change is answered with the present record."""
        assert store.swap([change("k", None, record(1))]) == [WON]
        (lost,) = store.swap([change("k", None, record(2))])
        assert (lost.won, lost.record) == (False, record(1))

    def test_the_same_write_again_has_won(self, store: Store) -> None:
        """The answer to the first may have been lost; the same holds for a removal."""
        for _ in range(2):
            assert store.swap([change("k", None, record(1))]) == [WON]
        for _ in range(2):
            assert store.swap([change("k", 1, None)]) == [WON]
        assert store.swap([change("k", None, record(3))]) == [WON]

    def test_a_late_first_owner_cannot_overwrite(self, store: Store) -> None:
        """After a takeover, neither its write nor its removal wins."""
        store.swap([change("k", None, record(1))])
        store.swap([change("k", 1, record(2, owner="second"))])
        for new in (record(9, state=State.DONE), None):
            (lost,) = store.swap([change("k", 1, new)])
            assert lost.record == record(2, owner="second")

    def test_each_change_of_a_call_stands_alone(self, store: Store) -> None:
        """Some changes win while others lose, and answers come in the order of the changes."""
        store.swap([change("b", None, record(1))])
        answers = store.swap(
            [
                change("a", None, record(2)),
                change("b", 7, record(3)),
                change("c", 5, record(4)),
                change("d", None, None),
            ]
        )
        assert [answer.won for answer in answers] == [True, False, False, True]
        assert [answer.record for answer in answers] == [None, record(1), None, None]
        assert list(store.swap([])) == []

    def test_an_unreadable_record_fails_its_own_change_only(self, store: Store) -> None:
        """A newer release may have written it. The other changes of the call are made, and its own answer has an
        UnreadableRecord; a store that keeps the record as it is may answer with it."""
        assert store.swap([change("k", None, UNREADABLE_RECORD)]) == [WON]
        first, unreadable, last = store.swap([change(key, None, record(2)) for key in ("a", "k", "b")])
        assert (first, last) == (WON, WON), "the other changes of the call were not made"
        assert not unreadable.won
        if unreadable.record is None:
            assert isinstance(unreadable.error, UnreadableRecord), "answer with UnreadableRecord as the error"
        else:
            assert unreadable.record == UNREADABLE_RECORD

    def test_many_keys_in_a_call(self, store: Store, keys_in_a_call: int) -> None:
        """Each key has its own answer."""
        swap_many_keys(store, keys_in_a_call)

    @pytest.mark.parametrize("key", KEYS, ids=range(len(KEYS)))
    @pytest.mark.parametrize("written", [BARE_RECORD, FULL_RECORD], ids=["bare", "full"])
    def test_a_record_is_read_as_it_was_written(self, store: Store, key: str, written: Record) -> None:
        """Every field, for keys in any script and up to 1,024 characters."""
        assert store.swap([change(key, None, written)]) == [WON]
        (lost,) = store.swap([change(key, None, record(2, owner="reader"))])
        assert lost.record == written

    def test_sixty_four_claimants_and_one_winner(self, store: Store) -> None:
        """Exactly one of many concurrent claims wins, and so does one of sixteen takeovers."""
        assert race(store, 64, None) == 1
        winner = store.swap([change("k", None, record(1))])[0].record
        assert winner is not None
        assert race(store, 16, winner.version) == 1


def swap_many_keys(store: Store, count: int) -> None:
    """Claim `count` keys in one call, again while the store answers for some of them with an error."""
    waiting = [change(f"k-{n}", None, record(n + 1)) for n in range(count)]
    for _ in range(TRIES):
        answers = store.swap(waiting)
        assert all(answer.won or answer.error for answer in answers)
        waiting = [change for change, answer in zip(waiting, answers, strict=True) if not answer.won]
    assert not waiting
    lost = store.swap([change(f"k-{count - 1}", None, record(5))])[0]
    assert lost.record == record(count)


def race(store: Store, racers: int, expected: int | None) -> int:
    """Change one key from many threads at the same moment, and return how many changes won."""
    start = threading.Barrier(racers)
    wins: list[int] = []

    def run(n: int) -> None:
        start.wait(20)
        version = (expected or 0) + 100 + n  # a new version each: writing the present record again would win
        if store.swap([change("k", expected, record(version, owner=str(n)))])[0].won:
            wins.append(n)

    threads = [threading.Thread(target=run, args=(n,)) for n in range(racers)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    return len(wins)
