"""What the soak sends, drawn from a seed."""

from __future__ import annotations

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
    "dies_before": 3,
    "dies_after": 4,
}
"""How often each, in parts."""

REASONS = {"fatal": "fatal", "mended": "fatal", "bad": "exhausted", "invalid": "invalid"}
"""Kinds that end as letters, with their reason."""

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
        text = json.dumps({"key": self.key, "kind": self.kind, "note": "grüße 🚀"}).encode()
        return text[:-1] if self.kind == "invalid" else text


def draw(count: int, seed: int, *, fifo: bool = False) -> list[Planned]:
    chance = random.Random(seed)
    kinds = [one for one in KINDS if not fifo or one in IN_ORDER]
    chosen = chance.choices(kinds, [KINDS[one] for one in kinds], k=count)
    places = [0] * GROUPS
    planned = []
    for n, kind in enumerate(chosen):
        group = chance.randrange(GROUPS)
        places[group] += 1
        planned.append(Planned(f"k{n:05}", kind, f"g{group}" if fifo else None, places[group]))
    return planned
