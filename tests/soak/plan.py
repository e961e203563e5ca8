"""Messages of the soak, drawn from a seed."""

from __future__ import annotations

import base64
import json
import random
from dataclasses import dataclass

KINDS = {
    "ok": 60,
    "flaky": 8,
    "patient": 6,
    "fatal": 6,
    "mended": 6,
    "bad": 3,
    "invalid": 4,
    "large": 4,
    "dies_before": 3,
    "dies_after": 4,
}
"""How often each, in parts."""

REASONS = {"fatal": "fatal", "mended": "fatal", "large": "fatal", "bad": "exhausted", "invalid": "invalid"}
"""Kinds that end as dead letters, with their reason."""

REDRIVEN = ("mended", "large")
"""Kinds that fail in their first life only."""

UNEXPLAINED = ("large",)
"""Kinds whose dead letters may be too large to say why."""

DEAD_LETTER_BYTES = 800
"""Bytes that the dead-letter queue takes: a dead letter of kind `large` does not fit with its reason."""

NOISE_BYTES = 450
"""600 in base64: beside it there is room for the message's own attributes, and little more."""

GROUPS = 20
IN_ORDER = ("ok", "flaky", "fatal")
"""Kinds of messages in groups: what others do to an order is a matter of their kind."""


@dataclass(frozen=True, slots=True)
class Planned:
    """A message to send."""

    key: str
    kind: str
    group: str | None
    place: int

    @property
    def body(self) -> bytes:
        """One of kind `invalid` is JSON for most of its length."""
        note = _noise(self.key) if self.kind == "large" else "grüße 🚀"
        text = json.dumps({"key": self.key, "kind": self.kind, "note": note}).encode()
        return text[:-1] if self.kind == "invalid" else text


def _noise(key: str) -> str:
    """Text that cannot be compressed by much, always the same for a key."""
    return base64.b64encode(random.Random(key).randbytes(NOISE_BYTES)).decode()


def draw(count: int, seed: int, *, fifo: bool = False) -> list[Planned]:
    chance = random.Random(seed)
    kinds = [kind for kind in KINDS if not fifo or kind in IN_ORDER]
    chosen = chance.choices(kinds, [KINDS[kind] for kind in kinds], k=count)
    places = [0] * GROUPS
    planned = []
    for n, kind in enumerate(chosen):
        group = chance.randrange(GROUPS)
        places[group] += 1
        planned.append(Planned(f"k{n:05}", kind, f"g{group}" if fifo else None, places[group]))
    return planned
