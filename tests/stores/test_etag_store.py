"""Compare-and-swap by a database's own tags: what is remembered, what is read, and what becomes of failures."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from peeklock.errors import StoreError
from peeklock.idempotency.store import WON
from peeklock.stores.etag_cache import MAX_ETAGS
from peeklock.stores.etag_store import TRIES, ETagStore, Row
from peeklock.stores.memory import MemoryStore
from tests.contracts.stores import change, record
from tests.stores.rows import MemoryRows
from tests.support import ROOT


@pytest.fixture
def rows():
    return MemoryRows()


@pytest.fixture
def store(rows):
    return ETagStore(rows)


def test_claim_and_record_are_one_trip_each(store, rows):
    """Since the tag of the own last write is remembered; a third change and a removal as well."""
    for version in (1, 2, 3):
        assert store.swap([change("k", version - 1 or None, record(version))]) == [WON]
    assert store.swap([change("k", 3, None)]) == [WON]
    assert rows.calls == [("write", 1)] * 4


def test_a_duplicate_is_two_trips_and_what_follows_one(store, rows):
    """Reads fill the cache, too."""
    ETagStore(rows).swap([change("k", None, record(1))])
    (lost,) = store.swap([change("k", None, record(5))])
    assert (lost.won, lost.record, lost.error) == (False, record(1), None)
    assert store.swap([change("k", 1, record(6))]) == [WON]
    assert rows.calls[1:] == [("write", 1), ("read", 1), ("write", 1)]


def test_another_process_s_record_is_read_first(store, rows):
    """Nothing is known of its tag."""
    ETagStore(rows).swap([change("k", None, record(1))])
    assert store.swap([change("k", 1, record(2))]) == [WON]
    assert rows.calls[1:] == [("read", 1), ("write", 1)]


def test_what_was_remembered_is_no_longer_so(store, rows):
    """The write is refused by the tag, and lost by the version."""
    store.swap([change("k", None, record(1))])
    ETagStore(rows).swap([change("k", 1, record(2))])
    (lost,) = store.swap([change("k", 1, record(3))])
    assert lost.record == record(2)


def test_only_the_tag_is_another(store, rows):
    """The write is made with the etag that was read, since the version is the expected one."""
    store.swap([change("k", None, record(1))])
    rows.touch("k")
    assert store.swap([change("k", 1, record(2))]) == [WON]
    assert rows.calls[1:] == [("write", 1), ("read", 1), ("write", 1)]


def test_a_tag_that_changes_each_time(store, rows):
    """Is given up after a few tries, with an error: nobody else has won either."""
    store.swap([change("k", None, record(1))])
    rows.before_write = lambda: rows.touch("k")
    (answer,) = store.swap([change("k", 1, record(2))])
    assert (answer.won, answer.record) == (False, None)
    assert str(answer.error) == f"other processes wrote the record {TRIES} times meanwhile"
    assert [what for what, _ in rows.calls[1:]] == ["write", "read"] * TRIES


def test_removal(store, rows):
    """A missing row counts as removed, and nothing is written."""
    assert store.swap([change("k", None, None), change("j", 7, None)]) == [WON, WON]
    assert rows.calls == [("read", 2)]
    store.swap([change("k", None, record(1))])
    (lost,) = store.swap([change("k", None, None)])
    assert lost.record == record(1)
    del rows.rows["k"]
    assert store.swap([change("k", 1, None)]) == [WON], "somebody else removed it"


def test_a_record_that_is_gone(store, rows):
    """Is lost to who expects one, and can be claimed anew."""
    store.swap([change("k", None, record(1))])
    del rows.rows["k"]
    (lost,) = store.swap([change("k", 1, record(2))])
    assert (lost.won, lost.record, lost.error) == (False, None, None)
    assert store.swap([change("k", None, record(3))]) == [WON]


def test_a_lost_answer(store, rows):
    """Asked again the change has won, although the tag in memory is that of the write before."""
    store.swap([change("k", None, record(1))])
    rows.lose = 1
    (unknown,) = store.swap([change("k", 1, record(2))])
    assert (unknown.won, str(unknown.error)) == (False, "ConnectionError: the answer is lost")
    assert unknown.error is not None
    assert isinstance(unknown.error.__cause__, ConnectionError)
    assert store.swap([change("k", 1, record(2))]) == [WON]
    assert store.swap([change("k", 2, record(3))]) == [WON], "and the memory is right again"
    assert [what for what, _ in rows.calls] == ["write", "write", "write", "read", "write"]


def test_a_first_answer_that_is_lost(store, rows):
    """The answer to a claim, or to a removal."""
    for ask in (change("k", None, record(1)), change("k", 1, None)):
        rows.lose = 1
        assert store.swap([ask])[0].error is not None
        assert store.swap([ask]) == [WON]


def test_each_key_has_its_own_failure(store, rows):
    """One is throttled, one is lost, one cannot be read, one wins: in the order of the changes."""
    store.swap([change(key, None, record(1)) for key in ("lost", "unreadable")])
    rows.rows["unreadable"] = Row(etag=99, text="{}")
    rows.refuse = {"throttled"}
    keys = ("throttled", "lost", "unreadable", "new")
    answers = ETagStore(rows).swap([change(key, None, record(2)) for key in keys])
    assert [answer.won for answer in answers] == [False, False, False, True]
    assert [str(answer.error) for answer in answers if answer.error] == [
        "throttled",
        "a record that cannot be read: it has no expires_at",
    ]
    assert answers[1].record == record(1)


def test_a_read_that_fails(store, rows):
    """Says nothing of what was to be read; what was written with it has won."""
    ETagStore(rows).swap([change("old", None, record(1))])

    class Reluctant(MemoryRows):
        def read(self, keys):
            raise StoreError("no read")

    reluctant = Reluctant()
    reluctant.rows = rows.rows
    answers = ETagStore(reluctant).swap([change("old", None, record(2)), change("new", None, record(3))])
    assert str(answers[0].error) == "no read"
    assert answers[1] == WON


def test_nothing_is_known_of_a_call_that_fails(store, rows):
    """And nothing was made."""
    rows.fail = 1
    answers = store.swap([change(key, None, record(1)) for key in "ab"])
    assert [str(answer.error) for answer in answers] == ["ConnectionError: no connection"] * 2
    assert rows.rows == {}


def test_a_large_call_is_several(rows):
    """Side by side; the failure of one is its own, and the order is that of the changes."""
    rows.keys_per_call = 10
    rows.fail = 1
    answers = ETagStore(rows).swap([change(f"k{n}", None, record(n)) for n in range(95)])
    assert sorted(rows.calls) == [("write", 5)] + [("write", 10)] * 9
    failed = [n for n, answer in enumerate(answers) if answer.error]
    assert len(failed) in (5, 10)
    assert failed == list(range(failed[0], failed[-1] + 1))
    assert set(rows.rows) == {f"k{n}" for n in range(95) if n not in failed}


def test_the_memory_is_bounded(store, rows):
    """The oldest is forgotten: its record is read before it is written."""
    rows.keys_per_call = MAX_ETAGS + 1
    store.swap([change(f"k{n}", None, record(1)) for n in range(MAX_ETAGS + 1)])
    rows.calls.clear()
    assert store.swap([change("k1", 1, record(2))]) == [WON]
    assert store.swap([change("k0", 1, record(2))]) == [WON]
    assert [what for what, _ in rows.calls] == ["write", "read", "write"]


FORKING = """
import os, sys
sys.path.insert(0, sys.argv[1])
from tests.stores.test_etag_store import WON, MemoryRows, ETagStore, change, record
store = ETagStore(MemoryRows())
store.swap([change("k", None, record(1))])
with store._etags()._lock:
    child = os.fork()
    if child == 0:
        os._exit(0 if store.swap([change("k", 1, record(2))]) == [WON] else 1)
print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system")
def test_a_child_does_not_wait_for_its_parent_s_threads():
    """One of them may hold the memory's lock at the fork."""
    command = [sys.executable, "-c", FORKING, str(ROOT)]
    assert subprocess.run(command, capture_output=True, text=True, timeout=60, check=True).stdout == "0\n"


changes = st.lists(
    st.tuples(
        st.integers(0, 1),
        st.dictionaries(st.sampled_from("abc"), st.tuples(st.booleans(), st.sampled_from(["write", "remove"]))),
        st.sampled_from(["", "", "fail", "lose", "touch"]),
    ),
    max_size=30,
)


@given(changes)
def test_two_processes_with_stale_memories(calls):
    """Answer as one store under a lock would, whatever goes wrong on the way: what had no answer is asked again."""
    rows, model = MemoryRows(), MemoryStore()
    stores = [ETagStore(rows), ETagStore(rows)]
    for version, (who, asked, wrong) in enumerate(calls, start=1):
        asks = []
        for key, (right, what) in asked.items():
            there = model.records.get(key)
            expected = (there.version if there else None) if right else version + 1000
            asks.append(change(key, expected, record(version, owner=str(who)) if what == "write" else None))
        rows.fail, rows.lose = int(wrong == "fail"), int(wrong == "lose")
        if wrong == "touch":
            for key in rows.rows:
                rows.touch(key)
        answers = stores[who].swap(asks)
        again = [n for n, answer in enumerate(answers) if answer.error]
        rows.fail = rows.lose = 0
        merged = {
            **dict(enumerate(answers)),
            **dict(zip(again, stores[who].swap([asks[n] for n in again]), strict=True)),
        }
        assert [merged[n] for n in range(len(asks))] == list(model.swap(asks))


def test_many_threads_on_a_few_keys(rows):
    """Each counts up: no update is lost."""
    store, second = ETagStore(rows), ETagStore(rows)

    def count(etag_store: ETagStore, owner: str) -> None:
        done, current = 0, None
        while done < 50:
            version = 1 if current is None else current.version + 1
            mine = replace(record(version), owner=f"{owner}-{done}", attempts=(current.attempts if current else 0) + 1)
            (answer,) = etag_store.swap([change("k", None if current is None else current.version, mine)])
            done, current = (done + 1, mine) if answer.won else (done, answer.record)

    threads = [threading.Thread(target=count, args=(store if n % 2 else second, str(n))) for n in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    (lost,) = store.swap([change("k", None, record(1))])
    assert lost.record is not None
    assert lost.record.attempts == 300
