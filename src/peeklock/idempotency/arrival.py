"""Decisions about arriving deliveries, given the record of their key. Pure functions.

The engine writes the record of a decision with one compare-and-swap before it acts on the decision, so that a process
may die between any two steps: the record that it leaves tells the next delivery how to continue.
`tests/core/test_model.py` explores these functions and those of `claims` under every interleaving and checks:

- nothing is lost; never two runs of a key at once; no run after a recorded success;
- an effect repeats at most once per crash between the effect and its record;
- a generation of a key has at most `max_attempts` counted starts, including those whose process died.

A start counts unless its own result says otherwise. A claim whose lease is over counts as a start, because it is
unknown how far its handler got.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

from peeklock.idempotency.claims import begin, resume
from peeklock.idempotency.decision import Action, Decision, Verdict
from peeklock.idempotency.record import LONGEST_LEASE, Record, Stamp, State
from peeklock.message import Lineage
from peeklock.outcome import Reason

UNPUBLISHED_LIMIT = timedelta(days=1)
"""Time after the last attempt to publish a dead letter for which other messages of its key wait. Every platform delivers
its message again within hours, so one that has not returned by then has left its queue in another way."""


def contradicts(record: Record, body: str, now: datetime) -> bool:
    """Return whether the record's key was used with another body.

    A dead-lettered record contradicts none, so that a corrected order can be sent again under the same key. Hashes of
    different versions cannot be compared.
    """
    if record.body == body or record.expires_at <= now or record.state is State.DEAD_LETTERED:
        return False
    return record.body.partition(":")[0] == body.partition(":")[0]


def concerns(record: Record, lineage: Lineage, now: datetime) -> bool:
    """Return whether the record of a key decides over a message that is too old to run.

    It does when the key is done, when the record is about this message, or while another delivery works on the key. Any
    other record is about another message, which must not have to wait for this one.
    """
    if record.expires_at <= now:
        return False
    return record.state is State.DONE or record.message == lineage.id or _is_held(record, now)


def arrive(
    record: Record | None, lineage: Lineage, stamp: Stamp, max_attempts: int, verdict: Verdict | None = None
) -> Decision:
    """Decide what a delivery may do, given the record that the store holds for its key."""
    if record is None or record.expires_at <= stamp.now:
        return _start(begin(lineage, stamp), max_attempts, verdict)
    if record.state is State.DONE:
        return Decision(action=Action.COMPLETE, reason=Reason.DUPLICATE)
    if record.message != lineage.id:
        return _other_message(record, lineage, stamp, max_attempts, verdict)
    effective = _with_recorded_generation(record, lineage)
    if _is_outdated(record, effective):
        return Decision(action=Action.COMPLETE, reason=Reason.SUPERSEDED)
    if _is_held(record, stamp.now):
        return _busy(record, stamp.now)
    if effective.generation > record.generation:  # a redriven dead letter
        claim = replace(begin(effective, stamp, record), bare=effective is not lineage)
        return _start(claim, max_attempts, verdict)
    return _same_message(record, effective, stamp, max_attempts, verdict)


def _with_recorded_generation(record: Record, lineage: Lineage) -> Lineage:
    """Complete the lineage of a delivery whose dead letter may have been published without one.

    After a dead-lettered record it belongs to the next generation, else to the one that began this way. While the dead
    letter is being published, a redriven dead letter and the message itself look the same: the dead letter is then
    published again rather than lost.
    """
    if not record.bare or lineage.generation or lineage.copy_number:
        return lineage
    copy_number = record.copy_number if record.state is State.DEAD_LETTERING else 0
    return replace(
        lineage, generation=record.generation + (record.state is State.DEAD_LETTERED), copy_number=copy_number
    )


def _is_outdated(record: Record, lineage: Lineage) -> bool:
    """Return whether a later copy, or a later generation, is known to exist."""
    if lineage.generation != record.generation:
        return lineage.generation < record.generation
    return lineage.copy_number < record.copy_number and record.state is not State.DELAYING


def _is_held(record: Record, now: datetime) -> bool:
    return record.state in (State.RUNNING, State.DEAD_LETTERING) and record.lease_until > now


def _busy(record: Record, now: datetime) -> Decision:
    """Wait for the end of the holder's lease.

    A lease that ends later than any event may last is shortened to that, and never treated as over. The record keeps
    its version, so that its owner can still write the next one if it is alive.
    """
    latest = now + LONGEST_LEASE
    shortened = replace(record, lease_until=latest) if record.lease_until > latest else None
    return Decision(action=Action.ABANDON, reason=Reason.BUSY, record=shortened)


def _same_message(
    record: Record, lineage: Lineage, stamp: Stamp, max_attempts: int, verdict: Verdict | None
) -> Decision:
    """Decide over the record's own message, in the same generation, while no lease holds the key."""
    match record.state:
        case State.DEAD_LETTERED:
            return Decision(action=Action.COMPLETE, reason=Reason(record.reason))
        case State.DELAYING if lineage.copy_number < record.copy_number:
            # Its writer died before or after it published the copy.
            return Decision(action=Action.PUBLISH, reason=Reason.RETRY, record=replace(record, version=stamp.version))
        case State.DEAD_LETTERING:  # the verdict stands; the handler does not run again
            claim = replace(
                record,
                version=stamp.version,
                owner=stamp.owner,
                lease_until=stamp.lease_until,
                copy_number=lineage.copy_number,
            )
            return Decision(action=Action.DEAD_LETTER, reason=Reason(record.reason), record=claim)
        case _:
            claim = replace(resume(record, lineage, stamp), bare=record.bare)
            return _start(claim, max_attempts, verdict)


def _other_message(
    record: Record, lineage: Lineage, stamp: Stamp, max_attempts: int, verdict: Verdict | None
) -> Decision:
    """Decide over a message whose key has the record of another message.

    The two share their attempts, unless the other one is dead-lettered, or this one is a redriven dead letter that has
    not started a generation of the key yet. It may do so once, or two messages that take turns would never be exhausted.
    """
    if _is_held(record, stamp.now):
        return _busy(record, stamp.now)
    if record.state is State.DEAD_LETTERING and not _may_be_replaced(record, stamp.now):
        return Decision(action=Action.ABANDON, reason=Reason.BUSY)
    over = record.state in (State.DEAD_LETTERED, State.DEAD_LETTERING)
    mark = _redrive_mark(lineage)
    before = "" if over else record.redriven
    claim = begin(lineage, stamp, record) if over or mark > before else resume(record, lineage, stamp)
    return _start(replace(claim, redriven=max(mark, before)), max_attempts, verdict)


def _redrive_mark(lineage: Lineage) -> str:
    """Return a text that grows with each redrive of a message; empty unless this is a redriven dead letter itself."""
    return f"{lineage.generation:010}.{lineage.id}" if lineage.generation and not lineage.copy_number else ""


def _may_be_replaced(record: Record, now: datetime) -> bool:
    """Return whether another message may take the key from a verdict whose dead letter is not published.

    The record's own message would run again if it came back, unless the verdict is about the message alone: then it is
    reached again.
    """
    return record.reason in (Reason.EXPIRED, Reason.INVALID) or record.lease_until + UNPUBLISHED_LIMIT < now


def _start(claim: Record, max_attempts: int, verdict: Verdict | None) -> Decision:
    """Run the claimed message if it has an attempt left."""
    if verdict is None and claim.attempts >= max_attempts:
        verdict = Verdict(reason=Reason.EXHAUSTED, detail=_why_exhausted(claim))
    if verdict is not None:
        announced = replace(claim, state=State.DEAD_LETTERING, reason=verdict.reason, detail=verdict.detail)
        return Decision(action=Action.DEAD_LETTER, reason=verdict.reason, record=announced)
    alone = claim.suspect or claim.attempts + 1 >= max_attempts
    return Decision(action=Action.RUN, reason=Reason.DONE, record=claim, alone=alone)


def _why_exhausted(claim: Record) -> str:
    """Describe how the attempts were used up when no handler has just raised. Never empty."""
    times = "once" if claim.lost == 1 else f"{claim.lost} times"
    lost = f"its process ended or was killed {times} while it ran" if claim.lost else ""
    causes = "; ".join(filter(None, (lost, claim.detail)))
    return causes or f"it had {claim.attempts} attempts before this delivery, and what ended the last is not recorded"
