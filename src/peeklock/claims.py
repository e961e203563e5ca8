"""The claim protocol: what a delivery may do, given the one record that the store keeps for its key.

Every function here is pure. The engine writes the record of a decision with one compare-and-swap before it acts on the
decision, so a process that dies between any two steps leaves a record from which the next delivery ends well.
`tests/core/test_model.py` explores these functions under every interleaving and checks:

- nothing is lost; never two runs of a key at once; no run after a recorded success;
- an effect repeats at most once per crash between the effect and its record.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from enum import StrEnum

from peeklock.message import Trail
from peeklock.outcome import Reason

UNSETTLED_KEEP = timedelta(days=32)
# An unsettled record outlives its message: Cloud Tasks keeps a task 31 days, the longest of all platforms.
# https://cloud.google.com/tasks/docs/quotas

_EPOCH = datetime(2020, 1, 1, tzinfo=UTC)
_NONCE_BITS = 22
_MILLISECOND = timedelta(milliseconds=1)


class State(StrEnum):
    RUNNING = "running"
    WAITING = "waiting"
    MOVING = "moving"
    MOVED = "moved"
    CONDEMNED = "condemned"
    DEAD = "dead"
    DONE = "done"


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """All that is known of a key."""

    state: State
    version: int
    """Different at each write and growing: the fencing token."""
    owner: str
    """The process that wrote it."""
    message: str
    """Logical id of the message that the record is about; another message may have the same key."""
    expires_at: datetime
    """From here on the record counts as absent, whether or not the database removed it."""
    lease_until: datetime
    """Past this the writer's process cannot be alive."""
    generation: int = 0
    hop: int = 0
    attempts: int = 0
    """Counted starts, the one under way included if `counted`."""
    counted: bool = False
    reason: str = ""
    """The verdict of a condemned or dead record."""
    detail: str = ""
    """What was wrong, for the letter of a condemned record that another process has to publish."""
    body: str = ""
    """Hash of the body that the key stands for; empty where the consumer does not check it."""
    result: str = ""
    """What the handler returned, as JSON, on the record of a success; empty where it is not kept."""
    bare: bool = False
    """On a dead record: its dead letter carries no lineage, so the next delivery of this id is taken for a redrive."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Stamp:
    """What a write needs from the outside world."""

    version: int
    owner: str
    now: datetime
    lease_until: datetime
    keep: timedelta
    body: str = ""


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
    suspect: bool = False
    """Its last run did not come back: it runs last and alone, so that it cannot take others with it again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """A dead letter that was decided without, or in spite of, the count of attempts."""

    reason: Reason
    detail: str = ""


def contradicts(record: Record, body: str, now: datetime) -> bool:
    """Whether the key already stands for another body. Once its message is dead-lettered, it stands for none: the same
    order, mended, may be sent again."""
    return record.body not in ("", body) and record.expires_at > now and record.state is not State.DEAD


def next_version(after: int, now: datetime, nonce: int) -> int:
    """A version above `after` that no other writer chose: milliseconds, then random bits. Fits a signed 64-bit integer
    until 2089, and grows although clocks differ."""
    clock = (now - _EPOCH) // _MILLISECOND
    tick = max(clock, (after >> _NONCE_BITS) + 1)
    return tick << _NONCE_BITS | nonce & ((1 << _NONCE_BITS) - 1)


def arrive(
    record: Record | None, trail: Trail, stamp: Stamp, max_attempts: int, verdict: Verdict | None = None
) -> Decision:
    """What to do with a delivery, given what the store holds for its key."""
    if record is None or record.expires_at <= stamp.now:
        return _claim(trail, stamp, max_attempts, verdict, attempts=trail.attempts)
    if record.state is State.DONE:
        return Decision(do=Do.COMPLETE, reason=Reason.DUPLICATE)
    held = record.state in (State.RUNNING, State.CONDEMNED) and record.lease_until > stamp.now
    if record.message != trail.id:
        return _twin(record, trail, stamp, max_attempts, verdict, held=held)
    if _outrun(record, trail):
        return Decision(do=Do.COMPLETE, reason=Reason.MOVED)
    if held:
        return Decision(do=Do.ABANDON, reason=Reason.BUSY)
    if trail.generation > record.generation:  # a redriven letter starts a new life
        return _claim(trail, stamp, max_attempts, verdict, attempts=0)
    return _again(record, trail, stamp, max_attempts, verdict)


def _outrun(record: Record, trail: Trail) -> bool:
    """Whether a later copy, or a later life, is known to exist."""
    if trail.generation != record.generation:
        return trail.generation < record.generation
    return trail.hop < record.hop and record.state is not State.MOVING


def _again(record: Record, trail: Trail, stamp: Stamp, max_attempts: int, verdict: Verdict | None) -> Decision:
    """The same message in the same life, and nobody holds it."""
    known = max(record.attempts, trail.attempts)
    match record.state:
        case State.DEAD:
            return Decision(do=Do.COMPLETE, reason=Reason(record.reason))
        case State.MOVING if trail.hop < record.hop:  # died before or after publishing the copy: publish it again
            return Decision(do=Do.PUBLISH, reason=Reason.RETRY, record=replace(record, version=stamp.version))
        case State.CONDEMNED:  # the verdict stands; the handler does not run again
            mine = replace(
                record, version=stamp.version, owner=stamp.owner, lease_until=stamp.lease_until, hop=trail.hop
            )
            return Decision(do=Do.DEAD_LETTER, reason=Reason(record.reason), record=mine)
        case State.RUNNING:  # its process died: this start counts before it runs
            return _claim(trail, stamp, max_attempts, verdict, attempts=known + 1, suspect=True)
        case _:
            return _claim(trail, stamp, max_attempts, verdict, attempts=known)


def _twin(
    record: Record, trail: Trail, stamp: Stamp, max_attempts: int, verdict: Verdict | None, *, held: bool
) -> Decision:
    """Another message with the same key. They share the attempts, unless the other's life is over. A verdict whose
    letter is not published yet is not over: taken over, it would be forgotten, and its message would run again."""
    if held or record.state is State.CONDEMNED:
        return Decision(do=Do.ABANDON, reason=Reason.BUSY)
    if record.state is State.DEAD:
        return _claim(trail, stamp, max_attempts, verdict, attempts=trail.attempts)
    suspect = record.state is State.RUNNING
    shared = max(record.attempts + suspect, trail.attempts)
    return _claim(trail, stamp, max_attempts, verdict, attempts=shared, suspect=suspect)


def _claim(  # the six facts of a claim; a class for them would only rename them
    trail: Trail,
    stamp: Stamp,
    max_attempts: int,
    verdict: Verdict | None,
    *,
    attempts: int,
    suspect: bool = False,
) -> Decision:
    if verdict is None and attempts - suspect >= max_attempts:
        verdict = Verdict(reason=Reason.EXHAUSTED)
    record = Record(
        state=State.RUNNING if verdict is None else State.CONDEMNED,
        version=stamp.version,
        owner=stamp.owner,
        message=trail.id,
        expires_at=stamp.now + UNSETTLED_KEEP,
        lease_until=stamp.lease_until,
        generation=trail.generation,
        hop=trail.hop,
        attempts=attempts,
        counted=suspect,
        reason=verdict.reason if verdict else "",
        detail=verdict.detail if verdict else "",
        body=stamp.body,
    )
    if verdict is not None:
        return Decision(do=Do.DEAD_LETTER, reason=verdict.reason, record=record)
    return Decision(do=Do.RUN, reason=Reason.DONE, record=record, suspect=suspect)


def failed(
    record: Record,
    stamp: Stamp,
    max_attempts: int,
    *,
    copies: bool,
    counts: bool = True,
    verdict: Verdict | None = None,
) -> Decision:
    """The handler raised: what next, and what the store must hold before it happens."""
    attempts = counted(record) if counts else started(record)
    if verdict is None and attempts >= max_attempts:
        verdict = Verdict(reason=Reason.EXHAUSTED)
    if verdict is not None:
        mine = _rewrite(record, stamp, State.CONDEMNED, attempts=attempts)
        mine = replace(mine, reason=verdict.reason, detail=verdict.detail)
        return Decision(do=Do.DEAD_LETTER, reason=verdict.reason, record=mine)
    if copies:
        mine = replace(_rewrite(record, stamp, State.MOVING, attempts=attempts), hop=record.hop + 1)
        return Decision(do=Do.PUBLISH, reason=Reason.RETRY, record=mine)
    return Decision(
        do=Do.ABANDON, reason=Reason.RETRY, record=_rewrite(record, stamp, State.WAITING, attempts=attempts)
    )


def counted(record: Record) -> int:
    """Starts that count, this one included."""
    return record.attempts if record.counted else record.attempts + 1


def started(record: Record) -> int:
    """Starts that count, this one left out."""
    return record.attempts - record.counted


def timed_out(record: Record, stamp: Stamp) -> Record:
    """The start counts, and the lease stays: what the handler began may still be going on."""
    return replace(record, version=stamp.version, attempts=counted(record), counted=True)


def let_go(record: Record, stamp: Stamp) -> Record:
    """A handler past its time has ended after all, and failed: the lease need not be waited out."""
    return _rewrite(record, stamp, State.WAITING, attempts=record.attempts)


def stay(record: Record, stamp: Stamp) -> Record:
    """No form of the announced copy fits into its queue, so it was never published: this delivery carries on."""
    mine = _rewrite(record, stamp, State.WAITING, attempts=record.attempts)
    return replace(mine, hop=max(record.hop - 1, 0))


def unlock(record: Record, stamp: Stamp) -> Record:
    """The letter of a verdict could not be published here; another delivery need not wait for the lease to try."""
    return replace(record, version=stamp.version, lease_until=stamp.now)


def give_back(record: Record, stamp: Stamp) -> Record:
    """The claim was never used."""
    return _rewrite(record, stamp, State.WAITING, attempts=started(record))


def finish(record: Record, stamp: Stamp, state: State) -> Record:
    """`done` after the handler's success, `moved` after the copy's publication, `dead` after the letter's."""
    kept = UNSETTLED_KEEP if state is State.MOVED else stamp.keep
    return replace(record, state=state, version=stamp.version, owner=stamp.owner, expires_at=stamp.now + kept)


def _rewrite(record: Record, stamp: Stamp, state: State, *, attempts: int) -> Record:
    return replace(
        record,
        state=state,
        version=stamp.version,
        owner=stamp.owner,
        attempts=attempts,
        counted=False,
        expires_at=stamp.now + UNSETTLED_KEEP,
    )
