"""Sender for tests and replay that applies a platform's rules in front of one that takes everything."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from peeklock.errors import SendError
from peeklock.outgoing import OutgoingMessage, Sender
from peeklock.platform_registry import module_of
from peeklock.queue import Queue


@dataclass(frozen=True, slots=True, kw_only=True)
class StrictSender:
    """Forwards the messages that a platform would take, and refuses the others."""

    queue: Queue
    sender: Sender
    platform: str
    hint: str = ""
    """Text appended to each refusal."""

    def send(self, outgoing_messages: Sequence[OutgoingMessage], /) -> Sequence[SendError | None]:
        refusals = [self._refusal(outgoing) for outgoing in outgoing_messages]
        taken = [outgoing for outgoing, refused in zip(outgoing_messages, refusals, strict=True) if refused is None]
        answers = iter(self.sender.send(taken))
        return [next(answers) if refused is None else refused for refused in refusals]

    def _refusal(self, outgoing: OutgoingMessage) -> SendError | None:
        """Return the platform's refusal of a message; None where it takes it, as Service Bus takes all that `send` allows."""
        refusal = getattr(module_of(self.platform), "refusal", None)
        refused = None if refusal is None else refusal(outgoing, fifo=self.queue.fifo)
        return refused and SendError(f"queue {self.queue.name!r}: {refused}{self.hint}")
