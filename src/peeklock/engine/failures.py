"""Decisions about a failure: by its class, by the declaration, or by the user's `on_error`."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from functools import partial

from peeklock.engine.bound_consumer import BoundConsumer, Deadline
from peeklock.errors import DeadLetter, Retry, described, is_a, leaves_process
from peeklock.observability.observer import log_event
from peeklock.outgoing import MAX_DETAIL
from peeklock.timing.delays import seconds


def delay_of(retry: Retry) -> timedelta | None:
    """Return the exact delay of a Retry; None for the usual one, and for a subclass whose `after` is not a duration."""
    try:
        return None if retry.after is None else seconds(retry.after, f"{type(retry).__name__}.after")
    except (TypeError, ValueError) as exc:
        log_event("peeklock.retry_unclear %s", {"detail": str(exc)})
        return None


def judge(error: BaseException, bound: BoundConsumer, deadline: Deadline) -> Retry | DeadLetter | None:
    """Return what the handler, the declaration or `on_error` decides; None for a counted attempt with the usual delay.

    A group of exceptions, such as that of a TaskGroup, is judged by its members, including those of nested groups. A single
    DeadLetter or fatal member decides. A Retry is not a failure, so `fatal=(Exception,)` does not apply to it. `on_error` is
    called once, with the whole group. If it returns None, or if all members are Retry, the longest `after` of the Retry
    members applies, and the attempt is not counted only if every member says so.
    """
    members = _members(error)
    for member in members:
        if is_a(member, DeadLetter):
            return member
    decisions = [member for member in members if is_a(member, Retry)]
    failures = [member for member in members if not is_a(member, Retry)]
    if failures and (is_a(error, bound.fatal) or any(is_a(member, bound.fatal) for member in failures)):
        return DeadLetter(describe(error))
    if failures:
        return _ask(bound, deadline, error) or (_longest(decisions, counts=True) if decisions else None)
    return decisions[0] if len(decisions) == 1 else _longest(decisions, counts=any(retry.counts for retry in decisions))


def _members(error: BaseException) -> list[BaseException]:
    """Return the exceptions of a group, including those of nested groups; for any other exception, itself."""
    members: list[BaseException] = []
    waiting = [error]
    while waiting:
        current = waiting.pop()
        if is_a(current, BaseExceptionGroup):
            waiting.extend(reversed(current.exceptions))
        else:
            members.append(current)
    return members


def _longest(decisions: Sequence[Retry], *, counts: bool) -> Retry:
    return Retry(
        after=max((after for retry in decisions if (after := delay_of(retry)) is not None), default=None), counts=counts
    )


def _ask(bound: BoundConsumer, deadline: Deadline, error: BaseException) -> Retry | DeadLetter | None:
    if bound.on_error is None:
        return None
    try:
        left = deadline.seconds_for_on_error()
        if left <= 0:
            raise TimeoutError("no time is left to call it")  # noqa: TRY301 - handled as any other failure of the hook
        return deadline.call_within(partial(bound.on_error, error), left)
    except BaseException as exc:  # a failing hook must not decide over the message
        if leaves_process(exc):
            raise
        log_event("peeklock.on_error_failed %s", {"queue": bound.queue.name, "error": type(exc).__name__}, error=exc)
        return None


def describe(error: BaseException) -> str:
    """Return the class name and text of an error, for a group also those of its members."""
    text = described(error)
    if is_a(error, BaseExceptionGroup):
        text = "; ".join([text, *map(described, _members(error))])
    return text[:MAX_DETAIL]
