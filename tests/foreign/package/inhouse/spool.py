"""A platform whose events are lists of lines."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any, Unpack

from peeklock import Message, SendError
from peeklock.binding.bind import Binding, Options, mark
from peeklock.engine.bound_consumer import Delays
from peeklock.outgoing import OutgoingMessage
from peeklock.retry_span import Backoff, Span, doubling

SHAPE = '{"spool": "name", "lines": [...]}'
SOURCE = "queue"


def bind(function: Callable[..., Any], **options: Unpack[Options]) -> Callable[[dict[str, Any]], list[str]]:
    binding = Binding(function, "spool", delays=Delays.NONE, longest=timedelta(hours=1), options=options)
    return mark(lambda event: answer(binding, event), binding)


def answer(binding: Binding, event: dict[str, Any]) -> list[str]:
    messages = [
        Message(id=f"line-{number}", body=line.encode(), queue=binding.queue.name)
        for number, line in enumerate(event["lines"])
    ]
    return [settled.outcome.reason for settled in binding.run(messages, None)]


def matches(event: object) -> bool:
    return isinstance(event, dict) and "spool" in event


def source_of(event: dict[str, Any]) -> str | None:
    return event.get("spool")


def run_sample(function: Callable[..., Any], event: dict[str, Any], **options: Unpack[Options]) -> list[str]:
    return bind(function, **options)(event)


def span(backoff: Backoff, *, store: bool) -> Span:
    """Return the span of delays that the platform doubles itself, up to an hour."""
    del store
    return doubling(backoff.delays, backoff.first, min(backoff.most, timedelta(hours=1)))


def refusal(outgoing: OutgoingMessage, *, fifo: bool) -> str | None:
    return "a spool takes one line" if b"\n" in outgoing.body else None


class Spool:
    """Appends a line for each message."""

    def __init__(self, path: str) -> None:
        self.path = path

    def send(self, outgoing_messages: Sequence[OutgoingMessage], /) -> Sequence[SendError | None]:
        with Path(self.path).open("ab") as file:
            file.writelines(outgoing.body + b"\n" for outgoing in outgoing_messages)
        return [None] * len(outgoing_messages)


def from_url(url: str) -> Spool:
    return Spool(url.removeprefix("spool://").partition("?")[0])
