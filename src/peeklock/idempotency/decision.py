"""Decisions of the claim protocol: the next action for a delivery, and the record to write before it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from peeklock.idempotency.record import Record
from peeklock.outcome import Reason


class Action(StrEnum):
    """Next step for a delivery."""

    RUN = "run"
    DEAD_LETTER = "dead_letter"
    PUBLISH = "publish"
    COMPLETE = "complete"
    ABANDON = "abandon"


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """The next action, and the record to swap in before it is taken (None: nothing to write)."""

    action: Action
    reason: Reason
    record: Record | None = None
    alone: bool = False
    """The message has to be claimed and run last in its event, while nothing else runs: either losing this start would
    exhaust it, or an earlier start was lost and may have taken its neighbours with it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """A reason to dead-letter a message whatever its count of attempts."""

    reason: Reason
    detail: str = ""
