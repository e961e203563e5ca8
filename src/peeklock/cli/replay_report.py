"""Reports of `peeklock replay`: a table for a person, JSON for a machine, and the totals of all events."""

from __future__ import annotations

import json
import sys
import time
import traceback
from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import Any

from peeklock.cli.escaping import escaped
from peeklock.cli.table import Table
from peeklock.replay import Run, difference

NOW = timedelta(minutes=1)
"""Distance from the present within which a run counts as one that takes place now."""


class Tally:
    """Totals of all events."""

    def __init__(self) -> None:
        self.started = time.monotonic()
        self.reasons: Counter[str] = Counter()
        self.sent = 0
        self.refused = 0
        self.ended = 0
        """Runs whose handler ended the process."""
        self.different = 0
        self.expired_now = 0
        """Messages that have expired in runs that take place now."""

    def add(self, run: Run) -> None:
        self.reasons.update(outcome["reason"] for outcome in run.outcomes)
        self.sent += len(run.sent)
        if self._is_now(run):
            self.expired_now += sum(outcome["reason"] == "expired" for outcome in run.outcomes)
        self.refused += run.refused is not None
        self.ended += run.exit_status is not None

    def _is_now(self, run: Run) -> bool:
        return run.at is not None and abs(datetime.now(UTC) - run.at) < NOW

    def check(self, run: Run, report: TextReport | JsonReport) -> None:
        lines = difference(run)
        if lines:
            self.different += 1
            report.differs(run, lines)

    def code(self, *, checked: bool) -> int:
        if self.ended:
            return 2
        return int(self.different > 0) if checked else int(self.refused > 0)


class TextReport:
    """Prints a table, for a person."""

    def __init__(self) -> None:
        self.table = Table(event=24, message=36, attempt=7, outcome=11, reason=11, delay=9, time=9, response=12, sent=0)
        self.shown: set[str] = set()

    def show(self, run: Run) -> None:
        name = run.sample.name if run.number == 1 else f"{run.sample.name} ({run.number})"
        response, sent = _response(run.response), _sent(run.sent)
        for n, (outcome, duration) in enumerate(zip(run.outcomes, run.durations, strict=True)):
            self.table.row(
                name if n == 0 else "",
                outcome["message_id"],
                outcome["attempt"],
                outcome["disposition"],
                outcome["reason"],
                f"{outcome['delay_s']:g} s" if "delay_s" in outcome else "",
                f"{duration:.1f} ms",
                response if n == 0 else "",
                sent if n == 0 else "",
                colour=outcome["disposition"],
            )
            for reason in _reasons(run.errors[n], run.details[n]):
                self.table.line(f"  {outcome['message_id']}: {reason}")
        if run.refused is not None:
            self.table.line(f"{name}: refused: {run.refused}")
        if run.exit_status is not None:
            self.table.line(f"{name}: the handler ended the process, by os._exit({run.exit_status})")
        for error in run.errors:
            if error is not None and error.__traceback__ is not None:  # raised, and not only answered
                self._explain(name, error)

    def _explain(self, name: str, error: BaseException) -> None:
        """Print a traceback, the first time, and not between the results."""
        text = "".join(traceback.format_exception(error))
        if text not in self.shown:
            self.shown.add(text)
            sys.stdout.flush()
            print(escaped(f"\n{name}: the handler raised\n{text}"), file=sys.stderr, flush=True)

    def differs(self, run: Run, lines: list[str]) -> None:
        self.table.line("\n".join(["", f"{run.sample.name}: not as expected", *lines, ""]))

    def end(self, tally: Tally, events: int, *, checked: bool) -> None:
        parts = ", ".join(f"{count} {reason}" for reason, count in tally.reasons.most_common())
        messages = sum(tally.reasons.values())
        elapsed = time.monotonic() - tally.started
        self.table.line(
            f"\n{_count(events, 'event')}, {_count(messages, 'message')}: {parts or 'none'}; {tally.sent} sent; {elapsed:.2f} s"
        )
        if tally.expired_now:
            self.table.line(
                f"{tally.expired_now} expired by the clock of this machine: say --at TIME to replay at another time"
            )
        if tally.refused:
            self.table.line(f"{tally.refused} refused: not an event of their platform")
        if tally.ended:
            self.table.line(f"{tally.ended} without results: the handler ended the process")
        if checked and (tally.different or not tally.ended):
            self.table.line(f"{tally.different} not as expected" if tally.different else "all as expected")


class JsonReport:
    """Prints one JSON object a line, for a machine."""

    def show(self, run: Run) -> None:
        head = {"event": run.sample.name, "platform": run.platform, "run": run.number}
        for n, outcome in enumerate(run.outcomes):
            problem = {"detail": run.details[n], "error": _raised(run.errors[n]) or None}
            _print({**head, "delay_s": None, **outcome, **problem, "duration_ms": round(run.durations[n], 3)})
        if run.refused is not None:
            _print({**head, "refused": str(run.refused)})
        elif run.exit_status is not None:
            _print({**head, "exit_status": run.exit_status})
        else:
            _print({**head, "response": run.response, "sent": run.sent})

    def differs(self, run: Run, lines: list[str]) -> None:
        _print({"event": run.sample.name, "platform": run.platform, "difference": lines})

    def end(self, tally: Tally, events: int, *, checked: bool) -> None:
        summary: dict[str, Any] = {
            "events": events,
            "messages": sum(tally.reasons.values()),
            "reasons": dict(tally.reasons),
            "sent": tally.sent,
            "refused": tally.refused,
            "exited": tally.ended,
        }
        _print({"summary": {**summary, **({"different": tally.different} if checked else {})}})


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def _reasons(error: BaseException | None, detail: str) -> list[str]:
    """Return the reasons of an outcome, each once: the detail often has the exception in it."""
    raised = _raised(error)
    if detail in raised:
        return [raised] if raised else []
    return [detail] if raised in detail else [raised, detail]


def _raised(error: BaseException | None) -> str:
    """Return the last line of a traceback; empty where nothing was raised."""
    return "" if error is None else "".join(traceback.format_exception_only(error)).strip()


def _print(line: object) -> None:
    sys.stdout.write(json.dumps(line) + "\n")


def _response(response: object) -> str:
    """Return the answer to the platform in a word."""
    match response:
        case {"batchItemFailures": []} | None:
            return "success"
        case {"batchItemFailures": failures}:
            return f"{len(failures)} failed"
        case {"status": status}:
            return str(status)
        case {"raises": name}:
            return f"raises {name}"
    return str(response)


MOST_SENT = 5
"""Messages in the table of what an event sent; `--json` has all of them."""


def _sent(sent: list[dict[str, Any]]) -> str:
    shown = [
        message["to"]
        + (
            f" ({message['reason']})"
            if "reason" in message
            else f" (in {message['delay_s']:g} s)"
            if "delay_s" in message
            else ""
        )
        for message in sent[:MOST_SENT]
    ]
    return ", ".join([*shown, f"and {len(sent) - MOST_SENT} more"] if len(sent) > MOST_SENT else shown)
