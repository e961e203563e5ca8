"""`python -m tests.fuzz`: fuzz from a terminal; `make fuzz` runs it for every platform side by side."""

from __future__ import annotations

import argparse
import os
import time
from concurrent.futures import ProcessPoolExecutor
from typing import Any

from tests.fuzz.run import Found, Tally, fuzz

CHUNK = 2500
"""Events that a process takes at a time."""


def _try(job: tuple[str, int, range]) -> tuple[str, Tally | str]:
    try:
        return job[0], fuzz(*job)
    except Found as exc:
        return job[0], str(exc)


def _arguments() -> Any:
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz")
    parser.add_argument("platforms", nargs="*", default=["sqs", "servicebus", "cloudtasks", "pubsub"])
    parser.add_argument("--events", type=int, default=10_000, help="a platform")
    parser.add_argument("--seed", type=int, default=None, help="else another one each time")
    parser.add_argument("--only", type=int, default=None, help="the number of one event, as a report says it")
    return parser.parse_args()


def main() -> int:
    """0 when every law held, 1 otherwise."""
    asked = _arguments()
    seed = int(time.time()) if asked.seed is None else asked.seed
    first, events = (0, asked.events) if asked.only is None else (asked.only, 1)
    chunks = [range(n, min(n + CHUNK, first + events)) for n in range(first, first + events, CHUNK)]
    jobs = [(platform, seed, chunk) for platform in asked.platforms for chunk in chunks]
    print(f"seed {seed}: {events:,} events a platform")
    with ProcessPoolExecutor(os.cpu_count()) as pool:
        results = list(pool.map(_try, jobs))
    failures = [result for _, result in results if isinstance(result, str)]
    for platform in asked.platforms:
        tallies = [result for name, result in results if name == platform and isinstance(result, Tally)]
        reasons = sum((tally.reasons for tally in tallies), tallies[0].reasons - tallies[0].reasons) if tallies else {}
        print(f"{platform}: {sum(tally.events for tally in tallies):,} events: {dict(sorted(reasons.items()))}")
    print("\n\n".join(failures))
    return 1 if failures else 0


if __name__ == "__main__":
    raise SystemExit(main())
