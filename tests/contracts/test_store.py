"""The contract suite over every store: compare-and-swap, and nothing else."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from peeklock import ConfigError
from peeklock.idempotency.record import Record, State
from peeklock.registry import open_store
from peeklock.testing import StoreContract
from peeklock.testing.contracts.store import swap_many_keys
from tests.contracts.stores import KEYS, SLOWEST, STORES, change, params, record


@pytest.fixture(params=params())
def store(request, tmp_path):
    with STORES[request.param](tmp_path) as opened:
        yield opened


class TestEveryStore(StoreContract):
    """The suite that users run over stores of their own."""

    @pytest.fixture
    def store(self, store):
        return store

    @pytest.fixture
    def keys_in_a_call(self, request):
        return KEYS.get(request.node.callspec.params["store"], 10_000)


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name in KEYS if name not in SLOWEST])
def test_ten_thousand_keys_in_a_call_of_a_slow_server(name, tmp_path):
    """10,000 keys in one call, where that takes more than ten seconds."""
    with STORES[name](tmp_path) as opened:
        swap_many_keys(opened, 10_000)


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
@given(stored_record=records, key=st.text(min_size=1, max_size=60) | st.just("k" * 1024))
def test_a_record_comes_back_as_it_was(store, stored_record, key):
    """Every field, in any script."""
    text = key.encode("utf-8", "replace").decode()
    clean = replace(
        stored_record,
        **{
            name: getattr(stored_record, name).encode("utf-8", "replace").decode()
            for name in ("owner", "message", "detail")
        },
    )
    (first,) = store.swap([change(text, None, record(1, owner="probe"))])
    version = 1 if first.won else (first.record.version if first.record else None)
    assert store.swap([change(text, version, clean)])[0].won
    (lost,) = store.swap([change(text, None, record(2, owner="probe", message="other"))])
    assert lost.record == clean
    store.swap([change(text, clean.version, None)])


def test_one_store_a_process():
    """An unknown scheme is refused with the nearest one."""
    assert open_store("memory://a") is open_store("memory://a")
    with pytest.raises(ConfigError, match=r"did you mean 'sqlite'\?"):
        open_store("sqllite:///x")
