"""Laws that must hold after the soak, checked on the ledger and the dead letters alone."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

from tests.soak.plan import REASONS, REDRIVEN, UNEXPLAINED, Planned

RECORDED_WITHIN = 15 * 10**9
"""Nanoseconds from an effect to its record, at most: no event lasts longer, and a process that wrote something after that
did not die in between."""


BUSY_SECONDS = 1.5
"""Seconds by which an event may be late on a machine that has more to do than it has cores."""


MAX_ATTEMPTS = 6
"""Attempts of the soak's queue, in `tests/soak/app/business.py`."""


@dataclass(slots=True)
class Ledger:
    """Lines that the functions wrote, in the order of their times."""

    lines: list[dict[str, Any]]
    effects: Counter[str] = field(init=False)
    crashes: Counter[str] = field(init=False)
    """Runs that did not end: the process died in them."""
    unsure: Counter[str] = field(init=False)
    """Successes whose record the store may not have."""
    last: dict[int, int] = field(init=False)
    """Time of the last line of each process."""
    runs: dict[str, list[tuple[int, int | None]]] = field(init=False)
    """Begin and end of each run of a key, in nanoseconds."""

    def __post_init__(self) -> None:
        self.lines.sort(key=lambda entry: int(entry["at"]))
        self.effects = Counter(entry["key"] for entry in self.lines if entry["what"] == "effect")
        self.unsure = Counter(entry["key"] for entry in self.lines if entry["what"] == "unsure")
        began: dict[tuple[Any, ...], int] = {}
        ended: dict[tuple[Any, ...], int] = {}
        for entry in self.lines:
            if entry["what"] in {"start", "end"}:
                name = (entry["key"], entry["pid"], entry["run"])
                (began if entry["what"] == "start" else ended)[name] = entry["at"]
        self.runs = defaultdict(list)
        for name, at in began.items():
            self.runs[name[0]].append((at, ended.get(name)))
        self.crashes = Counter(name[0] for name in began if name not in ended)
        self.last = {entry["pid"]: entry["at"] for entry in self.lines}

    def processes(self) -> set[int]:
        return {line["pid"] for line in self.lines}


def read(path: Path) -> Ledger:
    return parse(path.read_bytes())


def parse(text: bytes) -> Ledger:
    """A line that a killed process cut short is left out."""
    return Ledger([entry for line in text.splitlines() if (entry := _line(line)) is not None])


def _line(line: bytes) -> dict[str, Any] | None:
    try:
        parsed: dict[str, Any] = json.loads(line)
    except ValueError:
        return None
    return parsed


def broken(
    planned: Sequence[Planned], ledger: Ledger, dead_letters: Mapping[str, Sequence[str]], dead: AbstractSet[int]
) -> list[str]:
    """The laws that do not hold, each with its message. `dead letters`: reasons by key; `dead`: processes that have ended."""
    lines: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for line in ledger.lines:
        lines[line["key"]].append(line)
    broken_laws: list[str] = []
    for message in planned:
        broken_laws += _ended(message, ledger, dead_letters.get(message.key, ()))
        broken_laws += _twice(message, ledger)
        broken_laws += _too_often(message, lines[message.key])
        broken_laws += _unrecorded(message, lines[message.key], ledger, dead)
    return broken_laws + list(_out_of_order(planned, ledger)) + list(_overrun(ledger))


def _ended(message: Planned, ledger: Ledger, reasons: Sequence[str]) -> Iterator[str]:
    """Done, or dead-lettered with its reason; what was redriven, run."""
    key, effects = message.key, ledger.effects[message.key]
    if not effects and not reasons:
        yield f"{key} ({message.kind}) is lost"
    expected = {REASONS[message.kind]} if message.kind in REASONS else set()
    expected |= {"exhausted"} if ledger.crashes[key] else set()
    expected |= {""} if message.kind in UNEXPLAINED else set()
    for reason in set(reasons) - expected:
        yield f"{key} ({message.kind}) is dead-lettered as {reason}"
    if message.kind in REDRIVEN and reasons and not effects and "exhausted" not in reasons:
        yield f"{key} was redriven, and did not run"


def _twice(message: Planned, ledger: Ledger) -> Iterator[str]:
    """Never two runs of a key at once."""
    for (_, ended), (began, _) in pairwise(sorted(ledger.runs[message.key])):
        if ended is not None and began < ended:
            yield f"{message.key} ({message.kind}) ran twice at once"


def _too_often(message: Planned, lines: Sequence[dict[str, Any]]) -> Iterator[str]:
    """At most `max_attempts` starts of a life, those included whose process died."""
    starts = Counter(line["life"] for line in lines if line["what"] == "start")
    for life, count in starts.items():
        if count > MAX_ATTEMPTS:
            yield f"{message.key} ({message.kind}) was started {count} times in life {life}"


def _unrecorded(
    message: Planned, lines: Sequence[dict[str, Any]], ledger: Ledger, dead: AbstractSet[int]
) -> Iterator[str]:
    """No run after a recorded success of its life; and an effect without a record only where the process died soon after
    it, or the store did not answer. So each effect but one has its own crash or outage."""
    recorded: set[int] = set()
    pending: dict[int, list[int]] = defaultdict(list)
    unsure: set[int] = set()
    for line in lines:
        pid = line["pid"]
        match line["what"]:
            case "start" if line["life"] in recorded:
                yield f"{message.key} ({message.kind}) ran after its recorded success"
            case "effect":
                pending[pid].append(line["at"])
            case "unsure":
                unsure.add(pid)
            case "done":
                pending[pid] = pending[pid][1:]
                recorded.add(line["life"])
    for pid, effects in pending.items():
        died = pid in dead and all(ledger.last[pid] - at < RECORDED_WITHIN for at in effects)
        if effects and not died and pid not in unsure:
            yield f"{message.key} ({message.kind}) has an effect without a record, and nothing went wrong"


def _overrun(ledger: Ledger) -> Iterator[str]:
    """Each event answers before its limit."""
    for line in ledger.lines:
        if line["what"] == "event" and line["seconds"] > line["limit"] + BUSY_SECONDS:
            yield f"an event took {line['seconds']:.1f} s of its {line['limit']:g}"


def _out_of_order(planned: Sequence[Planned], ledger: Ledger) -> Iterator[str]:
    """Within a group nothing runs before the one before it has had its effect, where it ever has one."""
    done: dict[str, int] = {}
    for line in ledger.lines:
        if line["what"] == "effect":
            done.setdefault(line["key"], line["at"])
    before: dict[str, Planned] = {}
    for message in planned:
        if message.group is None:
            return
        previous = before.get(message.group)
        before[message.group] = message
        first = min((began for began, _ in ledger.runs[message.key]), default=None)
        if previous is not None and first is not None and done.get(previous.key, first) > first:
            yield f"{message.key} ran before {previous.key} of its group was done"
