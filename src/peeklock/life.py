"""The life of one message within one event: every decision, and no I/O.

A life is a generator. It yields what has to be done (`RUN`, `ALONE`, a `Change`, a `Send`), is sent the result, and
returns the Outcome. Thus one flow serves threads and event loops alike, and a test can step through it by hand.
"""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import replace
from typing import Any

from peeklock import claims
from peeklock.claims import Decision, Do, Record, Verdict
from peeklock.delays import ZERO
from peeklock.ending import abandoned, bury, fail, move, succeed
from peeklock.item import ALONE, RUN, Effect, Item, Life
from peeklock.outcome import Disposition, Outcome, Reason
from peeklock.plan import Plan, Window
from peeklock.store import Change

MAX_CONTENTION = 5
"""Lost swaps in a row after which a key counts as busy."""


def live(item: Item, plan: Plan, window: Window) -> Life:
    """From arrival to outcome, with a store."""
    verdict = item.verdict
    if verdict is None and not window.has_room():
        return abandoned(item, plan, Reason.HALTED, delay=ZERO, detail="no time left to start")
    decision = yield from _claim(item, plan, window, verdict)
    if isinstance(decision, Outcome):
        return decision
    claim = item.claim = decision.record
    assert claim is not None, "what is neither run nor settled has been written"
    if decision.do is Do.PUBLISH:
        return (yield from _publish_again(item, plan, window))
    if decision.do is Do.DEAD_LETTER:
        return (yield from bury(item, plan, window, ran=None))
    error = yield RUN
    if error is not None:
        return (yield from fail(item, plan, window, error))
    return (yield from succeed(item, plan, window, claim))


def refuse(item: Item, plan: Plan, window: Window) -> Life:
    """Without a store, of a message that must not run (again). One that may run has no life until it fails: there is
    nothing to claim before, and nothing to record after."""
    trail = replace(item.message.lineage, attempts=item.message.attempt - 1)
    item.claim = claims.arrive(None, trail, window.stamp(None), plan.queue.max_attempts, item.verdict).record
    return (yield from bury(item, plan, window, ran=None))


def _claim(
    item: Item, plan: Plan, window: Window, verdict: Verdict | None
) -> Generator[Effect, Any, Decision | Outcome]:
    """First as if there were no record, which saves a read; then by the record that is there."""
    current = item.known
    trail, most = item.message.lineage, plan.queue.max_attempts
    for _ in range(MAX_CONTENTION):
        decision = claims.arrive(current, trail, window.stamp(current), most, verdict)
        if decision.suspect:
            if not (yield ALONE):
                return abandoned(item, plan, Reason.HALTED, delay=ZERO, detail="no time left to run it alone")
            decision = claims.arrive(current, trail, window.stamp(current), most, verdict)
        if decision.record is None:
            return _settled_already(item, plan, window, decision, current)
        expected = None if current is None else current.version
        answer = yield Change(key=item.record_key, expected=expected, record=decision.record)
        if answer.won:
            return decision
        if answer.error is not None:
            return abandoned(item, plan, Reason.UNAVAILABLE, delay=plan.queue.first_delay, error=answer.error)
        current = answer.record
    return abandoned(item, plan, Reason.BUSY, delay=plan.queue.first_delay)


def _settled_already(item: Item, plan: Plan, window: Window, decision: Decision, current: Record | None) -> Outcome:
    assert current is not None, "without a record there is a claim to make"
    if decision.do is Do.ABANDON:
        left = max(current.lease_until - window.clock.now(), ZERO)
        return replace(abandoned(item, plan, decision.reason, delay=left), attempt=claims.counted(current))
    lettered = decision.reason not in (Reason.DUPLICATE, Reason.MOVED)
    return Outcome(
        disposition=Disposition.DEAD_LETTER if lettered else Disposition.COMPLETE,
        reason=decision.reason,
        attempt=max(current.attempts, 1),
        detail=current.detail,
    )


def _publish_again(item: Item, plan: Plan, window: Window) -> Life:
    """An older copy found the record `moving`: whoever wrote that may have died before it published the newer one."""
    refused = yield from move(item, plan, window, plan.queue.first_delay)
    if refused is not None:
        return abandoned(item, plan, Reason.UNAVAILABLE, delay=plan.queue.first_delay, error=refused)
    return Outcome(disposition=Disposition.COMPLETE, reason=Reason.MOVED, attempt=item.attempt)
