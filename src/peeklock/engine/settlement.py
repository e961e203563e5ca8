"""How a life ends: success, another attempt, or a letter. Generators like the life itself, so without I/O.

The order of the writes is the whole point. A record that announces a publication is written before it, the record that
confirms it after; if the process dies between the two, the next delivery publishes again, under the same derived id.
Without a store there is nothing to write, and the platform's own count stands in for the record.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Generator
from dataclasses import replace
from datetime import timedelta
from functools import partial
from typing import Any

from peeklock.concurrency.interrupt import Interrupted
from peeklock.consuming.hooks import NoThread
from peeklock.consuming.results import is_too_large
from peeklock.engine.bound_consumer import Delays, Plan, Window
from peeklock.engine.delivery import Effect, Halted, Item, Life, Send, TimedOut
from peeklock.engine.failures import delay_of, describe, judge
from peeklock.errors import DeadLetter, Retry, SendError, is_a, leaves_process
from peeklock.idempotency import claims
from peeklock.idempotency.claims import Do, Record, State, Verdict
from peeklock.idempotency.store import Change
from peeklock.message import Message
from peeklock.observability.observer import record, record_once
from peeklock.outcome import DONE, Disposition, Outcome, Reason
from peeklock.outgoing import Parcel, Sender, copy_of, letter_of
from peeklock.sending.fitting import fit
from peeklock.timing.delays import ZERO, backoff


def succeed(item: Item, plan: Plan, window: Window) -> Life:
    """The handler returned: complete, recorded or not, for its effect has happened."""
    claim = item.claim
    assert claim is not None, "with a store, only a claimed message runs"
    outcome = done(item)
    # Known even if it cannot be written: another message with this key, in this event, must not do it again.
    finished = item.known = finish(item, plan, window, claim, window.converting())
    if not (yield from _write(item, plan, finished)):
        fields = {"queue": plan.queue.name, "message_id": item.message.id, "attempt": outcome.attempt}
        record("peeklock.unrecorded %s", {**fields, "detail": item.unwritten})
        outcome = replace(outcome, unrecorded=True)
    return outcome if plan.results is None else replace(outcome, result=item.returned)


def finish(item: Item, plan: Plan, window: Window, claim: Record, seconds: float) -> Record:
    """The record of a success, with its result where that is kept and can be written in so many seconds: the effect has
    happened either way."""
    finished = claims.finish(claim, window.stamp(claim), State.DONE)
    if plan.results is None:
        return finished
    result, problem = _text_of(partial(plan.results.dump, item.returned), window, seconds)
    if problem:
        told = {"queue": plan.queue.name, "message_id": item.message.id, "detail": problem}
        record("peeklock.result_dropped %s", told, level=logging.WARNING)
    return replace(finished, result="" if problem else result)


def _text_of(dump: Callable[[], str], window: Window, seconds: float) -> tuple[str, str]:
    """A result as text, and why it cannot be kept, if so. Its way into JSON calls the user's serializers."""
    try:
        result = window.limited(dump, seconds)
    except (Interrupted, NoThread):
        return "", "not written in time"
    except BaseException as exc:
        if leaves_process(exc):
            raise
        return "", f"not what it is annotated to be: {type(exc).__name__}"
    return result, "too large to be kept" if is_too_large(result) else ""


def done(item: Item) -> Outcome:
    attempt = item.attempt
    return DONE if attempt == 1 else replace(DONE, attempt=attempt)


def fail(item: Item, plan: Plan, window: Window, error: BaseException) -> Life:
    """It was not started, did not end in time, or raised."""
    claim = item.claim = item.claim or stand_in(item, window)
    stamp = window.stamp(claim)
    if is_a(error, Halted):
        yield from _write(item, plan, claims.give_back(claim, stamp))
        return abandoned(item, plan, Reason.HALTED, delay=ZERO, detail=str(error))
    if is_a(error, TimedOut) and not error.ended and not _is_last_without_store(item, plan):
        return (yield from _timed_out(item, plan, window, claim, error))
    return (yield from _raised(item, plan, window, claim, error))


def _is_last_without_store(item: Item, plan: Plan) -> bool:
    return plan.store is None and item.attempt >= plan.queue.max_attempts


def _timed_out(item: Item, plan: Plan, window: Window, claim: Record, error: TimedOut) -> Life:
    """The handler may still run: the start counts, and the lease stays. No delayed copy carries on, since none may run
    before the lease is over: the message itself comes back, and is busy until then."""
    stamp, attempt = window.stamp(claim), item.attempt
    yield from _write(item, plan, claims.timed_out(claim, stamp, describe(error)))
    delay = None if plan.store is None else max(window.lease_until - stamp.now, ZERO)
    outcome = abandoned(item, plan, Reason.TIMEOUT, delay=delay, error=error, detail=str(error))
    return replace(outcome, attempt=attempt)


def stand_in(item: Item, window: Window) -> Record:
    """What the record would say, by the platform's count alone."""
    trail = replace(item.message.lineage, attempts=item.message.attempt - 1)
    return claims.begin(trail, window.stamp(None))


def _raised(item: Item, plan: Plan, window: Window, claim: Record, error: BaseException) -> Life:
    wish = None if is_a(error, TimedOut) else judge(error, plan, window)
    retry = wish if is_a(wish, Retry) else Retry()
    queue, attempt = plan.queue, item.attempt
    after = delay_of(retry)
    delay = backoff(attempt, queue.first_delay, queue.max_delay, plan.random) if after is None else after
    delay = min(delay, plan.longest_delay)
    decision = claims.failed(
        claim,
        window.stamp(claim),
        plan.queue.max_attempts,
        copies=_may_copy(item, plan, claim),
        counts=retry.counts or _must_count(plan),
        delay=delay,
        verdict=Verdict(reason=Reason.FATAL, detail=describe(error)) if is_a(wish, DeadLetter) else None,
    )
    assert decision.record is not None, "a failure always changes the record"
    outcome = _comes_back(item, plan, retry, delay, error)
    announced = dated(replace(decision.record, detail=decision.record.detail or describe(error)), item)
    if not (yield from _write(item, plan, announced)):
        return outcome
    if decision.do is Do.DEAD_LETTER:
        return replace((yield from bury(item, plan, window, ran=error)), attempt=attempt)
    if decision.do is Do.ABANDON:
        return outcome
    refused = yield from move(item, plan, window, delay)
    if refused is not None:
        return replace(outcome, detail=f"the delayed copy could not be published: {refused}")
    return replace(outcome, copied=True, delay=delay)


def _comes_back(item: Item, plan: Plan, retry: Retry, delay: timedelta, error: BaseException) -> Outcome:
    if is_a(error, TimedOut):
        return abandoned(item, plan, Reason.TIMEOUT, delay=delay, error=error, detail=str(error))
    return abandoned(item, plan, Reason.RETRY if retry.counts else Reason.RESCHEDULED, delay=delay, error=error)


def _may_copy(item: Item, plan: Plan, claim: Record) -> bool:
    """Whether a delayed copy may carry on: it would overtake its group, and some messages leave no room for lineage."""
    if plan.delays is not Delays.COPY or plan.copies is None or item.message.group is not None:
        return False
    copy = copy_of(_origin(item, claim), hop=claim.hop + 1, attempts=claim.attempts + 1, delay=ZERO)
    return fit(copy, plan.copies) is not None


def _publish(
    item: Item, plan: Plan, window: Window, parcel: Parcel, sender: Sender
) -> Generator[Effect, Any, tuple[Parcel, SendError | None]]:
    """Publish a message in the first form that fits; when its sender learns from a refusal that the queue takes less, in
    the first that fits then. Answers with that form, and with what went wrong, if it did."""
    refused: SendError | None = SendError("it fits in no form into the queue")
    fitted = fit(parcel, sender)
    while fitted is not None:
        if fitted.bare and not (yield from _announce_bare(item, plan, window)):
            return fitted, SendError("the store did not take that the dead letter has no lineage")
        refused = yield Send(fitted, sender)
        smaller = None if refused is None else fit(parcel, sender)
        if refused is None or smaller == fitted:
            return fitted, refused
        fitted = smaller
    return parcel, refused


def _announce_bare(item: Item, plan: Plan, window: Window) -> Generator[Effect, Any, bool]:
    """Record, before it happens, that a dead letter goes out without lineage: it may be redriven at once."""
    claim = item.claim
    assert claim is not None, "a record announced the dead letter"
    return (yield from _write(item, plan, claims.announce_bare(claim, window.stamp(claim))))


def _must_count(plan: Plan) -> bool:
    """Without a store only the platform counts, and it counts every delivery."""
    if plan.store is not None:
        return False
    told = {"queue": plan.queue.name, "detail": "without a store Retry(counts=False) counts as an attempt"}
    record_once("peeklock.weaker %s", told)
    return True


def _origin(item: Item, claim: Record) -> Message:
    """The message that a copy or a dead letter is made of. Its lineage says when it was first sent, which the platform knows
    of the first copy only; and the life that its record says, where it carries none."""
    arrived = item.arrived
    sent = arrived.first_sent if claim.sent is None else claim.sent
    lineage = replace(arrived.lineage, generation=claim.generation, sent=sent, source=arrived.source)
    return replace(arrived, trail=lineage)


def dated(announcement: Record, item: Item) -> Record:
    """A record that announces a copy or a dead letter, with the time of the first sending. That time is a part of their id,
    which must be the same if another delivery has to publish them, to which the platform may give another time."""
    announces = announcement.state in (State.MOVING, State.CONDEMNED) and announcement.sent is None
    return replace(announcement, sent=item.arrived.first_sent) if announces else announcement


def move(item: Item, plan: Plan, window: Window, delay: timedelta) -> Generator[Effect, Any, SendError | None]:
    """The record says `moving`: publish the delayed copy, then record that. What went wrong, if it did."""
    claim = item.claim
    assert claim is not None, "a record announced the copy"
    assert plan.copies is not None, "where there are no copies, none is announced any more"
    parcel = copy_of(_origin(item, claim), hop=claim.hop, attempts=claim.attempts, delay=delay)
    _, refused = yield from _publish(item, plan, window, parcel, plan.copies)
    if refused is None:
        yield from _write(item, plan, claims.finish(claim, window.stamp(claim), State.MOVED))
    elif fit(parcel, plan.copies) is None:  # nor ever will be: the message itself has to come back
        yield from _write(item, plan, claims.stay(claim, window.stamp(claim)))
    return refused


def bury(item: Item, plan: Plan, window: Window, *, ran: BaseException | None) -> Life:
    """The record says `condemned`: publish the letter, then record that. `ran`: what the handler raised just now."""
    claim = item.claim
    assert claim is not None, "a record announced the letter"
    reason = Reason(claim.reason)
    attempt = claim.attempts + (reason is not Reason.EXHAUSTED)
    letter = letter_of(
        _origin(item, claim), reason=reason, detail=claim.detail, attempts=claim.attempts, now=window.clock.now()
    )
    parcel, refused = yield from _publish(item, plan, window, letter, plan.letters)
    claim = item.claim or claim
    if refused is None:
        _tell(item, parcel, claim)
        yield from _write(item, plan, claims.finish(claim, window.stamp(claim), State.DEAD, bare=parcel.bare))
        return Outcome(
            disposition=Disposition.DEAD_LETTER,
            reason=reason,
            attempt=attempt,
            detail=claim.detail,
            error=ran,
            unexplained=parcel.unexplained,
        )
    yield from _write(item, plan, claims.unlock(claim, window.stamp(claim)))
    why = Reason.UNAVAILABLE if ran is None else Reason.RETRY
    detail = f"the dead letter ({reason}) could not be published: {refused}"
    delay = longer_each_time(item, plan)
    return replace(abandoned(item, plan, why, delay=delay, error=ran or refused, detail=detail), attempt=attempt)


def _tell(item: Item, parcel: Parcel, claim: Record) -> None:
    """Log the reason that a dead letter had no room for."""
    if parcel.unexplained:
        fields = {"queue": item.message.queue, "message_id": item.message.id, "reason": claim.reason}
        record("peeklock.letter_bare %s", {**fields, "detail": claim.detail, "lineage": not parcel.bare})


def longer_each_time(item: Item, plan: Plan) -> timedelta:
    """The delay of a message that comes back without an attempt, by the platform's own count: its limit of deliveries
    must outlast an outage of the store or the dead-letter queue."""
    queue = plan.queue
    return backoff(item.message.delivery, queue.first_delay, queue.max_delay, plan.random)


def abandoned(
    item: Item,
    plan: Plan,
    reason: Reason,
    *,
    delay: timedelta | None,
    error: BaseException | None = None,
    detail: str = "",
) -> Outcome:
    """An abandon that the platform itself has to carry out; a delay that it cannot keep is not claimed."""
    return Outcome(
        disposition=Disposition.ABANDON,
        reason=reason,
        attempt=item.attempt,
        delay=min(delay, plan.longest_delay) if plan.delays is Delays.NATIVE and delay is not None else None,
        error=error,
        detail=detail,
    )


def _write(item: Item, plan: Plan, mine: Record) -> Generator[Effect, Any, bool]:
    """Swap in the record that follows the last one; whether it is there now."""
    if plan.store is not None:
        assert item.claim is not None, "only a claim has a record to follow"
        answer = yield Change(key=item.record_key, expected=item.claim.version, record=mine)
        if not answer.won:
            item.unwritten = "another process wrote the record" if answer.error is None else str(answer.error)
            return False
        item.known = mine
    item.claim = mine
    return True
