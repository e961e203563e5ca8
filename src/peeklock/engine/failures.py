"""Judgement of a failure: by its class, by the declaration, or by the user's `on_error`."""

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
    """Return the delay that a Retry asks for; None for the usual one, also where a subclass has set what is no duration."""
    try:
        return None if retry.after is None else seconds(retry.after, f"{type(retry).__name__}.after")
    except (TypeError, ValueError) as exc:
        log_event("peeklock.retry_unclear %s", {"detail": str(exc)})
        return None


def judge(error: BaseException, bound: BoundConsumer, deadline: Deadline) -> Retry | DeadLetter | None:
    """What the handler, the declaration or `on_error` wants done about it. None: count it and try again.

    A group of exceptions, as of a TaskGroup, is judged by its members, those of nested groups too. One DeadLetter or fatal
    member decides; a Retry is no failure, so `fatal=(Exception,)` leaves it what it is. If all are Retry, or `on_error`, which is asked once and with the whole group, has no answer, then the
    longest `after` of its Retry members holds; the attempt is not counted only if every member says so.
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
    """The exceptions of a group, those of nested ones too; else the one itself."""
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
            raise TimeoutError("no time is left to ask it")  # noqa: TRY301 - as any other failure of it
        return deadline.call_within(partial(bound.on_error, error), left)
    except BaseException as exc:  # the user's hook: its failure must not decide over the message
        if leaves_process(exc):
            raise
        log_event("peeklock.on_error_failed %s", {"queue": bound.queue.name, "error": type(exc).__name__}, error=exc)
        return None


def describe(error: BaseException) -> str:
    """The class of an error and its text; of a group, the members' as well."""
    text = described(error)
    if is_a(error, BaseExceptionGroup):
        text = "; ".join([text, *map(described, _members(error))])
    return text[:MAX_DETAIL]
