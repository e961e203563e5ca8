"""Testing a handler: no server, no environment, no patches.

from peeklock.testing import deliver

def test_gives_up():
    assert deliver(charge, order, attempt=ORDERS.max_attempts).reason == "exhausted"
"""

from __future__ import annotations

from peeklock.sending.memory import Outbox
from peeklock.stores.memory import MemoryStore
from peeklock.testing.clock import FakeClock
from peeklock.testing.deliver import deliver, deliver_all

__all__ = ["FakeClock", "MemoryStore", "Outbox", "deliver", "deliver_all"]
