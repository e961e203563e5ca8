"""The soak itself: send, let everything go wrong, wait, redrive, and look."""

from __future__ import annotations

import sys
import time
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Protocol

from peeklock.message import Lineage
from peeklock.outgoing import REASON, OutgoingMessage
from peeklock.sending.fitting import unfolded
from tests.soak import laws
from tests.soak.plan import REDRIVEN, Planned

APP = Path(__file__).parent / "app"

CHUNK = 50
WAITING = 300
"""Messages that may be unsettled at a time: queues of thousands are slow on some emulators, and prove nothing more."""


@dataclass(frozen=True, slots=True)
class StoredDeadLetter:
    """Dead letter as the real client reads it, and what it takes to send it again."""

    reason: str
    body: bytes
    raw: Any


def opened(body: bytes, attributes: Mapping[str, str], raw: Any) -> StoredDeadLetter:
    """A dead letter as it was before it was made to fit its queue."""
    outgoing = unfolded(OutgoingMessage(body=body, lineage=Lineage(id=""), attributes=attributes))
    return StoredDeadLetter(str(outgoing.attributes.get(REASON, "")), outgoing.body, raw)


class Cloud(Protocol):
    """One platform with its function, faults and real client."""

    groups: ClassVar[bool]
    """True where the messages of the soak have groups."""

    def send(self, planned: Sequence[Planned]) -> None: ...

    def dead_letters(self) -> Sequence[StoredDeadLetter]:
        """Take those that have come from the dead-letter queue."""
        ...

    def redrive(self, dead_letter: StoredDeadLetter) -> None:
        """Send it to its queue again, as it is, with the real client."""
        ...

    def calm(self) -> None:
        """No more faults."""
        ...

    def killed(self) -> int:
        """Events that the platform ended, since they did not answer in time."""
        ...

    def close(self) -> None: ...


class Done:
    """The keys that have had their effect, by a ledger that grows: to read all of it each time takes a core."""

    def __init__(self, ledger: Path) -> None:
        self._ledger = ledger
        self._place = 0
        self._keys: set[str] = set()

    def keys(self) -> set[str]:
        if self._ledger.exists():
            with self._ledger.open("rb") as lines:
                lines.seek(self._place)
                new = lines.read()
            whole = new[: new.rfind(b"\n") + 1]
            self._place += len(whole)
            self._keys |= set(laws.parse(whole).effects)
        return self._keys


@dataclass(slots=True)
class Soak:
    """One run of it."""

    cloud: Cloud
    ledger: Path
    planned: Sequence[Planned]
    patience: float
    """Seconds without any progress after which it is given up."""
    dead_letters: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))
    mended: dict[str, StoredDeadLetter] = field(default_factory=dict)
    by_body: Mapping[bytes, Planned] = field(init=False)
    done: Done = field(init=False)

    def __post_init__(self) -> None:
        self.done = Done(self.ledger)
        self.by_body = {message.body: message for message in self.planned}

    def run(self) -> list[str]:
        """The laws that broke."""
        for start in range(0, len(self.planned), CHUNK):
            self.cloud.send(self.planned[start : start + CHUNK])
            self._wait(start + CHUNK - WAITING)
            self._progress(min(start + CHUNK, len(self.planned)))
        self.cloud.calm()
        self._wait(len(self.planned))
        self._redrive()
        self._until(lambda: not self._broken())  # the last effects may still be on the way to their records
        return self._broken()

    def _broken(self) -> list[str]:
        ledger = laws.read(self.ledger)
        dead = {pid for pid in ledger.processes() if not Path(f"/proc/{pid}").exists()}
        killed = self.cloud.killed()
        overrun = [f"{killed} events were killed at their limit"] if killed else []
        return laws.broken(self.planned, ledger, self.dead_letters, dead) + overrun

    def settled(self) -> set[str]:
        self._take_dead_letters()
        return self.done.keys() | set(self.dead_letters)

    def _take_dead_letters(self) -> None:
        for dead_letter in self.cloud.dead_letters():
            message = self.by_body.get(dead_letter.body)
            assert message is not None, f"a dead letter that nobody sent: {dead_letter.body!r}"
            self.dead_letters[message.key].append(dead_letter.reason)
            if message.kind in REDRIVEN and dead_letter.reason != "exhausted":
                self.mended[message.key] = dead_letter

    def _wait(self, count: int) -> None:
        self._until(lambda: len(self.settled()) >= count)

    def _redrive(self) -> None:
        """Each mended one, a late dead letter too, until it has its effect or died too often."""
        redriven: set[str] = set()

        def over() -> bool:
            self._take_dead_letters()
            for key in self.mended.keys() - redriven:
                self.cloud.redrive(self.mended[key])
                redriven.add(key)
            done = self.done.keys()
            return all(key in done or "exhausted" in self.dead_letters[key] for key in self.mended)

        self._until(over)

    def _until(self, holds: Any) -> None:
        """Returns as well when no message has ended for long: the laws then say what is missing. That something goes on
        is not enough, since a bug may have a message tried for ever."""
        count, since = -1, time.monotonic()
        while not holds() and time.monotonic() - since < self.patience:
            now = len(self.done.keys()) + sum(map(len, self.dead_letters.values()))
            if now != count:
                count, since = now, time.monotonic()
            time.sleep(0.2)  # other processes work, and tell only the ledger

    def _progress(self, sent: int) -> None:
        if sent % 1000 == 0:
            print(f"  {sent} of {len(self.planned)} sent", file=sys.stderr, flush=True)


def summary(soak: Soak, seconds: float, seed: int) -> dict[str, Any]:
    """Return the counts of a soak."""
    ledger = laws.read(soak.ledger)
    return {
        "messages": len(soak.planned),
        "seconds": round(seconds, 1),
        "seed": seed,
        "done": sum(1 for message in soak.planned if ledger.effects[message.key]),
        "dead-lettered": {
            reason: sum(reason in reasons for reasons in soak.dead_letters.values())
            for reason in sorted({r for t in soak.dead_letters.values() for r in t})
        },
        "redriven": len(soak.mended),
        "runs": sum(map(len, ledger.runs.values())),
        "crashes": sum(ledger.crashes.values()),
        "unsure": sum(ledger.unsure.values()),
        "repeated effects": sum(count - 1 for count in ledger.effects.values() if count > 1),
    }
