"""`peeklock replay`: run sample events through their handlers, on this machine alone."""

from __future__ import annotations

import argparse
import sys
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any

from peeklock import unwrap
from peeklock.cli.numbers import positive, seconds
from peeklock.cli.replay_report import JsonReport, Tally, TextReport
from peeklock.errors import ConfigError
from peeklock.platform_registry import PLATFORMS
from peeklock.replay import (
    ReplayError,
    ReplayOptions,
    accept,
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
  2  it could not be run: an unknown handler, a file that is not JSON, an event of no known platform or of no handler's queue;
     or a handler ended the process: the other events were run
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
    expected = parser.add_mutually_exclusive_group()
    expected.add_argument(
        "--check", action="store_true", help="compare with the expected results; exit 1 on a difference"
    )
    expected.add_argument("--accept", action="store_true", help="write the results as the expected ones")
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
    _check_files(options)
    events = samples(options.paths)
    for sample in events:
        route(sample, settings)  # before the first of them runs
    report = JsonReport() if options.json else TextReport()
    tally = Tally()
    for sample in events:
        for run in replay(sample, settings):
            tally.add(run)
            report.show(run)
            if run.number > 1 or run.exit_status is not None:
                continue
            if options.accept:
                accept(run)
            elif options.check:
                tally.check(run, report)
    report.end(tally, len(events), checked=options.check)
    return tally.code(checked=options.check)


def _check_files(options: argparse.Namespace) -> None:
    """Raise ReplayError where standard input would have expected results: they are in a file beside that of the event."""
    if "-" in options.paths and (options.check or options.accept):
        raise ReplayError(
            f"{'--check' if options.check else '--accept'} needs files of events, and - is standard input"
        )


def _unwrap(names: str | None) -> unwrap.Unwrap | None:
    if names is None:
        return None
    try:
        return unwrap.named(names)
    except ConfigError as exc:
        raise ReplayError(f"--unwrap {names}: {exc}") from None
