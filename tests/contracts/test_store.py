"""One suite for every store: compare-and-swap, and nothing else."""

from __future__ import annotations

import threading
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from peeklock import ConfigError
from peeklock.idempotency.record import Record, State
from peeklock.idempotency.store import WON, Store
from peeklock.registry import open_store
from tests.contracts.stores import KEYS, SLOWEST, STORES, change, params, record

TRIES = 3
"""A server on a busy machine may not answer all of thousands in time: then the desk asks again, too."""


@pytest.fixture(params=params())
def store(request, tmp_path):
    with STORES[request.param](tmp_path) as opened:
        yield opened


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


def test_ten_thousand_keys_in_a_call(store, request):
    """Each with its own answer; fewer, where the server is slow."""
    many_keys_in_a_call(store, KEYS.get(request.node.callspec.params["store"], 10_000))


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name in KEYS if name not in SLOWEST])
def test_ten_thousand_keys_in_a_call_of_a_slow_server(name, tmp_path):
    """As above."""
    with STORES[name](tmp_path) as opened:
        many_keys_in_a_call(opened, 10_000)


def many_keys_in_a_call(store: Store, count: int) -> None:
    changes = [change(f"k-{n}", None, record(n + 1)) for n in range(count)]
    waiting = changes
    for _ in range(TRIES):
        answers = store.swap(waiting)
        assert all(answer.won or answer.error for answer in answers)
        waiting = [one for one, answer in zip(waiting, answers, strict=True) if not answer.won]
    assert not waiting
    lost = store.swap([change(f"k-{count - 1}", None, record(5))])[0]
    assert lost.record == record(count)


records = st.builds(
    Record,
    state=st.sampled_from(State),
    version=st.integers(0, 2**63 - 1),
    owner=st.text(max_size=12),
    message=st.text(min_size=1, max_size=40),
    expires_at=st.datetimes(datetime(2090, 1, 1), datetime(2150, 1, 1), timezones=st.just(UTC)),  # noqa: DTZ001 - bounds are naive by design
    lease_until=st.datetimes(datetime(2020, 1, 1), datetime(2150, 1, 1), timezones=st.just(UTC)),  # noqa: DTZ001 - as above
    generation=st.integers(0, 2**31),
    copy_number=st.integers(0, 2**31),
    attempts=st.integers(0, 2**31),
    counted=st.booleans(),
    suspect=st.booleans(),
    lost=st.integers(0, 9),
    due=st.none() | st.just(datetime(2099, 6, 1, 12, 30, 0, 123456, UTC)),
    reason=st.sampled_from(["", "fatal", "invalid"]),
    detail=st.text(max_size=200),
    bare=st.booleans(),
    extra=st.sampled_from(["", '{"a":[1,{"b":null}],"slot":"\\u00fc"}']),
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
        version = (expected or 0) + 100 + n  # not one that is there already, as that would have won
        if store.swap([change("k", expected, record(version, owner=str(n)))])[0].won:
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


def test_one_store_a_process():
    """And an unknown scheme names the nearest one."""
    assert open_store("memory://a") is open_store("memory://a")
    with pytest.raises(ConfigError, match=r"did you mean 'sqlite'\?"):
        open_store("sqllite:///x")
