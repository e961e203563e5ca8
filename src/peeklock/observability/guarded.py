"""Calls to an observer whose exceptions are logged, so that a failing observer cannot affect a message."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager

from peeklock.errors import leaves_process
from peeklock.message import Message
from peeklock.observability.observer import LogObserver, Observer, Settled, log_event

Span = AbstractContextManager[object]


def has_spans(observer: Observer) -> bool:
    """Return whether an observer may have spans. The default has none, and asking it would cost time for each message."""
    return type(observer) is not LogObserver


def enter_span(observer: Observer, message: Message) -> Span | None:
    """Enter the observer's span around a run and return it; None where it has none, or fails."""
    try:
        span = observer.running(message)
        if span is not None:
            span.__enter__()
    except BaseException as exc:
        if leaves_process(exc):
            raise
        observer_failed(message.queue, exc)
        return None
    return span


def exit_span(span: Span, message: Message, error: BaseException | None) -> None:
    """Exit a span. The span cannot suppress or replace the handler's exception."""
    try:
        span.__exit__(None if error is None else type(error), error, None if error is None else error.__traceback__)
    except BaseException as exc:
        if leaves_process(exc):
            raise
        observer_failed(message.queue, exc)


def notify_settled(observer: Observer, platform: str, queue: str, settled: Sequence[Settled]) -> None:
    """Pass an event's settlements to the observer."""
    try:
        observer.settled(platform, settled)
    except BaseException as exc:  # noqa: BLE001 - it runs in a thread, where nothing can leave
        observer_failed(queue, exc)


def observer_failed(queue: str, error: BaseException) -> None:
    log_event("peeklock.observer_failed %s", {"queue": queue, "error": type(error).__name__}, error=error)
