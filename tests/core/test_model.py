"""The claim protocol under every interleaving, and proof that the check would find its faults."""

from __future__ import annotations

from dataclasses import replace

import pytest

from peeklock.idempotency import arrival, claims
from peeklock.idempotency.decision import Action, Decision
from peeklock.idempotency.record import Record, State
from peeklock.outcome import Reason
from tests.contracts.stores import STORES, params
from tests.core.model import OVER, Broken, Case, Explorer, Rules
from tests.stores import faulty

IN_PROCESS = ("memory", "sqlite", "valkey")

SMALL = [
    Case(deaths=2),
    Case(copies=True),
    Case(deaths=1, lost_answers=1),
    Case(deaths=1, lost_answers=1, copies=True),
    Case(deaths=0, duplicates=1, copies=True),
    Case(deaths=1, timeouts=1, waits=1),
    Case(deaths=0, timeouts=1, waits=1, copies=True),
    Case(messages=2, redrives=0, deaths=1),
    Case(messages=2, redrives=0, deaths=0, copies=True),
    Case(bare=True, deaths=1),
    Case(bare=True, deaths=0, copies=True, duplicates=1),
    Case(deaths=2, max_attempts=1),
    Case(deaths=1, copies=True, mixed=True),
    Case(deaths=0, duplicates=1, copies=True, mixed=True),
    Case(messages=2, redrives=1, deaths=0),
]

LARGE = [
    Case(deaths=2, copies=True),
    Case(deaths=1, duplicates=1, copies=True),
    Case(deaths=3, copies=True),
    Case(deaths=2, lost_answers=2, copies=True),
    Case(deaths=2, max_attempts=3, workers=3, copies=True, apart=False),
    Case(deaths=1, duplicates=2, copies=True, apart=False),
    Case(deaths=2, duplicates=1, workers=3, redrives=0, copies=True, apart=False),
    Case(deaths=2, timeouts=2, waits=1, copies=True, apart=False),
    Case(deaths=2, waits=1, max_attempts=3, apart=False),
    Case(bare=True, deaths=2, copies=True, redrives=2, apart=False),
    Case(messages=2, redrives=0, deaths=2),
    Case(messages=2, redrives=0, deaths=1, copies=True, apart=False),
]


@pytest.mark.parametrize("case", SMALL, ids=str)
def test_the_laws_hold(case):
    """In every state that can be reached."""
    assert Explorer(case, Rules()).explore() > 100


@pytest.mark.slow
@pytest.mark.parametrize("case", LARGE, ids=str)
def test_the_laws_hold_in_larger_worlds(case):
    """With more workers, deaths, duplicates and losses."""
    assert Explorer(case, Rules()).explore() > 1000


def wait_for_the_copy(record: Record) -> Record:
    return replace(record, state=State.WAITING) if record.state is State.DELAYING else record


def complete_stale_copies(record, lineage, stamp, most, verdict=None):
    """A stale copy is completed although its successor may not have been published."""
    if record is not None and record.state is State.DELAYING and lineage.copy_number < record.copy_number:
        return Decision(action=Action.COMPLETE, reason=Reason.SUPERSEDED)
    return arrival.arrive(record, lineage, stamp, most, verdict)


def take_condemned_for_dead(record, lineage, stamp, most, verdict=None):
    """A verdict is taken for a published dead letter."""
    if record is not None and record.state is State.DEAD_LETTERING and lineage.generation == record.generation:
        return Decision(action=Action.COMPLETE, reason=Reason.EXHAUSTED)
    return arrival.arrive(record, lineage, stamp, most, verdict)


def ignore_leases(record, lineage, stamp, most, verdict=None):
    """A live owner is taken for a dead one."""
    return arrival.arrive(record and replace(record, lease_until=OVER), lineage, stamp, most, verdict)


def ignore_generations(record, lineage, stamp, most, verdict=None):
    """A redriven dead letter is taken for its first life."""
    return arrival.arrive(record, replace(lineage, generation=0), stamp, most, verdict)


def never_count_lost_starts(record, lineage, stamp, most, verdict=None):
    """Fault: a message that kills its process runs forever."""
    return arrival.arrive(record and replace(record, counted=True), lineage, stamp, most, verdict)


def count_lost_starts_late(record, lineage, stamp, most, verdict=None):
    """A start that did not come back is taken for the one that follows it: one run too many."""
    lost = record is not None and record.state is State.RUNNING
    return arrival.arrive(record, lineage, stamp, most + lost, verdict)


def forget_suspects(record: Record, stamp):
    """A suspect that is halted runs beside others the next time."""
    return replace(claims.give_back(record, stamp), suspect=False)


def forget_bare_dead_letters(record, stamp, state, *, bare=False):
    """A dead letter that carries no lineage is taken for one that does."""
    return claims.finish(record, stamp, state)


def run_what_is_done(record, lineage, stamp, most, verdict=None):
    """A recorded success is forgotten."""
    seen = None if record is not None and record.state is State.DONE else record
    return arrival.arrive(seen, lineage, stamp, most, verdict)


def count_what_never_ran(record: Record, stamp):
    """A claim that was given back unused uses up an attempt, more than once a crash."""
    return replace(
        claims.give_back(record, stamp),
        attempts=record.attempts + 9,
        state=State.DELAYED,
        copy_number=record.copy_number + 1,
    )


FAULTS = {
    "stale copy completed while moving": (Rules(arrive=complete_stale_copies), Case(copies=True), "lost"),
    "copies that nobody publishes waited for": (
        Rules(without_copies=wait_for_the_copy),
        Case(deaths=1, copies=True, mixed=True),
        "lost",
    ),
    "condemned taken for dead": (Rules(arrive=take_condemned_for_dead), Case(), "lost"),
    "leases ignored": (Rules(arrive=ignore_leases), Case(duplicates=1), "two runs"),
    "generations ignored": (Rules(arrive=ignore_generations), Case(), "did not run"),
    "lost starts not counted": (Rules(arrive=never_count_lost_starts), Case(deaths=3, redrives=0), "more starts"),
    "lost starts counted late": (Rules(arrive=count_lost_starts_late), Case(deaths=2, redrives=0), "more starts"),
    "suspects forgotten": (
        Rules(give_back=forget_suspects),
        Case(waits=1, max_attempts=3, redrives=0),
        "a suspect runs",
    ),
    "bare dead letters not recorded": (Rules(finish=forget_bare_dead_letters), Case(bare=True), "did not run"),
    "bare dead letters recorded late": (Rules(announced=False), Case(bare=True, deaths=0, copies=True), "did not run"),
    "a life of a bare dead letter not carried on": (
        Rules(adopted=False),
        Case(bare=True, copies=True, redrives=2),
        "lost|did not run",
    ),
    "success forgotten": (Rules(arrive=run_what_is_done), Case(duplicates=1), "after a recorded success"),
    "claims not given back": (Rules(give_back=count_what_never_ran), Case(waits=1), "lost"),
    "completed before its dead letter": (Rules(dead_letter_first=False), Case(), "lost"),
}


@pytest.mark.parametrize("name", FAULTS)
def test_a_planted_fault_is_found(name):
    """Each rule matters: without it a law breaks, and the way there is told."""
    rules, case, law = FAULTS[name]
    with pytest.raises(Broken, match=law) as raised:
        Explorer(case, rules).explore()
    assert "w0 receives" in str(raised.value)


ON_A_STORE = [Case(lost_answers=1, redrives=0), Case(deaths=0, lost_answers=1, redrives=0, copies=True)]


@pytest.mark.parametrize("case", ON_A_STORE, ids=str)
@pytest.mark.parametrize("name", IN_PROCESS)
def test_the_laws_hold_on_a_real_store(name, case, tmp_path):
    """In as many states as with the rule alone: the store does what the rule says, wherever the protocol leads it."""
    with STORES[name](tmp_path) as store:
        assert Explorer(case, Rules(), store).explore() == Explorer(case, Rules()).explore()


@pytest.mark.slow
@pytest.mark.parametrize("name", params())
def test_the_laws_hold_on_every_store(name, tmp_path):
    """Wherever it is."""
    with STORES[name](tmp_path) as store:
        assert Explorer(ON_A_STORE[0], Rules(), store).explore() > 100


@pytest.mark.slow
@pytest.mark.parametrize("case", SMALL[2:4], ids=str)
@pytest.mark.parametrize("name", IN_PROCESS)
def test_the_laws_hold_in_larger_worlds_on_a_real_store(name, case, tmp_path):
    """With dead letters that are redriven, and with copies."""
    with STORES[name](tmp_path) as store:
        assert Explorer(case, Rules(), store).explore() > 1000


STORE_FAULTS = {
    "expected ignored": (faulty.ignore_expected, Case(), "a run after a recorded success"),
    "claims overwrite": (faulty.overwrite_on_claim, Case(), "a run after a recorded success"),
    "late writes taken": (faulty.forget_fences, Case(duplicates=1), "two runs"),
    "nothing written": (faulty.write_nothing, Case(), "quiet, but not settled"),
}


@pytest.mark.parametrize("name", STORE_FAULTS)
def test_a_fault_of_a_store_is_found(name):
    """The protocol's laws need each of the store's, and the way there is told."""
    fault, case, law = STORE_FAULTS[name]
    with pytest.raises(Broken, match=law) as raised:
        Explorer(case, Rules(), faulty.Faulty(fault)).explore()
    assert "w0 receives" in str(raised.value)
