"""Lifecycle of a message within one event: all decisions, without I/O.

A lifecycle is a generator. It yields effects (`RUN`, `ALONE`, a `Change`, a `Send`), is sent their results, and returns the
Outcome. The same code therefore serves threads and event loops, and a test can step through it.
"""

from __future__ import annotations

import logging
from collections.abc import Generator
from dataclasses import replace
from functools import partial
from typing import Any

from peeklock.engine.bound_consumer import BoundConsumer, Deadline
from peeklock.engine.delivery import ALONE, RUN, Delivery, Effect, Halted, Lifecycle, id_key, record_key
from peeklock.engine.settlement import abandoned, dated, dead_letter, fail, growing_delay, publish_copy, succeed
from peeklock.errors import StoreError, UnreadableRecord, is_a, leaves_process
from peeklock.idempotency import arrival, claims
from peeklock.idempotency.decision import Action, Decision, Verdict
from peeklock.idempotency.record import Record
from peeklock.idempotency.store import Change
from peeklock.observability.observer import log_event, log_event_once
from peeklock.outcome import DONE, Disposition, Outcome, Reason
from peeklock.timing.delays import ZERO

NOTHING_TO_DO = replace(DONE, detail="its envelope holds nothing to handle")

MAX_CONTENTION = 5
"""Number of consecutive lost swaps after which a key counts as busy."""


def process(delivery: Delivery, bound: BoundConsumer, deadline: Deadline) -> Lifecycle:
    """Process a delivery from arrival to outcome, with a store."""
    if delivery.is_empty:
        return NOTHING_TO_DO
    if delivery.verdict is None and not deadline.has_room(delivery.spent):
        return abandoned(delivery, bound, Reason.HALTED, delay=ZERO, detail="no time left to start")
    if is_a(delivery.failure, Halted):
        return abandoned(delivery, bound, Reason.HALTED, delay=ZERO, detail=str(delivery.failure))
    decision = yield from _decided(delivery, bound, deadline)
    if isinstance(decision, Outcome):
        return decision
    delivery.claim = decision.record
    if decision.action is Action.PUBLISH:
        return (yield from _publish_again(delivery, bound, deadline))
    if decision.action is Action.DEAD_LETTER:
        return (yield from dead_letter(delivery, bound, deadline, ran=None))
    error = yield RUN
    if error is not None:
        return (yield from fail(delivery, bound, deadline, error))
    return (yield from succeed(delivery, bound, deadline))


def _decided(
    delivery: Delivery, bound: BoundConsumer, deadline: Deadline
) -> Generator[Effect, Any, Decision | Outcome]:
    if _may_expire_under_own_id(delivery, bound):
        read = Change(key=delivery.record_key, expected=None, record=None)  # changes nothing, returns the record
        answer = yield read
        if answer.error is not None:
            return _unanswered(delivery, bound, answer.error)
        delivery.expected_record = answer.record
    return (yield from _claim(delivery, bound, deadline))


def refuse(delivery: Delivery, bound: BoundConsumer, deadline: Deadline) -> Lifecycle:
    """Dead-letter a message that must not run, without a store.

    A message that may run needs no lifecycle until it fails, because without a store there is nothing to claim or record.
    """
    lineage = replace(delivery.message.effective_lineage, attempts=delivery.message.attempt - 1)
    delivery.claim = arrival.arrive(
        None, lineage, deadline.stamp(None), bound.queue.max_attempts, delivery.verdict
    ).record
    return (yield from dead_letter(delivery, bound, deadline, ran=None))


def _may_expire_under_own_id(delivery: Delivery, bound: BoundConsumer) -> bool:
    """Return whether a message that is too old to run may get a record under its own id instead of its key."""
    expired = delivery.verdict is not None and delivery.verdict.reason is Reason.EXPIRED
    return expired and delivery.record_key != id_key(delivery, bound)


def _claim(delivery: Delivery, bound: BoundConsumer, deadline: Deadline) -> Generator[Effect, Any, Decision | Outcome]:
    """Claim the key. The first attempt assumes that there is no record, which saves a read; further ones use the record that
    the store returned."""
    current, alone = delivery.expected_record, False
    for _ in range(MAX_CONTENTION):
        current = _checked(delivery, bound, deadline, current)
        decision = _arrive(delivery, bound, deadline, current)
        if decision.alone and not alone:
            halted = yield ALONE
            if halted is not None:
                return abandoned(delivery, bound, Reason.HALTED, delay=ZERO, detail=str(halted))
            decision, alone = _arrive(delivery, bound, deadline, current), True
        if decision.record is None:
            return _settle_by_record(delivery, bound, deadline, decision, current)
        if decision.action is Action.DEAD_LETTER:
            decision = replace(decision, record=dated(decision.record, delivery))
        expected = None if current is None else current.version
        answer = yield Change(key=delivery.record_key, expected=expected, record=decision.record)
        if answer.won:
            return (
                _settle_by_record(delivery, bound, deadline, decision, decision.record)
                if _is_busy(decision)
                else decision
            )
        if answer.error is not None:
            return _unanswered(delivery, bound, answer.error)
        current = answer.record
    return abandoned(delivery, bound, Reason.BUSY, delay=growing_delay(delivery, bound))


def _is_busy(decision: Decision) -> bool:
    return decision.action is Action.ABANDON


def _unanswered(delivery: Delivery, bound: BoundConsumer, error: StoreError) -> Outcome:
    """Abandon a message whose record the store did not return.

    An unreadable record stays so until the release that wrote it is rolled out everywhere or rolled back, so its message
    is delayed as long as possible.
    """
    queue = bound.queue
    if not isinstance(error, UnreadableRecord):
        delay = growing_delay(delivery, bound)
        return abandoned(delivery, bound, Reason.UNAVAILABLE, delay=delay, error=error, detail=str(error))
    fields = {"queue": queue.name, "key": delivery.record_key, "detail": str(error)}
    log_event_once("peeklock.unreadable %s", fields)
    return abandoned(delivery, bound, Reason.UNAVAILABLE, delay=queue.max_delay, error=error, detail=str(error))


def _arrive(delivery: Delivery, bound: BoundConsumer, deadline: Deadline, current: Record | None) -> Decision:
    stamp = deadline.stamp(current, delivery.body)
    return arrival.arrive(
        current, delivery.message.effective_lineage, stamp, bound.queue.max_attempts, delivery.verdict
    )


def _checked(delivery: Delivery, bound: BoundConsumer, deadline: Deadline, current: Record | None) -> Record | None:
    """Return the record that decides over a message.

    None if the verdict has to be recorded under the message's own id: either it is too old to run and the record is about
    another message, or the key was used with another body, so that the message is invalid.
    """
    now = deadline.clock.now()
    if _may_expire_under_own_id(delivery, bound) and (
        current is None or not arrival.concerns(current, delivery.message.effective_lineage, now)
    ):
        delivery.record_key = id_key(delivery, bound)  # other messages can use the key
        return None
    if current is None or not delivery.body or not arrival.contradicts(current, delivery.body, now):
        return current if current is None or bound.copies is not None else claims.without_copies(current)
    delivery.verdict = Verdict(reason=Reason.INVALID, detail="its key was used before with another body")
    delivery.has_key, delivery.body = False, ""
    delivery.record_key = record_key(delivery, bound)
    return None


def _settle_by_record(
    delivery: Delivery, bound: BoundConsumer, deadline: Deadline, decision: Decision, current: Record | None
) -> Outcome:
    assert current is not None, "without a record there is a claim to make"
    if decision.action is Action.ABANDON:
        left = current.lease_until - deadline.clock.now()
        delay = (
            left if left > ZERO else growing_delay(delivery, bound)
        )  # a dead letter that could not be published leaves no lease to wait for
        return replace(abandoned(delivery, bound, decision.reason, delay=delay), attempt=claims.counted(current))
    dead_lettered = decision.reason not in (Reason.DUPLICATE, Reason.SUPERSEDED)
    return Outcome(
        disposition=Disposition.DEAD_LETTER if dead_lettered else Disposition.COMPLETE,
        reason=decision.reason,
        attempt=max(current.attempts, 1),
        detail=current.detail if dead_lettered else "",
        result=_replayed(delivery, bound, deadline, current),
    )


def _replayed(delivery: Delivery, bound: BoundConsumer, deadline: Deadline, current: Record) -> Any:
    """Return the kept result of the first run."""
    if bound.results is None or not current.result:
        return None
    try:
        return deadline.call_within(partial(bound.results.load, current.result), deadline.seconds_for_result())
    except BaseException as exc:  # another release may have used another type, and user code validates it
        if leaves_process(exc):
            raise
        fields = {"queue": bound.queue.name, "message_id": delivery.message.id, "detail": type(exc).__name__}
        log_event("peeklock.result_unreadable %s", fields, level=logging.WARNING)
        return None


def _publish_again(delivery: Delivery, bound: BoundConsumer, deadline: Deadline) -> Lifecycle:
    """Publish a delayed copy again, with the rest of its delay, because an older copy has arrived while the record is
    `delaying`: the process that wrote the record may have died before it published the copy."""
    claim = delivery.claim
    assert claim is not None, "the claim is this record"
    due = claim.due or deadline.clock.now()
    refused = yield from publish_copy(delivery, bound, deadline, max(due - deadline.clock.now(), ZERO))
    if refused is not None:
        detail = f"the delayed copy could not be published: {refused}"
        delay = growing_delay(delivery, bound)
        return abandoned(delivery, bound, Reason.UNAVAILABLE, delay=delay, error=refused, detail=detail)
    return Outcome(disposition=Disposition.COMPLETE, reason=Reason.SUPERSEDED, attempt=delivery.attempt)
