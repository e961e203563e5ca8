"""Fault injection, repeatable from a seed."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, fields

from cloudqueues.errors import ConfigError


@dataclass(frozen=True, slots=True, kw_only=True)
class Faults:
    """Share of deliveries, responses or requests, from 0 to 1, that each fault hits.

    A hit depends on the seed and on what is hit, never on the order of threads, so that the seed repeats a failed run.
    """

    seed: int = 0
    duplicate: float = 0.0
    """Share of deliveries that are repeated, also after the message was completed."""
    reorder: float = 0.0
    """Share of messages that later messages overtake, where the service promises no order."""
    delay: float = 0.0
    """Share of responses that are held back for up to `delay_s`."""
    delay_s: float = 0.2
    """Longest delay of a response, in seconds."""
    drop: float = 0.0
    """Share of requests that are carried out and never answered: the connection breaks."""
    refuse: float = 0.0
    """Share of requests (sends, store calls) that are answered with the service's error for "try again later", and not
    carried out."""
    stall: float = 0.0
    """Share of store calls and sends that hang for `stall_s` seconds, and then fail without effect."""
    stall_s: float = 3.0
    """Length of a stall, in seconds."""
    kill: float = 0.0
    """Share of invocations whose process is killed while the handler runs."""
    lose_lock: float = 0.0
    """Share of deliveries whose lock ends at once, so that the message may be delivered again while the handler runs."""

    def __post_init__(self) -> None:
        """Raise ConfigError for a share outside 0 to 1."""
        for share_field in fields(self):
            value = getattr(self, share_field.name)
            if share_field.name not in {"seed", "delay_s", "stall_s"} and not 0 <= value <= 1:
                raise ConfigError(f"Faults({share_field.name}={value!r}): a share lies between 0 and 1")

    def hits(self, knob: str, *what: object) -> bool:
        """Return True if the fault `knob` hits `what`, such as a message's id and delivery count."""
        share: float = getattr(self, knob)
        return share > 0 and self.draw(knob, *what) < share

    def draw(self, knob: str, *what: object) -> float:
        """Return a number in [0, 1), the same for the same seed, knob and `what`."""
        text = "\x1f".join(map(str, (self.seed, knob, *what)))
        return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest()) / 2**64


NO_FAULTS = Faults()
