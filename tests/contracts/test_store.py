"""One suite for every store: compare-and-swap, and nothing else."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from peeklock import ConfigError, StoreError
from peeklock.claims import Record, State
from peeklock.registry import open_store
from peeklock.store import WON, Change, Store
from peeklock.stores import sqlite
from peeklock.stores.memory import MemoryStore
from peeklock.stores.sqlite import SQLiteStore

LATER = datetime(2099, 1, 1, tzinfo=UTC)


def record(version: int = 1, **changes: Any) -> Record:
    basic: dict[str, Any] = {
        "state": State.RUNNING,
        "owner": "w",
        "message": "m",
        "expires_at": LATER,
        "lease_until": LATER,
    }
    return Record(version=version, **{**basic, **changes})


def change(key: str, expected: int | None, new: Record | None) -> Change:
    return Change(key=key, expected=expected, record=new)


FACTORIES: dict[str, Callable[[Path], Store]] = {
    "memory": lambda folder: MemoryStore(),
    "sqlite": lambda folder: SQLiteStore(str(folder / "keys.db")),
}


@pytest.fixture(params=FACTORIES)
def store(request, tmp_path) -> Store:
    return FACTORIES[request.param](tmp_path)


def test_a_claim_wins_once(store):
    """The loser learns what is there."""
    assert store.swap([change("k", None, record(1))]) == [WON]
    (lost,) = store.swap([change("k", None, record(2))])
    assert (lost.won, lost.record) == (False, record(1))


def test_the_same_write_again_has_won(store):
    """Its first response may have been lost; so may that of a removal."""
    for _ in range(2):
        assert store.swap([change("k", None, record(1))]) == [WON]
    for _ in range(2):
        assert store.swap([change("k", 1, None)]) == [WON]
    assert store.swap([change("k", None, record(3))]) == [WON]


def test_a_late_first_owner_cannot_overwrite(store):
    """Neither its success nor its removal counts any more."""
    store.swap([change("k", None, record(1))])
    store.swap([change("k", 1, record(2, owner="second"))])
    for new in (record(9, state=State.DONE), None):
        (lost,) = store.swap([change("k", 1, new)])
        assert lost.record == record(2, owner="second")


def test_each_change_of_a_call_stands_alone(store):
    """Answers come in the order of the changes."""
    store.swap([change("b", None, record(1))])
    answers = store.swap(
        [change("a", None, record(2)), change("b", 7, record(3)), change("c", 5, record(4)), change("d", None, None)]
    )
    assert [answer.won for answer in answers] == [True, False, False, True]
    assert [answer.record for answer in answers] == [None, record(1), None, None]
    assert list(store.swap([])) == []


def test_ten_thousand_keys_in_a_call(store):
    """In one trip, each with its own answer."""
    changes = [change(f"k-{n}", None, record(n + 1)) for n in range(10_000)]
    assert all(answer.won for answer in store.swap(changes))
    lost = store.swap([change("k-9999", None, record(5))])[0]
    assert lost.record == record(10_000)


records = st.builds(
    Record,
    state=st.sampled_from(State),
    version=st.integers(0, 2**63 - 1),
    owner=st.text(max_size=12),
    message=st.text(min_size=1, max_size=40),
    expires_at=st.datetimes(datetime(2090, 1, 1), datetime(2150, 1, 1), timezones=st.just(UTC)),  # noqa: DTZ001 - bounds are naive by design
    lease_until=st.datetimes(datetime(2020, 1, 1), datetime(2150, 1, 1), timezones=st.just(UTC)),  # noqa: DTZ001 - as above
    generation=st.integers(0, 2**31),
    hop=st.integers(0, 2**31),
    attempts=st.integers(0, 2**31),
    counted=st.booleans(),
    reason=st.sampled_from(["", "fatal", "invalid"]),
    detail=st.text(max_size=200),
)


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(made=records, key=st.text(min_size=1, max_size=60) | st.just("k" * 1024))
def test_a_record_comes_back_as_it_was(store, made, key):
    """Every field, in any script."""
    text = key.encode("utf-8", "replace").decode()
    clean = replace(
        made,
        **{name: getattr(made, name).encode("utf-8", "replace").decode() for name in ("owner", "message", "detail")},
    )
    (first,) = store.swap([change(text, None, record(1, owner="probe"))])
    version = 1 if first.won else (first.record.version if first.record else None)
    assert store.swap([change(text, version, clean)])[0].won
    (lost,) = store.swap([change(text, None, record(2, owner="probe", message="other"))])
    assert lost.record == clean
    store.swap([change(text, clean.version, None)])


def race(store: Store, racers: int, expected: int | None) -> int:
    start = threading.Barrier(racers)
    wins: list[int] = []

    def run(n: int) -> None:
        start.wait(20)
        if store.swap([change("k", expected, record(100 + n, owner=str(n)))])[0].won:
            wins.append(n)

    threads = [threading.Thread(target=run, args=(n,)) for n in range(racers)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    return len(wins)


def test_sixty_four_claimants_and_one_winner(store):
    """And one of sixteen that take over from a dead owner."""
    assert race(store, 64, None) == 1
    winner = store.swap([change("k", None, record(1))])[0].record
    assert winner is not None
    assert race(store, 16, winner.version) == 1


def test_several_processes_share_a_file(tmp_path):
    """Each wins its share, none twice."""
    path = tmp_path / "keys.db"
    program = (
        "import sys; sys.path.insert(0, sys.argv[3]);"
        "from tests.contracts.test_store import SQLiteStore, change, record;"
        "store = SQLiteStore(sys.argv[1]);"
        "print(sum(store.swap([change(f'k-{n}', None, record(n + 1, owner=sys.argv[2]))])[0].won for n in range(200)))"
    )
    root = str(Path(__file__).parents[2])
    runs = [
        subprocess.Popen([sys.executable, "-c", program, str(path), str(n), root], stdout=subprocess.PIPE, text=True)
        for n in range(3)
    ]
    assert sum(int(run.communicate(timeout=60)[0]) for run in runs) == 200


def test_expired_records_are_purged_and_live_ones_never(tmp_path):
    """A few with each call, by their own field."""
    store = SQLiteStore(str(tmp_path / "keys.db"))
    past = datetime.now(UTC) - timedelta(seconds=1)
    store.swap([change(f"old-{n}", None, record(1, expires_at=past)) for n in range(150)])
    store.swap([change("new", None, record(1))])
    count = store._connection().execute("SELECT count(*) FROM records").fetchone()[0]
    assert count == 1
    assert store.swap([change("new", None, record(2))])[0].record == record(1)


def test_a_file_that_is_no_database(tmp_path):
    """Is a StoreError, and nothing of the call was made."""
    path = tmp_path / "keys.db"
    path.write_bytes(b"not a database" * 100)
    with pytest.raises(StoreError, match=r"keys\.db"):
        SQLiteStore(str(path)).swap([change("k", None, record(1))])


def test_a_call_that_breaks_leaves_nothing(tmp_path):
    """One transaction: the changes before the fault are undone."""
    store = SQLiteStore(str(tmp_path / "keys.db"))
    broken = replace(record(1), detail=object())  # type: ignore[arg-type] # what no JSON holds
    with pytest.raises(TypeError):
        store.swap([change("a", None, record(1)), change("b", None, broken)])
    assert store.swap([change("a", None, record(2))]) == [WON]


@pytest.mark.parametrize(
    ("url", "path"), [("sqlite:///var/lib/o.db", "/var/lib/o.db"), ("sqlite://o%20x.db", "o x.db")]
)
def test_addresses(url, path):
    """An absolute path has a third slash."""
    assert sqlite.from_url(url).path == path
    with pytest.raises(ConfigError, match="names no file"):
        sqlite.from_url("sqlite:///")


def test_one_store_a_process():
    """And an unknown scheme names the known ones."""
    assert open_store("memory://a") is open_store("memory://a")
    with pytest.raises(ConfigError, match=r"did you mean 'sqlite'\? Known: memory, sqlite"):
        open_store("sqllite:///x")
