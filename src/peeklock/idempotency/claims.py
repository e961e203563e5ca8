"""Claims on a key: how they are made, and the records that follow from how a handler ends. Pure functions.

`arrival` decides whether a delivery may claim its key. Its docstring lists the guarantees of both modules.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from peeklock.idempotency.decision import Action, Decision, Verdict
from peeklock.idempotency.record import UNSETTLED_KEEP, Record, Stamp, State
from peeklock.message import Lineage
from peeklock.outcome import Reason
from peeklock.timing.delays import ZERO


def begin(lineage: Lineage, stamp: Stamp, record: Record | None = None) -> Record:
    """Return the claim of a new generation. It keeps what a newer release added to `record`, the present one."""
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


def resume(record: Record, lineage: Lineage, stamp: Stamp) -> Record:
    """Return the claim of a generation that continues. A start that did not come back counts."""
    open_start = record.state is State.RUNNING
    attempts = counted(record) if open_start else record.attempts
    return replace(
        begin(lineage, stamp, record),
        attempts=max(attempts, lineage.attempts),
        suspect=record.suspect or open_start,
        lost=record.lost + (open_start and not record.counted),
        detail=record.detail,
    )


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
    """Decide what follows after the handler raised, and what the store must hold before that happens.

    `copies`: whether a delayed copy may carry the message on.
    """
    attempts = counted(record) if counts else started(record)
    if verdict is None and attempts >= max_attempts:
        verdict = Verdict(reason=Reason.EXHAUSTED)
    ended = replace(record, suspect=False, detail="")
    if verdict is not None:
        mine = _rewrite(ended, stamp, State.DEAD_LETTERING, attempts=attempts)
        mine = replace(mine, reason=verdict.reason, detail=verdict.detail)
        return Decision(action=Action.DEAD_LETTER, reason=verdict.reason, record=mine)
    reason = Reason.RETRY if counts else Reason.RESCHEDULED
    if copies:
        mine = _rewrite(ended, stamp, State.DELAYING, attempts=attempts, delay=delay)
        mine = replace(mine, copy_number=record.copy_number + 1, due=stamp.now + delay)
        return Decision(action=Action.PUBLISH, reason=reason, record=mine)
    mine = _rewrite(ended, stamp, State.WAITING, attempts=attempts, delay=delay)
    return Decision(action=Action.ABANDON, reason=reason, record=mine)


def counted(record: Record) -> int:
    """Return the number of counted starts, including the current one."""
    return record.attempts if record.counted else record.attempts + 1


def started(record: Record) -> int:
    """Return the number of counted starts, without the current one."""
    return record.attempts - record.counted


def timed_out(record: Record, stamp: Stamp, detail: str = "") -> Record:
    """Return the record of a handler that may still be running: its start counts, and it keeps its lease."""
    return replace(record, version=stamp.version, attempts=counted(record), counted=True, detail=detail)


def release_late(record: Record, stamp: Stamp) -> Record:
    """Return the record of a handler that ran past its time and has failed since.

    Its start counts, also where that could not be recorded at the time-out, and nobody has to wait for the lease.
    """
    return _rewrite(replace(record, suspect=False), stamp, State.WAITING, attempts=counted(record))


def cancel_copy(record: Record, stamp: Stamp) -> Record:
    """Return the record after an announced copy that fits into its queue in no form: this delivery carries on."""
    return _rewrite(without_copies(record), stamp, State.WAITING, attempts=record.attempts)


def without_copies(record: Record) -> Record:
    """Return the record as it counts where no copy can be published, as after a deployment that turned copies off.

    An announced copy is not waited for. If it exists nevertheless, it is the newest copy when it arrives, and carries on.
    """
    if record.state is not State.DELAYING:
        return record
    return replace(record, state=State.WAITING, copy_number=max(record.copy_number - 1, 0))


def release_lease(record: Record, stamp: Stamp) -> Record:
    """Return the record after a dead letter that could not be published: the next delivery may try at once."""
    return replace(record, version=stamp.version, lease_until=stamp.now)


def announce_bare(record: Record, stamp: Stamp) -> Record:
    """Return the record to write before a dead letter is published without lineage, since it may be redriven at once."""
    return replace(record, version=stamp.version, bare=True)


def give_back(record: Record, stamp: Stamp) -> Record:
    """Return the record of a claim that was never used: nothing is counted, and a suspect stays one."""
    return _rewrite(record, stamp, State.WAITING, attempts=started(record))


def finish(record: Record, stamp: Stamp, state: State, *, bare: bool = False) -> Record:
    """Return the record of a settled message.

    `done` follows the handler's success, `delayed` the publication of the copy, `dead_lettered` that of the dead letter.
    `bare`: the dead letter was published without lineage.
    """
    until = stamp.now + stamp.keep
    if state is State.DELAYED:
        until = max(stamp.now, record.due or stamp.now) + UNSETTLED_KEEP
    carried = bare if state is State.DEAD_LETTERED else record.bare
    detail = "" if state is State.DONE else record.detail  # earlier failures do not matter after a success
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
