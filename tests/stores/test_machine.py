"""Every store beside a dict, and proof that the comparison finds faults."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import run_state_machine_as_test

from tests.contracts.stores import SERVERS, params
from tests.stores import faulty
from tests.stores.machine import StoreMachine

COMMON = {"deadline": None, "suppress_health_check": list(HealthCheck)}


@pytest.mark.parametrize("name", params())
def test_a_store_is_a_dict(name):
    """In any order of claims, take-overs, late writes, removals and repetitions, alone and several at once."""
    few = settings(max_examples=5 if name in SERVERS else 25, stateful_step_count=20, **COMMON)
    run_state_machine_as_test(lambda: StoreMachine(name), settings=few)


@pytest.mark.slow
@pytest.mark.parametrize("name", params())
def test_a_store_is_a_dict_for_long(name):
    """The same, more often and longer."""
    many = settings(max_examples=30 if name in SERVERS else 300, stateful_step_count=60, **COMMON)
    run_state_machine_as_test(lambda: StoreMachine(name), settings=many)


FAULTS = {
    "expected ignored": lambda store: faulty.Faulty(faulty.ignore_expected),
    "claims overwrite": lambda store: faulty.Faulty(faulty.overwrite_on_claim),
    "late writes taken": lambda store: faulty.Faulty(faulty.forget_fences),
    "the same again loses": lambda store: faulty.Faulty(faulty.refuse_what_is_there),
    "nothing written": lambda store: faulty.Faulty(faulty.write_nothing),
    "versions rounded": lambda store: faulty.Faulty(faulty.round_versions),
    "losers learn nothing": lambda store: faulty.Faulty(faulty.tell_losers_nothing),
    "nothing removed": lambda store: faulty.Faulty(faulty.remove_nothing),
    "all or nothing": faulty.AllOrNothing,
    "any order": faulty.AnyOrder,
    "one error for all": faulty.OneForAll,
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_is_found(fault):
    """Each rule of `swap` matters."""
    search = settings(
        max_examples=200, stateful_step_count=20, phases=[Phase.generate], derandomize=True, database=None, **COMMON
    )
    name = "sqlite" if fault == "one error for all" else "memory"  # where a record can be made unreadable
    with pytest.raises(AssertionError):
        run_state_machine_as_test(lambda: StoreMachine(name, FAULTS[fault]), settings=search)


def test_a_store_without_a_fault_passes_the_same_search():
    """The base of the faulty stores has no fault itself."""
    search = settings(max_examples=100, stateful_step_count=20, derandomize=True, database=None, **COMMON)
    run_state_machine_as_test(
        lambda: StoreMachine("memory", lambda store: faulty.Faulty(faulty.right)), settings=search
    )
