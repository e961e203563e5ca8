"""A store's record of a key, in words for a person and as JSON for a machine: its state, and what the next deliveries do."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from peeklock.cli.table import Table
from peeklock.consuming import body_hash
from peeklock.idempotency import arrival, claims
from peeklock.idempotency.decision import Action, Decision, Verdict
from peeklock.idempotency.record import Record, Stamp, State, next_version
from peeklock.message import Lineage
from peeklock.outcome import Reason
from peeklock.timing.delays import ZERO

STATES = {
    State.RUNNING: "its last run did not come back; the process is gone",
    State.WAITING: "it failed or was given back, and waits for its next delivery",
    State.DELAYING: "its delayed copy is about to be published, or a process died before it said so",
    State.DELAYED: "its delayed copy is published, and carries on",
    State.DEAD_LETTERING: "its verdict stands; the dead letter may not be published yet",
    State.DEAD_LETTERED: "its dead letter is published",
    State.DONE: "the handler has succeeded",
}

COLOURS = {State.DONE: "complete", State.DEAD_LETTERED: "dead_letter", State.DEAD_LETTERING: "dead_letter"}

UNKNOWN_MOST = sys.maxsize
# Only the code knows a queue's max_attempts, so no delivery is exhausted here; the words say where it would be.


OTHER_BODY = f"{body_hash.VERSION}:another"
"""Hash that no body has, of the version that this release compares."""

MOST_SHOWN = 200
"""Characters of a result that are printed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordView:
    """The record of a key in a store at one time."""

    key: str
    record: Record | None
    now: datetime

    @property
    def live(self) -> Record | None:
        """The record, unless it has expired and counts as absent."""
        return None if self.record is None or self.record.expires_at <= self.now else self.record

    @property
    def held(self) -> bool:
        """True where a process may be at work on the key: where its message, delivered now, would be abandoned."""
        _, mine = next(self.arrivals())
        return self.decide(mine).action is Action.ABANDON

    def arrivals(self) -> Iterator[tuple[str, Lineage]]:
        """Yield the deliveries that may come next, with the lineage of each."""
        record = self.record
        if record is None:
            yield "any message", Lineage(id="any")
            return
        variables_across = record.attempts if record.copy_number else 0
        mine = Lineage(
            id=record.message, generation=record.generation, copy_number=record.copy_number, attempts=variables_across
        )
        yield ("its newest copy" if record.copy_number else "the message"), mine
        if record.copy_number:
            yield "an older copy", replace(mine, copy_number=record.copy_number - 1)
        if record.state in (State.DEAD_LETTERING, State.DEAD_LETTERED):
            yield "its dead letter, redriven", mine.dead_letter()
        if "#" not in self.key.partition("/")[0]:  # by the message's id, only the message itself has this key
            yield "another message", Lineage(id="")

    def decide(self, lineage: Lineage) -> Decision:
        """Return the decision of the claim protocol on a delivery, now."""
        return arrival.arrive(self.record, lineage, self._stamp(), UNKNOWN_MOST)

    def coming(self) -> Iterator[tuple[str, Decision]]:
        """Yield the deliveries that may come next, with the decision on each."""
        for name, lineage in self.arrivals():
            yield name, self.decide(lineage)
        if self.record is not None and arrival.contradicts(self.record, OTHER_BODY, self.now):
            invalid = Verdict(reason=Reason.INVALID)
            yield "any with another body", arrival.arrive(None, Lineage(id=""), self._stamp(), UNKNOWN_MOST, invalid)

    def _stamp(self) -> Stamp:
        version = next_version(0, self.now, 0)
        return Stamp(version=version, owner="", now=self.now, lease_until=self.now, keep=ZERO)


def facts(view: RecordView) -> dict[str, Any]:
    """Return the view as JSON values. Times are ISO 8601, in UTC; `attempts` are counted starts; `body` is a hash; `result` is JSON in a
    text; `owner` is the event that wrote it."""
    record = view.record
    coming = [{"delivery": name, **_coming(view, decision)} for name, decision in view.coming()]
    if record is None:
        return {"key": view.key, "found": False, "next": coming}
    return {
        "key": view.key,
        "found": view.live is not None,
        "expired": view.live is None,
        "state": record.state.value,
        "held": view.held,
        "since": _iso(written_at(record, view.now)),
        "lease_until": _iso(record.lease_until),
        "expires_at": _iso(record.expires_at),
        "attempts": record.attempts,
        "message_id": record.message,
        "generation": record.generation,
        "copy_number": record.copy_number,
        "reason": record.reason or None,
        "detail": record.detail or None,
        "body": record.body or None,
        "result": record.result or None,
        "fence": record.version,
        "owner": record.owner,
        "next": coming,
    }


def _coming(view: RecordView, decision: Decision) -> dict[str, Any]:
    runs = decision.action is Action.RUN
    return {
        "do": decision.action.value,
        "reason": None if runs else decision.reason.value,
        "attempt": claims.counted(decision.record) if runs and decision.record is not None else None,
        "text": words(view, decision),
    }


def written_at(record: Record, now: datetime) -> datetime:
    """Return when a record was written, by its writer's clock: a version counts steps of that time, a fixed number each
    millisecond."""
    millisecond = timedelta(milliseconds=1)
    latest = next_version(0, now, 0)
    steps = latest - next_version(0, now - millisecond, 0)
    return now - (latest - record.version) // steps * millisecond


def print_view(view: RecordView) -> None:
    """Print the view on standard output."""
    table, record = Table(name=22, value=0), view.record
    table.headed = True  # each row names itself
    table.row("key", view.key)
    if record is None:
        table.row("state", "no record: never claimed, or forgotten; mind the spelling")
    else:
        colour = COLOURS.get(record.state, "abandon") if view.live else ""
        table.row("state", _state(view, record), colour=colour)
        for name, value in _about(view, record):
            table.row(name, value)
    table.line("\nwhat the next delivery does:")
    for name, decision in view.coming():
        table.row(name, words(view, decision))


def _state(view: RecordView, record: Record) -> str:
    if view.live is None:
        return f"expired, so it counts as absent; it was {record.state}"
    return f"{record.state}: {f'a process {_doing(record)}' if view.held else STATES[record.state]}"


def _doing(record: Record) -> str:
    return "runs it" if record.state is State.RUNNING else "publishes its dead letter"


def _about(view: RecordView, record: Record) -> Iterator[tuple[str, str]]:
    now = view.now
    yield "since", when(written_at(record, now), now)
    if record.state in (State.RUNNING, State.DEAD_LETTERING):
        yield "held until", when(record.lease_until, now)
    yield "remembered until", when(record.expires_at, now)
    yield "attempts", _attempts(record)
    yield "message", record.message
    yield "lineage", _lineage(record)
    if record.reason:
        yield "verdict", record.reason
    if record.detail:
        yield "detail", record.detail
    if record.body:
        is_compared = record.body.startswith(f"{body_hash.VERSION}:")
        refused = f"another than that of hash {record.body} is refused"
        yield "body", refused if is_compared else f"hash {record.body} of another release, which refuses none"
    if record.result:
        yield "result", _cut(record.result)
    yield "fence", f"{record.version}, written by event {record.owner}"


def _cut(result: str) -> str:
    more = len(result) > MOST_SHOWN
    return f"{result[:MOST_SHOWN]}… ({len(result)} characters; --json has them all)" if more else result


def _attempts(record: Record) -> str:
    if record.state is State.RUNNING:
        return f"{claims.started(record)} counted before this one"
    if record.state is State.DONE:
        return f"it succeeded at attempt {claims.counted(record)}"
    return f"{record.attempts} counted"


def _lineage(record: Record) -> str:
    again = f"its dead letter was redriven, {record.generation}x" if record.generation else "never redriven"
    copies = f"this is delayed copy {record.copy_number}" if record.copy_number else "no delayed copy"
    return f"generation {record.generation} ({again}), copy {record.copy_number} ({copies})"


def words(view: RecordView, decision: Decision) -> str:
    """Describe a decision of the claim protocol."""
    match decision.action:
        case Action.RUN:
            return _runs(decision)
        case Action.DEAD_LETTER:
            return f"publishes its dead letter ({decision.reason}); the handler does not run"
        case Action.PUBLISH:
            return "publishes the delayed copy again; the handler does not run"
        case Action.COMPLETE:
            return _completes(decision)
        case Action.ABANDON:
            return _waits(view)


def _runs(decision: Decision) -> str:
    assert decision.record is not None, "a run has claimed its key"
    attempt = claims.counted(decision.record)
    text = f"runs the handler, attempt {attempt}{', last and alone in its batch' if decision.alone else ''}"
    return text if attempt == 1 else f"{text}; publishes its dead letter instead where max_attempts is under {attempt}"


def _completes(decision: Decision) -> str:
    if decision.reason is Reason.DUPLICATE:
        return "completes as a duplicate"
    if decision.reason is Reason.SUPERSEDED:
        return "completes as superseded: a later copy carries on"
    return f"completes with its verdict ({decision.reason})"


def _waits(view: RecordView) -> str:
    record = view.record
    assert record is not None, "a delivery waits only for a record"
    if not view.held:
        return f"waits: the dead letter of message {record.message} comes first"
    return f"waits: another process {_doing(record)} until {when(record.lease_until, view.now)}"


def moment(at: datetime) -> str:
    return f"{at.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"


def when(at: datetime, now: datetime) -> str:
    """Return a time, and its distance from now."""
    span = _span(abs(at - now))
    return f"{moment(at)} ({f'for another {span}' if at > now else f'{span} ago'})"


def _span(span: timedelta) -> str:
    """Return a duration in the largest unit of which it has at least two."""
    seconds = span.total_seconds()
    for size, unit in ((86_400, "days"), (3_600, "h"), (60, "min")):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds:.0f} s"


def _iso(at: datetime) -> str:
    return at.astimezone(UTC).isoformat(timespec="milliseconds")
