"""Batches and groups in every order, over the real schedule; and proof that the check would find its faults."""

from __future__ import annotations

import logging

import pytest

from peeklock.engine.bound_consumer import Delays
from peeklock.engine.delivery import Delivery
from peeklock.engine.scheduler import Schedule
from peeklock.outcome import Disposition, Outcome, Reason
from tests.core.batches import Case, explore
from tests.core.model import Broken

APART = (("a", None), ("b", None))
TWINS = (("a", None), ("a", None))
LINE = (("a", "g"), ("b", "g"))
MIXED = (("a", "g"), ("b", None), ("c", "g"))
CROSSED = (("a", "g"), ("a", "h"), ("b", "g"))
"""One key in two groups, with one behind it."""

SMALL = [
    Case(batch=(("a", "g"),), failures=2, deaths=2, refused=1),
    Case(batch=APART, parallel=2, failures=2, refused=1),
    Case(batch=TWINS, parallel=2, failures=3, deaths=1),
    Case(batch=LINE, parallel=2, failures=3, deaths=1, refused=1),
    Case(batch=MIXED, parallel=2, failures=1, lost=1),
    Case(batch=CROSSED, parallel=2, failures=1, deaths=1),
    Case(batch=LINE, deaths=2),
    Case(batch=APART, failures=2, deaths=1, delays=Delays.COPY),
]

LARGE = [
    Case(batch=APART, parallel=2, failures=1, deaths=1, lost=1),
    Case(batch=TWINS, parallel=2, failures=3, deaths=1, lost=1, refused=1, delays=Delays.COPY),
    Case(batch=LINE, parallel=2, failures=3, deaths=1, lost=1, refused=1),
    Case(batch=MIXED, parallel=2, failures=1, deaths=1, lost=1),
    Case(batch=CROSSED, parallel=2, failures=2, deaths=1, lost=1),
    Case(batch=(("a", "g"), ("b", "h"), ("c", "g"), ("d", "h")), parallel=2, failures=1, deaths=1),
    Case(batch=(*TWINS, ("a", None)), parallel=3, failures=3, deaths=1, lost=1),
]


@pytest.fixture(autouse=True)
def quiet():
    """Each way logs its lost records, and there are thousands of ways."""
    log = logging.getLogger("peeklock")
    log.disabled = True
    yield
    log.disabled = False


@pytest.mark.parametrize("case", SMALL, ids=str)
def test_the_laws_hold(case):
    """In every way that the batch can go."""
    assert explore(case) > 20


@pytest.mark.slow
@pytest.mark.parametrize("case", LARGE, ids=str)
def test_the_laws_hold_in_larger_batches(case):
    """With more that goes wrong."""
    assert explore(case) > 500


class NoGate(Schedule):
    """Groups are not kept apart from the rest."""

    def _at_gate(self, delivery):
        self.ready.append(delivery)


class GoesOn(Schedule):
    """Fault: messages after a failure in their group run nevertheless."""

    def _at_gate(self, delivery):
        if delivery.group is not None:
            delivery.group.halted = False
        super()._at_gate(delivery)


class TwinsAtOnce(Schedule):
    """Two messages with one key claim it in one call."""

    def _claim_next(self):
        more = super()._claim_next()
        for delivery in self.deliveries:
            if delivery.next_of_key is not None:
                neighbour, delivery.next_of_key = delivery.next_of_key, None
                self.advance(neighbour, None)
        return more


class KeepsClaims(Schedule):
    """Fault: claims of messages that are halted in their group are not given back."""

    def _step(self, delivery, result):
        if isinstance(result, Exception) and delivery.group is not None and delivery.group.halted:
            outcome = Outcome(disposition=Disposition.ABANDON, reason=Reason.HALTED, attempt=delivery.attempt)
            self._finish(delivery, outcome)
        else:
            super()._step(delivery, result)


class LosesFailures(Schedule):
    """A message whose handler raised is completed."""

    def _finish(self, delivery: Delivery, outcome: Outcome):
        if outcome.reason is Reason.RETRY:
            outcome = Outcome(disposition=Disposition.COMPLETE, reason=Reason.DONE, attempt=delivery.attempt)
        super()._finish(delivery, outcome)


class AllTogether(Schedule):
    """Fault: messages that have to run alone are claimed with the others."""

    def _step(self, delivery, result):
        super()._step(delivery, result)
        if delivery in self.suspects:
            self.suspects.remove(delivery)
            self._steps.append((delivery, None))


class AnySuspect(Schedule):
    """Fault: messages that have to run alone are claimed before it is their turn in the group."""

    def resume_suspect(self):
        self.advance(self.suspects.pop(), None)


FAULTS = {
    "final starts together": (AllTogether, Case(batch=APART, parallel=2, failures=2, deaths=1), "and others had begun"),
    "final starts before their turn": (AnySuspect, Case(batch=LINE, deaths=2), "and others had begun"),
    "a group without a gate": (NoGate, Case(batch=LINE, parallel=2), "before its turn"),
    "a group that goes on": (GoesOn, Case(batch=LINE, failures=1), "before its turn"),
    "twins at once": (TwinsAtOnce, Case(batch=TWINS, parallel=2), "two changes of a key"),
    "claims kept": (KeepsClaims, Case(batch=LINE, failures=1), "still held"),
    "failures lost": (LosesFailures, Case(batch=APART, failures=1), "is lost"),
}


@pytest.mark.parametrize("name", FAULTS)
def test_a_planted_fault_is_found(name):
    """Each rule of the schedule matters: without it a law breaks, and the way there is told."""
    schedule, case, law = FAULTS[name]
    with pytest.raises(Broken, match=law) as raised:
        explore(case, schedule)
    assert "event: " in str(raised.value)
