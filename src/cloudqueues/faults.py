"""What goes wrong on purpose, and the same way again from the same seed."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, fields

from cloudqueues.errors import ConfigError


@dataclass(frozen=True, slots=True, kw_only=True)
class Faults:
    """Shares (0 to 1) of the chances at which each fault happens.

    Whether one does depends on the seed and on what it happens to, never on the order in which threads come along: a
    failed run is repeated by its seed.
    """

    seed: int = 0
    duplicate: float = 0.0
    """Of deliveries: the message is delivered a second time, also after it was completed."""
    reorder: float = 0.0
    """Of messages: later ones go before it, where the service promises no order."""
    delay: float = 0.0
    """Of responses: held back for up to `delay_s`."""
    delay_s: float = 0.2
    """Seconds that a response is held back at most."""
    drop: float = 0.0
    """Of responses: done, and never answered; the connection breaks."""
    refuse: float = 0.0
    """Of requests (sends, store calls): answered with the service's error for "try again later", and not done."""
    stall: float = 0.0
    """Of store calls and sends: held for `stall_s` seconds, then failed and not done."""
    stall_s: float = 3.0
    kill: float = 0.0
    """Of invocations: the function's process is killed while the handler runs."""
    lose_lock: float = 0.0
    """Of deliveries: the lock ends at once, and the message may be delivered while the handler runs."""

    def __post_init__(self) -> None:
        """Raises ConfigError for a share that is none."""
        for one in fields(self):
            value = getattr(self, one.name)
            if one.name not in {"seed", "delay_s", "stall_s"} and not 0 <= value <= 1:
                raise ConfigError(f"Faults({one.name}={value!r}): a share lies between 0 and 1")

    def hits(self, knob: str, *what: object) -> bool:
        """Whether `knob` happens to `what`: a message's id and delivery count, for one."""
        share: float = getattr(self, knob)
        return share > 0 and self.draw(knob, *what) < share

    def draw(self, knob: str, *what: object) -> float:
        """A number in [0, 1) that is always the same for the same seed, knob and `what`."""
        text = "\x1f".join(map(str, (self.seed, knob, *what)))
        return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest()) / 2**64


NO_FAULTS = Faults()
