"""The life of one message within one event: every decision, and no I/O.

A life is a generator. It yields what has to be done (`RUN`, `ALONE`, a `Change`, a `Send`), is sent the result, and
returns the Outcome. Thus one flow serves threads and event loops alike, and a test can step through it by hand.
"""

from __future__ import annotations

import logging
from collections.abc import Generator
from dataclasses import replace
from functools import partial
from typing import Any

from peeklock.engine.bound_consumer import Plan, Window
from peeklock.engine.delivery import ALONE, RUN, Effect, Halted, Item, Life, id_key, record_key
from peeklock.engine.settlement import abandoned, bury, dated, fail, longer_each_time, move, succeed
from peeklock.errors import StoreError, UnreadableRecord, is_a, leaves_process
from peeklock.idempotency import claims
from peeklock.idempotency.claims import Decision, Do, Record, Verdict
from peeklock.idempotency.store import Change
from peeklock.observability.observer import record, record_once
from peeklock.outcome import DONE, Disposition, Outcome, Reason
from peeklock.timing.delays import ZERO

NOTHING_TO_DO = replace(DONE, detail="its envelope holds nothing to handle")

MAX_CONTENTION = 5
"""Lost swaps in a row after which a key counts as busy."""


def live(item: Item, plan: Plan, window: Window) -> Life:
    """From arrival to outcome, with a store."""
    if item.is_empty:
        return NOTHING_TO_DO
    if item.verdict is None and not window.has_room(item.spent):
        return abandoned(item, plan, Reason.HALTED, delay=ZERO, detail="no time left to start")
    if is_a(item.failure, Halted):
        return abandoned(item, plan, Reason.HALTED, delay=ZERO, detail=str(item.failure))
    decision = yield from _decided(item, plan, window)
    if isinstance(decision, Outcome):
        return decision
    item.claim = decision.record
    if decision.do is Do.PUBLISH:
        return (yield from _publish_again(item, plan, window))
    if decision.do is Do.DEAD_LETTER:
        return (yield from bury(item, plan, window, ran=None))
    error = yield RUN
    if error is not None:
        return (yield from fail(item, plan, window, error))
    return (yield from succeed(item, plan, window))


def _decided(item: Item, plan: Plan, window: Window) -> Generator[Effect, Any, Decision | Outcome]:
    if _may_expire_apart(item, plan):
        look = Change(key=item.record_key, expected=None, record=None)  # changes nothing, and says what is there
        answer = yield look
        if answer.error is not None:
            return _unanswered(item, plan, answer.error)
        item.known = answer.record
    return (yield from _claim(item, plan, window))


def refuse(item: Item, plan: Plan, window: Window) -> Life:
    """Without a store, of a message that must not run (again). One that may run has no life until it fails: there is
    nothing to claim before, and nothing to record after."""
    trail = replace(item.message.lineage, attempts=item.message.attempt - 1)
    item.claim = claims.arrive(None, trail, window.stamp(None), plan.queue.max_attempts, item.verdict).record
    return (yield from bury(item, plan, window, ran=None))


def _may_expire_apart(item: Item, plan: Plan) -> bool:
    """Whether a message that is too old to run is still judged by the record of its key."""
    expired = item.verdict is not None and item.verdict.reason is Reason.EXPIRED
    return expired and item.record_key != id_key(item, plan)


def _claim(item: Item, plan: Plan, window: Window) -> Generator[Effect, Any, Decision | Outcome]:
    """First as if there were no record, which saves a read; then by the record that is there."""
    current, alone = item.known, False
    for _ in range(MAX_CONTENTION):
        current = _checked(item, plan, window, current)
        decision = _arrive(item, plan, window, current)
        if decision.alone and not alone:
            halted = yield ALONE
            if halted is not None:
                return abandoned(item, plan, Reason.HALTED, delay=ZERO, detail=str(halted))
            decision, alone = _arrive(item, plan, window, current), True
        if decision.record is None:
            return _settled_already(item, plan, window, decision, current)
        if decision.do is Do.DEAD_LETTER:
            decision = replace(decision, record=dated(decision.record, item))
        expected = None if current is None else current.version
        answer = yield Change(key=item.record_key, expected=expected, record=decision.record)
        if answer.won:
            return _settled_already(item, plan, window, decision, decision.record) if _is_busy(decision) else decision
        if answer.error is not None:
            return _unanswered(item, plan, answer.error)
        current = answer.record
    return abandoned(item, plan, Reason.BUSY, delay=longer_each_time(item, plan))


def _is_busy(decision: Decision) -> bool:
    return decision.do is Do.ABANDON


def _unanswered(item: Item, plan: Plan, error: StoreError) -> Outcome:
    """The store did not say what is there. A record that cannot be read will not be readable soon: it has to wait until
    the release that wrote it is everywhere, or is gone."""
    queue = plan.queue
    if not isinstance(error, UnreadableRecord):
        delay = longer_each_time(item, plan)
        return abandoned(item, plan, Reason.UNAVAILABLE, delay=delay, error=error, detail=str(error))
    told = {"queue": queue.name, "key": item.record_key, "detail": str(error)}
    record_once("peeklock.unreadable %s", told)
    return abandoned(item, plan, Reason.UNAVAILABLE, delay=queue.max_delay, error=error, detail=str(error))


def _arrive(item: Item, plan: Plan, window: Window, current: Record | None) -> Decision:
    stamp = window.stamp(current, item.body)
    return claims.arrive(current, item.message.lineage, stamp, plan.queue.max_attempts, item.verdict)


def _checked(item: Item, plan: Plan, window: Window, current: Record | None) -> Record | None:
    """The record that decides over a message. None where its verdict is recorded under its own id: it is too old to run
    and the record is about another message; or that stands for another body, so that this message is invalid."""
    now = window.clock.now()
    if _may_expire_apart(item, plan) and (current is None or not claims.concerns(current, item.message.lineage, now)):
        item.record_key = id_key(item, plan)  # the key is free for others
        return None
    if current is None or not item.body or not claims.contradicts(current, item.body, now):
        return current if current is None or plan.copies is not None else claims.without_copies(current)
    item.verdict = Verdict(reason=Reason.INVALID, detail="its key was used before with another body")
    item.has_key, item.body = False, ""
    item.record_key = record_key(item, plan)
    return None


def _settled_already(item: Item, plan: Plan, window: Window, decision: Decision, current: Record | None) -> Outcome:
    assert current is not None, "without a record there is a claim to make"
    if decision.do is Do.ABANDON:
        left = current.lease_until - window.clock.now()
        delay = left if left > ZERO else longer_each_time(item, plan)  # an unpublished verdict has no lease to wait for
        return replace(abandoned(item, plan, decision.reason, delay=delay), attempt=claims.counted(current))
    lettered = decision.reason not in (Reason.DUPLICATE, Reason.MOVED)
    return Outcome(
        disposition=Disposition.DEAD_LETTER if lettered else Disposition.COMPLETE,
        reason=decision.reason,
        attempt=max(current.attempts, 1),
        detail=current.detail if lettered else "",
        result=_replayed(item, plan, window, current),
    )


def _replayed(item: Item, plan: Plan, window: Window, current: Record) -> Any:
    """The result of the first run, for whoever can receive it."""
    if plan.results is None or not current.result:
        return None
    try:
        return window.limited(partial(plan.results.load, current.result), window.converting())
    except BaseException as exc:  # of another release, with another type; and its validators are the user's
        if leaves_process(exc):
            raise
        told = {"queue": plan.queue.name, "message_id": item.message.id, "detail": type(exc).__name__}
        record("peeklock.result_unreadable %s", told, level=logging.WARNING)
        return None


def _publish_again(item: Item, plan: Plan, window: Window) -> Life:
    """An older copy found the record `moving`: whoever wrote that may have died before it published the newer one. It is
    published with what is left of its delay."""
    claim = item.claim
    assert claim is not None, "the claim is this record"
    due = claim.due or window.clock.now()
    refused = yield from move(item, plan, window, max(due - window.clock.now(), ZERO))
    if refused is not None:
        detail = f"the delayed copy could not be published: {refused}"
        delay = longer_each_time(item, plan)
        return abandoned(item, plan, Reason.UNAVAILABLE, delay=delay, error=refused, detail=detail)
    return Outcome(disposition=Disposition.COMPLETE, reason=Reason.MOVED, attempt=item.attempt)
