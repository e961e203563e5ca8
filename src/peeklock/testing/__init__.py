"""Testing of handlers, stores and senders: no server, no environment, no patches.

from peeklock.testing import deliver

def test_gives_up():
    assert deliver(charge, order, attempt=ORDERS.max_attempts).reason == "exhausted"
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from peeklock.sending.memory import Outbox
from peeklock.stores.memory import MemoryStore
from peeklock.testing.clock import FakeClock
from peeklock.testing.deliver import deliver, deliver_all

if TYPE_CHECKING:
    from peeklock.testing.contracts import SenderContract, StoreContract

__all__ = ["FakeClock", "MemoryStore", "Outbox", "SenderContract", "StoreContract", "deliver", "deliver_all"]


def __getattr__(name: str) -> object:
    """Import the contract suites when they are first used, since they need pytest."""
    if name not in ("SenderContract", "StoreContract"):
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from peeklock.testing import contracts

    return getattr(contracts, name)
