"""`peeklock replay`: run sample events through their handlers, on this machine alone."""

from __future__ import annotations

import argparse
import json
import sys
import time
import traceback
from collections import Counter
from contextlib import redirect_stdout
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from peeklock import unwrap
from peeklock.cli.escaping import escaped
from peeklock.cli.numbers import positive, seconds
from peeklock.cli.table import Table
from peeklock.errors import ConfigError
from peeklock.platform_registry import PLATFORMS
from peeklock.replay import (
    ReplayError,
    ReplayOptions,
    Run,
    accept,
    difference,
    load_handlers,
    moment,
    project_of,
    replay,
    route,
    samples,
)

HELP = "run sample events through their handlers, without side effects"

EPILOG = """\
Handlers are named in pyproject.toml, or with --handler:

  [tool.peeklock]
  handlers = ["app.orders:charge", "app.receipts:write"]

The platform follows from an event's shape, and each event runs through the handler of its queue; an event of another queue
is an error. (An event of Service Bus names its function, one of Pub/Sub its subscription: where that has another name, say
--queue, or "queue": "orders" in its expected file.) Each event gets a new store in memory, sends are only recorded, and
delays are drawn from the same random source each time: a replay has the same results whenever it is run. Of a queue with
max_age, an event takes place now, so a message of last week has expired: say --at, or "at": "2026-11-30T12:00:00+00:00" in its
expected file, which --accept writes. Results are on standard output; tracebacks, and what handlers print, on standard error.

examples:
  peeklock replay events/                          all sample events
  peeklock replay events/sqs/batch.json --times 2  delivered twice: what was done is now a duplicate
  peeklock replay events/ --attempt 13             as the last attempt of a Queue that names no max_attempts
  peeklock replay events/ --check                  compare with *.expected.json beside each event
  peeklock replay events/ --at 2026-11-30T12:00:00+00:00    at the time that they were saved
  peeklock replay - --handler app.orders:charge    an event from standard input

exit codes:
  0  every event was run (with --check: and came out as expected)
  1  --check found a difference, or an event was refused by its platform
  2  it could not be run: an unknown handler, a file that is not JSON, an event of no known platform or of no handler's queue,
     a handler that ends the process
"""


def add_to(commands: Any) -> None:
    parser: argparse.ArgumentParser = commands.add_parser(
        "replay", help=HELP, description=HELP, epilog=EPILOG, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("paths", nargs="+", metavar="PATH", help="a file, a folder, or - for standard input")
    parser.add_argument(
        "--handler",
        action="append",
        default=[],
        metavar="MODULE:NAME",
        help="may be repeated; default: [tool.peeklock] handlers in pyproject.toml, or else the entry points of [tool.peeklock.dev]",
    )
    parser.add_argument("--queue", metavar="NAME", help="the declared queue of all these events, whatever they say")
    parser.add_argument(
        "--platform", metavar="NAME", help=f"{', '.join(sorted(PLATFORMS))} or another, whatever the event's shape"
    )
    parser.add_argument(
        "--unwrap",
        metavar="NAMES",
        help=f"the envelope around each body ({', '.join(unwrap.BY_NAME)}); of several the outermost first: sns,s3",
    )
    parser.add_argument("--times", type=positive, default=1, metavar="N", help="deliver each event N times")
    parser.add_argument("--attempt", type=positive, metavar="N", help="deliver each message as its Nth attempt")
    parser.add_argument("--deadline", type=float, metavar="S", help="seconds that an event has")
    parser.add_argument("--at", metavar="TIME", help="when the events take place, for max_age; with an offset from UTC")
    parser.add_argument("--store", metavar="URL", help="a store that lasts, such as sqlite://replay.db")
    parser.add_argument("--live", action="store_true", help="really send, by the environment's PEEKLOCK_ variables")
    parser.add_argument(
        "--check", action="store_true", help="compare with the expected results; exit 1 on a difference"
    )
    parser.add_argument("--accept", action="store_true", help="write the results as the expected ones")
    parser.add_argument(
        "--json", action="store_true", help="one JSON object for each message and each event, then one for the summary"
    )
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Replay, report, and return the exit code."""
    with redirect_stdout(sys.stderr):  # what a module prints when it is imported
        handlers = load_handlers(options.handler, project_of(Path.cwd()))
    settings = ReplayOptions(
        handlers=handlers,
        queue=options.queue,
        platform=options.platform,
        unwrap=_unwrap(options.unwrap),
        store=options.store,
        live=options.live,
        times=options.times,
        attempt=options.attempt,
        deadline=None if options.deadline is None else seconds(options.deadline, "--deadline"),
        at=None if options.at is None else moment(options.at, "--at"),
    )
    events = samples(options.paths)
    for sample in events:
        route(sample, settings)  # before the first of them runs
    report = _Json() if options.json else _Text()
    tally = _Tally()
    for sample in events:
        for run in replay(sample, settings):
            tally.add(run)
            report.show(run)
            if options.accept and run.number == 1:
                accept(run)
            elif options.check and run.number == 1:
                tally.check(run, report)
    report.end(tally, len(events), checked=options.check)
    return tally.code(checked=options.check)


def _unwrap(names: str | None) -> unwrap.Unwrap | None:
    if names is None:
        return None
    try:
        return unwrap.named(names)
    except ConfigError as exc:
        raise ReplayError(f"--unwrap {names}: {exc}") from None


NOW = timedelta(minutes=1)
"""Distance from the present within which a run counts as one that takes place now."""


class _Tally:
    """Totals of all events."""

    def __init__(self) -> None:
        self.started = time.monotonic()
        self.reasons: Counter[str] = Counter()
        self.sent = 0
        self.refused = 0
        self.different = 0
        self.expired_now = 0
        """Messages that have expired in runs that take place now."""

    def add(self, run: Run) -> None:
        self.reasons.update(outcome["reason"] for outcome in run.outcomes)
        self.sent += len(run.sent)
        if self._is_now(run):
            self.expired_now += sum(outcome["reason"] == "expired" for outcome in run.outcomes)
        self.refused += run.refused is not None

    def _is_now(self, run: Run) -> bool:
        return run.at is not None and abs(datetime.now(UTC) - run.at) < NOW

    def check(self, run: Run, report: _Text | _Json) -> None:
        lines = difference(run)
        if lines:
            self.different += 1
            report.differs(run, lines)

    def code(self, *, checked: bool) -> int:
        return int(self.different > 0) if checked else int(self.refused > 0)


class _Text:
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

    def end(self, tally: _Tally, events: int, *, checked: bool) -> None:
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
        if checked:
            self.table.line(f"{tally.different} not as expected" if tally.different else "all as expected")


class _Json:
    """Prints one JSON object a line, for a machine."""

    def show(self, run: Run) -> None:
        head = {"event": run.sample.name, "platform": run.platform, "run": run.number}
        for n, outcome in enumerate(run.outcomes):
            problem = {"detail": run.details[n], "error": _raised(run.errors[n]) or None}
            _print({**head, "delay_s": None, **outcome, **problem, "duration_ms": round(run.durations[n], 3)})
        if run.refused is not None:
            _print({**head, "refused": str(run.refused)})
        else:
            _print({**head, "response": run.response, "sent": run.sent})

    def differs(self, run: Run, lines: list[str]) -> None:
        _print({"event": run.sample.name, "platform": run.platform, "difference": lines})

    def end(self, tally: _Tally, events: int, *, checked: bool) -> None:
        summary: dict[str, Any] = {
            "events": events,
            "messages": sum(tally.reasons.values()),
            "reasons": dict(tally.reasons),
            "sent": tally.sent,
            "refused": tally.refused,
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
