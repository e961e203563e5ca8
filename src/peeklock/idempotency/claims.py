"""The claim protocol: what a delivery may do, given the one record that the store keeps for its key.

Every function here is pure. The engine writes the record of a decision with one compare-and-swap before it acts on the
decision, so a process that dies between any two steps leaves a record from which the next delivery ends well.
`tests/core/test_model.py` explores these functions under every interleaving and checks:

- nothing is lost; never two runs of a key at once; no run after a recorded success;
- an effect repeats at most once per crash between the effect and its record;
- a life of a key has at most `max_attempts` counted starts, those included whose process died.

A start is counted unless its own result says otherwise. A claim that is found with its lease over is such a start: nobody
knows how far it came.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum

from peeklock.idempotency.record import LONGEST_EVENT, LONGEST_LEASE, UNSETTLED_KEEP, Record, Stamp, State, next_version
from peeklock.message import Lineage
from peeklock.outcome import Reason
from peeklock.timing.delays import ZERO

FORSAKEN_AFTER = timedelta(days=1)
"""Since the last try to publish a dead letter. Its message comes back within hours on every platform, so by then it has
left its queue by another way, and other messages of its key need not wait for it any longer."""


class Do(StrEnum):
    RUN = "run"
    DEAD_LETTER = "dead_letter"
    PUBLISH = "publish"
    COMPLETE = "complete"
    ABANDON = "abandon"


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """What to do, and the record to swap in before doing it (None: nothing to write)."""

    do: Do
    reason: Reason
    record: Record | None = None
    alone: bool = False
    """A run that is claimed and started only when nothing else runs, last in its event: the loss of this start would
    exhaust the message, or an earlier one has not come back and may take others with it again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """A dead letter that was decided without, or in spite of, the count of attempts."""

    reason: Reason
    detail: str = ""


def contradicts(record: Record, body: str, now: datetime) -> bool:
    """Whether the key already stands for another body. Once its message is dead-lettered, it stands for none: the same
    order, mended, may be sent again. Hashes of different versions say nothing of each other."""
    if record.body == body or record.expires_at <= now or record.state is State.DEAD_LETTERED:
        return False
    return record.body.partition(":")[0] == body.partition(":")[0]


def concerns(record: Record, lineage: Lineage, now: datetime) -> bool:
    """Whether the record of a key decides over a message that is too old to run: its work is done, it is its own, or
    somebody is at work on the key. Any other is about another message, which must not have to wait for this one."""
    if record.expires_at <= now:
        return False
    return record.state is State.DONE or record.message == lineage.id or _is_held(record, now)


def arrive(
    record: Record | None, lineage: Lineage, stamp: Stamp, max_attempts: int, verdict: Verdict | None = None
) -> Decision:
    """What to do with a delivery, given what the store holds for its key."""
    if record is None or record.expires_at <= stamp.now:
        return _start(begin(lineage, stamp), max_attempts, verdict)
    if record.state is State.DONE:
        return Decision(do=Do.COMPLETE, reason=Reason.DUPLICATE)
    if record.message != lineage.id:
        return _twin(record, lineage, stamp, max_attempts, verdict)
    known = _adopted(record, lineage)
    if _outrun(record, known):
        return Decision(do=Do.COMPLETE, reason=Reason.SUPERSEDED)
    if _is_held(record, stamp.now):
        return _busy(record, stamp.now)
    if known.generation > record.generation:  # a redriven dead letter starts a new life
        claim = replace(begin(known, stamp, record), bare=known is not lineage)
        return _start(claim, max_attempts, verdict)
    return _again(record, known, stamp, max_attempts, verdict)


def _adopted(record: Record, lineage: Lineage) -> Lineage:
    """The lineage of a delivery that may have been published without: after a dead record the next life's, else that of
    the life which began so. While the dead letter is being published nobody knows whether this is it, redriven, or the
    message itself: the dead letter is published again then, rather than lost."""
    if not record.bare or lineage.generation or lineage.copy_number:
        return lineage
    copy_number = record.copy_number if record.state is State.DEAD_LETTERING else 0
    return replace(
        lineage, generation=record.generation + (record.state is State.DEAD_LETTERED), copy_number=copy_number
    )


def _outrun(record: Record, lineage: Lineage) -> bool:
    """Whether a later copy, or a later life, is known to exist."""
    if lineage.generation != record.generation:
        return lineage.generation < record.generation
    return lineage.copy_number < record.copy_number and record.state is not State.DELAYING


def _is_held(record: Record, now: datetime) -> bool:
    return record.state in (State.RUNNING, State.DEAD_LETTERING) and record.lease_until > now


def _busy(record: Record, now: datetime) -> Decision:
    """Wait for the holder's lease. One that ends later than any event may last is cut to that, and never taken for over.
    It keeps its version: its owner, if it is alive after all, still writes what follows."""
    latest = now + LONGEST_LEASE
    cut = replace(record, lease_until=latest) if record.lease_until > latest else None
    return Decision(do=Do.ABANDON, reason=Reason.BUSY, record=cut)


def _again(record: Record, lineage: Lineage, stamp: Stamp, max_attempts: int, verdict: Verdict | None) -> Decision:
    """The same message in the same life, and nobody holds it."""
    match record.state:
        case State.DEAD_LETTERED:
            return Decision(do=Do.COMPLETE, reason=Reason(record.reason))
        case State.DELAYING if (
            lineage.copy_number < record.copy_number
        ):  # died before or after publishing the copy: publish it again
            return Decision(do=Do.PUBLISH, reason=Reason.RETRY, record=replace(record, version=stamp.version))
        case State.DEAD_LETTERING:  # the verdict stands; the handler does not run again
            mine = replace(
                record,
                version=stamp.version,
                owner=stamp.owner,
                lease_until=stamp.lease_until,
                copy_number=lineage.copy_number,
            )
            return Decision(do=Do.DEAD_LETTER, reason=Reason(record.reason), record=mine)
        case _:
            claim = replace(_resume(record, lineage, stamp), bare=record.bare)
            return _start(claim, max_attempts, verdict)


def _twin(record: Record, lineage: Lineage, stamp: Stamp, max_attempts: int, verdict: Verdict | None) -> Decision:
    """Another message with the same key. They share the attempts, unless the other's life is over, or this is a redriven
    dead letter that has not begun one yet: once, or two messages that take turns would never be exhausted."""
    if _is_held(record, stamp.now):
        return _busy(record, stamp.now)
    if record.state is State.DEAD_LETTERING and not _may_be_forgotten(record, stamp.now):
        return Decision(do=Do.ABANDON, reason=Reason.BUSY)
    over = record.state in (State.DEAD_LETTERED, State.DEAD_LETTERING)
    mark = _redrive_of(lineage)
    before = "" if over else record.redriven
    claim = begin(lineage, stamp, record) if over or mark > before else _resume(record, lineage, stamp)
    return _start(replace(claim, redriven=max(mark, before)), max_attempts, verdict)


def _redrive_of(lineage: Lineage) -> str:
    """A text that grows with each redrive of a message; empty for what is no redriven dead letter, or a copy of one."""
    return f"{lineage.generation:010}.{lineage.id}" if lineage.generation and not lineage.copy_number else ""


def _may_be_forgotten(record: Record, now: datetime) -> bool:
    """Whether another message may take over a verdict whose dead letter is not published. Its own message would run again
    if it came back, unless the verdict is about the message alone and so is reached again."""
    return record.reason in (Reason.EXPIRED, Reason.INVALID) or record.lease_until + FORSAKEN_AFTER < now


def begin(lineage: Lineage, stamp: Stamp, record: Record | None = None) -> Record:
    """The claim of a new life. `record`: what is there, for what a newer release added to it."""
    return Record(
        state=State.RUNNING,
        version=stamp.version,
        owner=stamp.owner,
        message=lineage.id,
        expires_at=stamp.now + UNSETTLED_KEEP,
        lease_until=stamp.lease_until,
        generation=lineage.generation,
        copy_number=lineage.copy_number,
        attempts=lineage.attempts,
        body=stamp.body,
        extra="" if record is None else record.extra,
    )


def _resume(record: Record, lineage: Lineage, stamp: Stamp) -> Record:
    """The claim of a life that goes on. A start that did not come back counts."""
    open_start = record.state is State.RUNNING
    attempts = counted(record) if open_start else record.attempts
    return replace(
        begin(lineage, stamp, record),
        attempts=max(attempts, lineage.attempts),
        suspect=record.suspect or open_start,
        lost=record.lost + (open_start and not record.counted),
        detail=record.detail,
    )


def _start(claim: Record, max_attempts: int, verdict: Verdict | None) -> Decision:
    """Run what was claimed, if it has an attempt left."""
    if verdict is None and claim.attempts >= max_attempts:
        verdict = Verdict(reason=Reason.EXHAUSTED, detail=_why_exhausted(claim))
    if verdict is not None:
        condemned = replace(claim, state=State.DEAD_LETTERING, reason=verdict.reason, detail=verdict.detail)
        return Decision(do=Do.DEAD_LETTER, reason=verdict.reason, record=condemned)
    alone = claim.suspect or claim.attempts + 1 >= max_attempts
    return Decision(do=Do.RUN, reason=Reason.DONE, record=claim, alone=alone)


def _why_exhausted(claim: Record) -> str:
    """What is known where no handler has just raised. Never empty."""
    times = "once" if claim.lost == 1 else f"{claim.lost} times"
    lost = f"its process ended or was killed {times} while it ran" if claim.lost else ""
    known = "; ".join(filter(None, (lost, claim.detail)))
    return known or f"it had {claim.attempts} attempts before this delivery, and what ended the last is not recorded"


def failed(
    record: Record,
    stamp: Stamp,
    max_attempts: int,
    *,
    copies: bool,
    counts: bool = True,
    delay: timedelta = ZERO,
    verdict: Verdict | None = None,
) -> Decision:
    """The handler raised: what next, and what the store must hold before it happens."""
    attempts = counted(record) if counts else started(record)
    if verdict is None and attempts >= max_attempts:
        verdict = Verdict(reason=Reason.EXHAUSTED)
    ended = replace(record, suspect=False, detail="")
    if verdict is not None:
        mine = _rewrite(ended, stamp, State.DEAD_LETTERING, attempts=attempts)
        mine = replace(mine, reason=verdict.reason, detail=verdict.detail)
        return Decision(do=Do.DEAD_LETTER, reason=verdict.reason, record=mine)
    reason = Reason.RETRY if counts else Reason.RESCHEDULED
    if copies:
        mine = _rewrite(ended, stamp, State.DELAYING, attempts=attempts, delay=delay)
        mine = replace(mine, copy_number=record.copy_number + 1, due=stamp.now + delay)
        return Decision(do=Do.PUBLISH, reason=reason, record=mine)
    mine = _rewrite(ended, stamp, State.WAITING, attempts=attempts, delay=delay)
    return Decision(do=Do.ABANDON, reason=reason, record=mine)


def counted(record: Record) -> int:
    """Starts that count, this one included."""
    return record.attempts if record.counted else record.attempts + 1


def started(record: Record) -> int:
    """Starts that count, this one left out."""
    return record.attempts - record.counted


def timed_out(record: Record, stamp: Stamp, detail: str = "") -> Record:
    """The start counts, and the lease stays: what the handler began may still be going on."""
    return replace(record, version=stamp.version, attempts=counted(record), counted=True, detail=detail)


def let_go(record: Record, stamp: Stamp) -> Record:
    """A handler past its time has ended after all, and failed: it counts, also where that could not be recorded when its
    time was over, and the lease need not be waited out."""
    return _rewrite(replace(record, suspect=False), stamp, State.WAITING, attempts=counted(record))


def stay(record: Record, stamp: Stamp) -> Record:
    """No form of the announced copy fits into its queue, so it was never published: this delivery carries on."""
    return _rewrite(without_copies(record), stamp, State.WAITING, attempts=record.attempts)


def without_copies(record: Record) -> Record:
    """The record where no copy can be published, as after a deployment without them: the announced one is waited for no
    more. Should it be there all the same, it is the newest copy when it arrives, and carries on."""
    if record.state is not State.DELAYING:
        return record
    return replace(record, state=State.WAITING, copy_number=max(record.copy_number - 1, 0))


def unlock(record: Record, stamp: Stamp) -> Record:
    """The dead letter could not be published; another delivery need not wait for the lease to try."""
    return replace(record, version=stamp.version, lease_until=stamp.now)


def announce_bare(record: Record, stamp: Stamp) -> Record:
    """The dead letter of a verdict is about to be published without lineage, and may be redriven at once."""
    return replace(record, version=stamp.version, bare=True)


def give_back(record: Record, stamp: Stamp) -> Record:
    """The claim was never used: nothing is counted, and a suspect stays one."""
    return _rewrite(record, stamp, State.WAITING, attempts=started(record))


def finish(record: Record, stamp: Stamp, state: State, *, bare: bool = False) -> Record:
    """`done` after the handler's success, `delayed` after the copy's publication, `dead_lettered` after the dead letter's; `bare`: it
    was published without lineage."""
    until = stamp.now + stamp.keep
    if state is State.DELAYED:
        until = max(stamp.now, record.due or stamp.now) + UNSETTLED_KEEP
    carried = bare if state is State.DEAD_LETTERED else record.bare
    detail = "" if state is State.DONE else record.detail  # what went wrong before is nobody's business any more
    return replace(
        record, state=state, version=stamp.version, owner=stamp.owner, expires_at=until, bare=carried, detail=detail
    )


def _rewrite(record: Record, stamp: Stamp, state: State, *, attempts: int, delay: timedelta = ZERO) -> Record:
    return replace(
        record,
        state=state,
        version=stamp.version,
        owner=stamp.owner,
        attempts=attempts,
        counted=False,
        due=None,
        expires_at=stamp.now + delay + UNSETTLED_KEEP,
    )


__all__ = [
    "LONGEST_EVENT",
    "LONGEST_LEASE",
    "UNSETTLED_KEEP",
    "Decision",
    "Do",
    "Record",
    "Stamp",
    "State",
    "Verdict",
    "announce_bare",
    "arrive",
    "begin",
    "concerns",
    "contradicts",
    "counted",
    "failed",
    "finish",
    "give_back",
    "let_go",
    "next_version",
    "started",
    "timed_out",
    "unlock",
]
