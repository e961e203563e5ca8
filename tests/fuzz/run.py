"""Mutated sample events through every entry point of a platform: the same for the same seed, whatever was tried before."""

from __future__ import annotations

import functools
import json
import tempfile
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any

from tests.fuzz.changes import CHANGES
from tests.fuzz.entries import PLATFORMS, REFUSED, Entry
from tests.fuzz.laws import Delivery, check
from tests.fuzz.mutate import mutated
from tests.fuzz.stage import Stage
from tests.support import ROOT

TIMES = (0.0, 1.0, 40.0, 2000.0, 90_000.0)
"""Seconds between two deliveries of one event."""


class Found(AssertionError):
    """A law was broken; the text says how to come back to it."""


@dataclass
class Tally:
    """Counts of outcomes, so that nobody takes a fuzzer whose events are all refused for one that finds nothing."""

    events: int = 0
    reasons: Counter[str] = field(default_factory=Counter)

    def add(self, delivery: Delivery) -> None:
        if delivery.answer == REFUSED:
            self.reasons[REFUSED] += 1
        self.reasons.update(str(delivered.outcome.reason) for delivered in delivery.settled)


@functools.cache
def samples(platform: str) -> tuple[Any, ...]:
    """The sample events of a platform, in the order of their names."""
    paths = sorted(path for path in (ROOT / "events" / platform).glob("*.json") if ".expected" not in path.name)
    return tuple(json.loads(path.read_text()) for path in paths)


@functools.cache
def stage_of(platform: str) -> tuple[Stage, list[Entry]]:
    """The platform's entry points, bound once a process."""
    return PLATFORMS[platform]()


def fuzz(platform: str, seed: int, numbers: range) -> Tally:
    """Try the events of these numbers. Raises Found."""
    tally = Tally()
    for number in numbers:
        fuzz_one(platform, seed, number, tally)
        tally.events += 1
    return tally


def fuzz_one(platform: str, seed: int, number: int, tally: Tally) -> None:
    """Make an event and deliver it, once or several times. Raises Found."""
    random = Random(f"{seed}/{platform}/{number}")
    stage, entries = stage_of(platform)
    entry = random.choice(entries)
    event = mutated(random.choice(samples(platform)), CHANGES[platform], random)
    stage.reset(random.getrandbits(32))
    for _ in range(random.choice((1, 1, 2, 4))):
        stage.begin(random.choice(TIMES))
        try:
            done_before = frozenset(stage.shelf.done())
            with stage.set():
                answer = entry.say(event)
            delivery = Delivery(platform, entry, stage, event, answer, done_before)
            check(delivery)
        except Exception as exc:
            raise Found(_report(platform, seed, number, entry, event, exc)) from exc
        tally.add(delivery)


def _report(platform: str, seed: int, number: int, entry: Entry, event: Any, exc: Exception) -> str:
    path = Path(tempfile.gettempdir()) / f"peeklock-fuzz-{platform}-{seed}-{number}.json"
    path.write_text(json.dumps(event, indent=1))
    return (
        f"{platform}, entry {entry.name!r}: {type(exc).__name__}: {str(exc)[:1500]}\n"
        f"event: {path}\nagain: python -m tests.fuzz {platform} --seed {seed} --only {number}"
    )
