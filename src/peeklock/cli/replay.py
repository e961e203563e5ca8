"""`peeklock replay`: sample events through their handlers, on this machine and nowhere else."""

from __future__ import annotations

import argparse
import json
import sys
import time
import traceback
from collections import Counter
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any

from peeklock import unwrap
from peeklock.cli.escaping import escaped
from peeklock.cli.numbers import positive, seconds
from peeklock.cli.table import Table
from peeklock.errors import ConfigError
from peeklock.registry import platforms
from peeklock.replay import (
    ReplayError,
    ReplayOptions,
    Run,
    accept,
    difference,
    load_handlers,
    project_of,
    replay,
    route,
    samples,
)

HELP = "run sample events through their handlers, touching nothing"

EPILOG = """\
Handlers are named in pyproject.toml, or with --handler:

  [tool.peeklock]
  handlers = ["app.orders:charge", "app.receipts:write"]

The platform is told from an event's shape, and each event runs through the handler of its queue; an event of another queue
is an error. (Of Service Bus an event names its function, of Pub/Sub its subscription: where that is called otherwise, say
--queue, or "queue": "orders" in its expected file.) Each event gets a fresh store in memory, what is sent is only recorded, and
delays are drawn from the same random source each time: a replay says the same whenever it is run. Results are on standard
output; tracebacks, and what handlers print, on standard error.

examples:
  peeklock replay events/                          all sample events
  peeklock replay events/sqs/batch.json --times 2  delivered twice: what was done is now a duplicate
  peeklock replay events/ --attempt 13             as the last attempt of a Queue that names no max_attempts
  peeklock replay events/ --check                  compare with *.expected.json beside each event
  peeklock replay - --handler app.orders:charge    an event from standard input

exit codes:
  0  every event was run (with --check: and came out as expected)
  1  --check found a difference, or an event was refused by its platform
  2  it could not be run: an unknown handler, a file that is not JSON, an event of no known platform or of no handler's queue
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
    parser.add_argument("--platform", choices=sorted(platforms()), help="instead of telling it from the event's shape")
    parser.add_argument(
        "--unwrap",
        metavar="NAMES",
        help=f"the envelope around each body ({', '.join(unwrap.BY_NAME)}); of several the outermost first: sns,s3",
    )
    parser.add_argument("--times", type=positive, default=1, metavar="N", help="deliver each event N times")
    parser.add_argument("--attempt", type=positive, metavar="N", help="deliver each message as its Nth attempt")
    parser.add_argument("--deadline", type=float, metavar="S", help="seconds that an event has")
    parser.add_argument("--store", metavar="URL", help="a store that lasts, such as sqlite://replay.db")
    parser.add_argument("--live", action="store_true", help="really send, by the environment's PEEKLOCK_ variables")
    parser.add_argument(
        "--check", action="store_true", help="compare with the expected results; exit 1 on a difference"
    )
    parser.add_argument("--accept", action="store_true", help="write what happens as the expected results")
    parser.add_argument("--json", action="store_true", help="one JSON object a message, then one for the summary")
    parser.set_defaults(run=run)


def run(given: argparse.Namespace) -> int:
    """Replay, tell, and return the exit code."""
    with redirect_stdout(sys.stderr):  # what a module prints when it is imported
        handlers = load_handlers(given.handler, project_of(Path.cwd()))
    settings = ReplayOptions(
        handlers=handlers,
        queue=given.queue,
        platform=given.platform,
        unwrap=_unwrap(given.unwrap),
        store=given.store,
        live=given.live,
        times=given.times,
        attempt=given.attempt,
        deadline=None if given.deadline is None else seconds(given.deadline, "--deadline"),
    )
    found = samples(given.paths)
    for sample in found:
        route(sample, settings)  # before the first of them runs
    report = _Json() if given.json else _Text()
    tally = _Tally()
    for sample in found:
        for one in replay(sample, settings):
            tally.add(one)
            report.show(one)
            if given.accept and one.number == 1:
                accept(one)
            elif given.check and one.number == 1:
                tally.check(one, report)
    report.end(tally, len(found), checked=given.check)
    return tally.code(checked=given.check)


def _unwrap(names: str | None) -> unwrap.Unwrap | None:
    if names is None:
        return None
    try:
        return unwrap.named(names)
    except ConfigError as exc:
        raise ReplayError(f"--unwrap {names}: {exc}") from None


class _Tally:
    """What all events came to."""

    def __init__(self) -> None:
        self.started = time.monotonic()
        self.reasons: Counter[str] = Counter()
        self.sent = 0
        self.refused = 0
        self.different = 0

    def add(self, one: Run) -> None:
        self.reasons.update(outcome["reason"] for outcome in one.outcomes)
        self.sent += len(one.sent)
        self.refused += one.refused is not None

    def check(self, one: Run, report: _Text | _Json) -> None:
        lines = difference(one)
        if lines:
            self.different += 1
            report.differs(one, lines)

    def code(self, *, checked: bool) -> int:
        return int(self.different > 0) if checked else int(self.refused > 0)


class _Text:
    """For a person."""

    def __init__(self) -> None:
        self.table = Table(event=24, message=36, attempt=7, outcome=11, reason=11, delay=9, time=9, told=12, sent=0)
        self.shown: set[str] = set()

    def show(self, one: Run) -> None:
        name = one.sample.name if one.number == 1 else f"{one.sample.name} ({one.number})"
        told, sent = _told(one.told), _sent(one.sent)
        for n, (outcome, duration) in enumerate(zip(one.outcomes, one.durations, strict=True)):
            self.table.row(
                name if n == 0 else "",
                outcome["message_id"],
                outcome["attempt"],
                outcome["disposition"],
                outcome["reason"],
                f"{outcome['delay_s']:g} s" if "delay_s" in outcome else "",
                f"{duration:.1f} ms",
                told if n == 0 else "",
                sent if n == 0 else "",
                colour=outcome["disposition"],
            )
            for why in _whys(one.errors[n], one.details[n]):
                self.table.line(f"  {outcome['message_id']}: {why}")
        if one.refused is not None:
            self.table.line(f"{name}: refused: {one.refused}")
        for error in one.errors:
            if error is not None and error.__traceback__ is not None:  # raised, and not only answered
                self._explain(name, error)

    def _explain(self, name: str, error: BaseException) -> None:
        """Its traceback, the first time, and not between the results."""
        text = "".join(traceback.format_exception(error))
        if text not in self.shown:
            self.shown.add(text)
            sys.stdout.flush()
            print(escaped(f"\n{name}: the handler raised\n{text}"), file=sys.stderr, flush=True)

    def differs(self, one: Run, lines: list[str]) -> None:
        self.table.line("\n".join(["", f"{one.sample.name}: not as expected", *lines, ""]))

    def end(self, tally: _Tally, events: int, *, checked: bool) -> None:
        parts = ", ".join(f"{count} {reason}" for reason, count in tally.reasons.most_common())
        messages = sum(tally.reasons.values())
        elapsed = time.monotonic() - tally.started
        self.table.line(
            f"\n{events} events, {messages} messages: {parts or 'none'}; {tally.sent} sent; {elapsed:.2f} s"
        )
        if tally.refused:
            self.table.line(f"{tally.refused} refused: not an event of their platform")
        if checked:
            self.table.line(f"{tally.different} not as expected" if tally.different else "all as expected")


class _Json:
    """For a machine: one object a line."""

    def show(self, one: Run) -> None:
        head = {"event": one.sample.name, "platform": one.platform, "run": one.number}
        for n, outcome in enumerate(one.outcomes):
            why = {"detail": one.details[n], "error": _raised(one.errors[n]) or None}
            _print({**head, "delay_s": None, **outcome, **why, "duration_ms": round(one.durations[n], 3)})
        if one.refused is not None:
            _print({**head, "refused": str(one.refused)})

    def differs(self, one: Run, lines: list[str]) -> None:
        _print({"event": one.sample.name, "platform": one.platform, "difference": lines})

    def end(self, tally: _Tally, events: int, *, checked: bool) -> None:
        summary: dict[str, Any] = {
            "events": events,
            "messages": sum(tally.reasons.values()),
            "reasons": dict(tally.reasons),
            "sent": tally.sent,
            "refused": tally.refused,
        }
        _print({"summary": {**summary, **({"different": tally.different} if checked else {})}})


def _whys(error: BaseException | None, detail: str) -> list[str]:
    """Why it ended so, each reason once: the detail often has what was raised in it."""
    raised = _raised(error)
    if detail in raised:
        return [raised] if raised else []
    return [detail] if raised in detail else [raised, detail]


def _raised(error: BaseException | None) -> str:
    """The last line of a traceback; empty where nothing was raised."""
    return "" if error is None else "".join(traceback.format_exception_only(error)).strip()


def _print(line: object) -> None:
    sys.stdout.write(json.dumps(line) + "\n")


def _told(told: object) -> str:
    """What the platform is told, in a word."""
    match told:
        case {"batchItemFailures": []} | None:
            return "success"
        case {"batchItemFailures": failures}:
            return f"{len(failures)} failed"
        case {"status": status}:
            return str(status)
        case {"raises": name}:
            return f"raises {name}"
    return str(told)


MOST_SENT = 5
"""Of what an event sent, in the table; `--json` has all of it."""


def _sent(sent: list[dict[str, Any]]) -> str:
    shown = [
        one["to"]
        + (f" ({one['reason']})" if "reason" in one else f" (in {one['delay_s']:g} s)" if "delay_s" in one else "")
        for one in sent[:MOST_SENT]
    ]
    return ", ".join([*shown, f"and {len(sent) - MOST_SENT} more"] if len(sent) > MOST_SENT else shown)
