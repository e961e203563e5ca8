"""Ends of a lifecycle: success, another attempt, or a dead letter. Generators, and so without I/O.

The order of the writes is essential. A record that announces a publication is written before it, and a record that
confirms it afterwards. If the process dies in between, the next delivery publishes again, under the same derived id.
Without a store nothing is written, and the platform's own count replaces the record.
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
from peeklock.engine.bound_consumer import BoundConsumer, Deadline, Delays
from peeklock.engine.delivery import Delivery, Effect, Halted, Lifecycle, Send, TimedOut
from peeklock.engine.failures import delay_of, describe, judge
from peeklock.errors import DeadLetter, Retry, SendError, is_a, leaves_process
from peeklock.idempotency import claims
from peeklock.idempotency.decision import Action, Verdict
from peeklock.idempotency.record import Record, State
from peeklock.idempotency.store import Change
from peeklock.message import Message
from peeklock.observability.observer import log_event, log_event_once
from peeklock.outcome import DONE, Disposition, Outcome, Reason
from peeklock.outgoing import OutgoingMessage, Sender, copy_of, dead_letter_of
from peeklock.sending.fitting import fit
from peeklock.timing.delays import ZERO, backoff


def succeed(delivery: Delivery, bound: BoundConsumer, deadline: Deadline) -> Lifecycle:
    """Complete a message whose handler returned, even if that cannot be recorded, because its effect has happened."""
    claim = delivery.claim
    assert claim is not None, "with a store, only a claimed message runs"
    outcome = done(delivery.attempt)
    # Kept even if it cannot be written: another message of this event with the same key must not run.
    finished = delivery.expected_record = finish(delivery, bound, deadline, claim, deadline.seconds_for_result())
    if not (yield from _write(delivery, bound, finished)):
        fields = {"queue": bound.queue.name, "message_id": delivery.message.id, "attempt": outcome.attempt}
        log_event("peeklock.unrecorded %s", {**fields, "detail": delivery.unwritten})
        outcome = replace(outcome, unrecorded=True)
    return outcome if bound.results is None else replace(outcome, result=delivery.returned)


def finish(delivery: Delivery, bound: BoundConsumer, deadline: Deadline, claim: Record, seconds: float) -> Record:
    """Return the record of a success, with its result if results are kept and it can be converted within `seconds`."""
    finished = claims.finish(claim, deadline.stamp(claim), State.DONE)
    if bound.results is None:
        return finished
    result, problem = _text_of(partial(bound.results.dump, delivery.returned), deadline, seconds)
    if problem:
        fields = {"queue": bound.queue.name, "message_id": delivery.message.id, "detail": problem}
        log_event("peeklock.result_dropped %s", fields, level=logging.WARNING)
    return replace(finished, result="" if problem else result)


def _text_of(dump: Callable[[], str], deadline: Deadline, seconds: float) -> tuple[str, str]:
    """Return a result as text, and the reason if it cannot be kept. The conversion may call user code."""
    try:
        result = deadline.call_within(dump, seconds)
    except (Interrupted, NoThread):
        return "", "not written in time"
    except BaseException as exc:
        if leaves_process(exc):
            raise
        return "", f"not what it is annotated to be: {type(exc).__name__}"
    return result, "too large to be kept" if is_too_large(result) else ""


def done(attempt: int) -> Outcome:
    """Return the outcome of a message whose handler succeeded."""
    return DONE if attempt == 1 else replace(DONE, attempt=attempt)


def fail(delivery: Delivery, bound: BoundConsumer, deadline: Deadline, error: BaseException) -> Lifecycle:
    """End the lifecycle of a message whose handler was not started, did not end in time, or raised."""
    claim = delivery.claim = delivery.claim or record_from_count(delivery, deadline)
    stamp = deadline.stamp(claim)
    if is_a(error, Halted):
        yield from _write(delivery, bound, claims.give_back(claim, stamp))
        return abandoned(delivery, bound, Reason.HALTED, delay=ZERO, detail=str(error))
    if is_a(error, TimedOut) and not error.ended and not _is_last_without_store(delivery, bound):
        return (yield from _timed_out(delivery, bound, deadline, claim, error))
    return (yield from _raised(delivery, bound, deadline, claim, error))


def _is_last_without_store(delivery: Delivery, bound: BoundConsumer) -> bool:
    return bound.store is None and delivery.attempt >= bound.queue.max_attempts


def _timed_out(
    delivery: Delivery, bound: BoundConsumer, deadline: Deadline, claim: Record, error: TimedOut
) -> Lifecycle:
    """Abandon a message whose handler may still be running: the start counts, and the lease stays.

    No delayed copy is published, because none may run before the lease is over. The message itself is delivered again,
    and is busy until then.
    """
    stamp, attempt = deadline.stamp(claim), delivery.attempt
    yield from _write(delivery, bound, claims.timed_out(claim, stamp, describe(error)))
    delay = None if bound.store is None else max(deadline.lease_until - stamp.now, ZERO)
    outcome = abandoned(delivery, bound, Reason.TIMEOUT, delay=delay, error=error, detail=str(error))
    return replace(outcome, attempt=attempt)


def record_from_count(delivery: Delivery, deadline: Deadline) -> Record:
    """Return the record that corresponds to the platform's count of deliveries."""
    lineage = replace(delivery.message.effective_lineage, attempts=delivery.message.attempt - 1)
    return claims.begin(lineage, deadline.stamp(None))


def _raised(
    delivery: Delivery, bound: BoundConsumer, deadline: Deadline, claim: Record, error: BaseException
) -> Lifecycle:
    wish = None if is_a(error, TimedOut) else judge(error, bound, deadline)
    retry = wish if is_a(wish, Retry) else Retry()
    queue, attempt = bound.queue, delivery.attempt
    after = delay_of(retry)
    delay = backoff(attempt, queue.first_delay, queue.max_delay, bound.random) if after is None else after
    delay = min(delay, bound.longest_delay)
    decision = claims.failed(
        claim,
        deadline.stamp(claim),
        bound.queue.max_attempts,
        copies=_may_copy(delivery, bound, claim),
        counts=retry.counts or _must_count(bound),
        delay=delay,
        verdict=Verdict(reason=Reason.FATAL, detail=describe(error)) if is_a(wish, DeadLetter) else None,
    )
    assert decision.record is not None, "a failure always changes the record"
    outcome = _comes_back(delivery, bound, retry, delay, error)
    announced = dated(replace(decision.record, detail=decision.record.detail or describe(error)), delivery)
    if not (yield from _write(delivery, bound, announced)):
        return outcome
    if decision.action is Action.DEAD_LETTER:
        return replace((yield from dead_letter(delivery, bound, deadline, ran=error)), attempt=attempt)
    if decision.action is Action.ABANDON:
        return outcome
    refused = yield from publish_copy(delivery, bound, deadline, delay)
    if refused is not None:
        return replace(outcome, detail=f"the delayed copy could not be published: {refused}")
    return replace(outcome, copied=True, delay=delay)


def _comes_back(
    delivery: Delivery, bound: BoundConsumer, retry: Retry, delay: timedelta, error: BaseException
) -> Outcome:
    if is_a(error, TimedOut):
        return abandoned(delivery, bound, Reason.TIMEOUT, delay=delay, error=error, detail=str(error))
    return abandoned(delivery, bound, Reason.RETRY if retry.counts else Reason.RESCHEDULED, delay=delay, error=error)


def _may_copy(delivery: Delivery, bound: BoundConsumer, claim: Record) -> bool:
    """Return whether a delayed copy can be published. A copy would break the order of a group, and some messages leave no room
    for their lineage."""
    if bound.delays is not Delays.COPY or bound.copies is None or delivery.message.group is not None:
        return False
    copy = copy_of(_origin(delivery, claim), copy_number=claim.copy_number + 1, attempts=claim.attempts + 1, delay=ZERO)
    return fit(copy, bound.copies) is not None


def _publish(
    delivery: Delivery, bound: BoundConsumer, deadline: Deadline, outgoing: OutgoingMessage, sender: Sender
) -> Generator[Effect, Any, tuple[OutgoingMessage, SendError | None]]:
    """Publish a message in the first form that fits into the queue. Return that form, and the error, if any.

    If a refusal shows the sender that the queue accepts less than it assumed, the next form that fits is tried.
    """
    refused: SendError | None = SendError("it fits in no form into the queue")
    fitted = fit(outgoing, sender)
    while fitted is not None:
        if fitted.bare and not (yield from _announce_bare(delivery, bound, deadline)):
            return fitted, SendError("the store did not record that the dead letter has no lineage")
        refused = yield Send(fitted, sender)
        smaller = None if refused is None else fit(outgoing, sender)
        if refused is None or smaller == fitted:
            return fitted, refused
        fitted = smaller
    return outgoing, refused


def _announce_bare(delivery: Delivery, bound: BoundConsumer, deadline: Deadline) -> Generator[Effect, Any, bool]:
    """Record that a dead letter has no lineage, before it is published and may be redriven."""
    claim = delivery.claim
    assert claim is not None, "a record announced the dead letter"
    return (yield from _write(delivery, bound, claims.announce_bare(claim, deadline.stamp(claim))))


def _must_count(bound: BoundConsumer) -> bool:
    """Return whether `Retry(counts=False)` counts nevertheless: without a store, the platform counts every delivery."""
    if bound.store is not None:
        return False
    fields = {"queue": bound.queue.name, "detail": "without a store Retry(counts=False) counts as an attempt"}
    log_event_once("peeklock.weaker %s", fields)
    return True


def _origin(delivery: Delivery, claim: Record) -> Message:
    """Return the message from which a copy or a dead letter is made, with a complete lineage.

    It contains the first sending time, which the platform knows of the original message only, and the generation of the
    record.
    """
    arrived = delivery.arrived
    sent = arrived.first_sent if claim.sent is None else claim.sent
    lineage = replace(arrived.effective_lineage, generation=claim.generation, sent=sent, source=arrived.source)
    return replace(arrived, lineage=lineage)


def dated(announcement: Record, delivery: Delivery) -> Record:
    """Add the first sending time to a record that announces a copy or a dead letter.

    The time is part of their id, which must not change if another delivery has to publish them: the platform may report
    another time for that one.
    """
    announces = announcement.state in (State.DELAYING, State.DEAD_LETTERING) and announcement.sent is None
    return replace(announcement, sent=delivery.arrived.first_sent) if announces else announcement


def publish_copy(
    delivery: Delivery, bound: BoundConsumer, deadline: Deadline, delay: timedelta
) -> Generator[Effect, Any, SendError | None]:
    """Publish the delayed copy that the record, in state `delaying`, announces, then record that. Return the error, if any."""
    claim = delivery.claim
    assert claim is not None, "a record announced the copy"
    assert bound.copies is not None, "a binding without copies announces none"
    outgoing = copy_of(_origin(delivery, claim), copy_number=claim.copy_number, attempts=claim.attempts, delay=delay)
    _, refused = yield from _publish(delivery, bound, deadline, outgoing, bound.copies)
    if refused is None:
        yield from _write(delivery, bound, claims.finish(claim, deadline.stamp(claim), State.DELAYED))
    elif (
        fit(outgoing, bound.copies) is None
    ):  # no later attempt can publish it: the message itself has to be delivered again
        yield from _write(delivery, bound, claims.cancel_copy(claim, deadline.stamp(claim)))
    return refused


def dead_letter(
    delivery: Delivery, bound: BoundConsumer, deadline: Deadline, *, ran: BaseException | None
) -> Lifecycle:
    """Publish the dead letter that the record, in state `dead_lettering`, announces, then record that.

    `ran`: the exception that the handler has just raised.
    """
    claim = delivery.claim
    assert claim is not None, "a record announced the dead letter"
    reason = Reason(claim.reason)
    attempt = claim.attempts + (reason is not Reason.EXHAUSTED)
    dead_letter = dead_letter_of(
        _origin(delivery, claim), reason=reason, detail=claim.detail, attempts=claim.attempts, now=deadline.clock.now()
    )
    outgoing, refused = yield from _publish(delivery, bound, deadline, dead_letter, bound.dead_letters)
    claim = delivery.claim or claim
    if refused is None:
        _log_missing_reason(delivery, outgoing, claim)
        yield from _write(
            delivery, bound, claims.finish(claim, deadline.stamp(claim), State.DEAD_LETTERED, bare=outgoing.bare)
        )
        return Outcome(
            disposition=Disposition.DEAD_LETTER,
            reason=reason,
            attempt=attempt,
            detail=claim.detail,
            error=ran,
            unexplained=outgoing.unexplained,
        )
    yield from _write(delivery, bound, claims.release_lease(claim, deadline.stamp(claim)))
    why = Reason.UNAVAILABLE if ran is None else Reason.RETRY
    detail = f"the dead letter ({reason}) could not be published: {refused}"
    delay = growing_delay(delivery, bound)
    return replace(abandoned(delivery, bound, why, delay=delay, error=ran or refused, detail=detail), attempt=attempt)


def _log_missing_reason(delivery: Delivery, outgoing: OutgoingMessage, claim: Record) -> None:
    """Log the reason of a dead letter that had no room for it."""
    if outgoing.unexplained:
        fields = {"queue": delivery.message.queue, "message_id": delivery.message.id, "reason": claim.reason}
        log_event("peeklock.dead_letter_bare %s", {**fields, "detail": claim.detail, "lineage": not outgoing.bare})


def growing_delay(delivery: Delivery, bound: BoundConsumer) -> timedelta:
    """Return the delay of a message that is delivered again without an attempt. It grows with the platform's count, so that an
    outage of the store or the dead-letter queue does not use up the platform's limit of deliveries."""
    queue = bound.queue
    return backoff(delivery.message.delivery, queue.first_delay, queue.max_delay, bound.random)


def abandoned(
    delivery: Delivery,
    bound: BoundConsumer,
    reason: Reason,
    *,
    delay: timedelta | None,
    error: BaseException | None = None,
    detail: str = "",
) -> Outcome:
    """Return the outcome of a message that the platform has to deliver again, with a delay only if the platform supports it."""
    return Outcome(
        disposition=Disposition.ABANDON,
        reason=reason,
        attempt=delivery.attempt,
        delay=min(delay, bound.longest_delay) if bound.delays is Delays.NATIVE and delay is not None else None,
        error=error,
        detail=detail,
    )


def _write(delivery: Delivery, bound: BoundConsumer, mine: Record) -> Generator[Effect, Any, bool]:
    """Write the record that follows the last one. Return whether it was written."""
    if bound.store is not None:
        assert delivery.claim is not None, "a record follows a claim"
        answer = yield Change(key=delivery.record_key, expected=delivery.claim.version, record=mine)
        if not answer.won:
            delivery.unwritten = "another process wrote the record" if answer.error is None else str(answer.error)
            return False
        delivery.expected_record = mine
    delivery.claim = mine
    return True
