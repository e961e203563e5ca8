"""Limits of platforms, and the edges of a lock."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from peeklock import ConfigError, Queue, consumer
from peeklock.binding.bind import Binding
from peeklock.engine.bound_consumer import Delays
from peeklock.testing import Outbox
from tests.support import environment


def bound(queue: Queue, **options: Any) -> Binding:
    @consumer(queue)
    def handler(payload: dict) -> None: ...

    return Binding(handler, "test", delays=Delays.NONE, longest=timedelta(seconds=60), options=options)  # type: ignore[arg-type] # built from keywords


def test_a_timeout_that_the_platform_cannot_hold():
    """Names the most that it can, the second for settling taken off."""
    assert bound(Queue("orders", timeout=59)).queue.timeout == timedelta(seconds=59)
    with pytest.raises(ConfigError, match="does not fit test, which ends an event after 60 s; use at most timeout=59"):
        bound(Queue("orders", timeout=59.5))


@pytest.mark.parametrize("parallel", [0, -1, True, 1.5, "2", None])
def test_handlers_at_once_are_a_number(parallel):
    """From one."""
    with pytest.raises(ConfigError, match="give the number of handlers"):
        bound(Queue("orders"), parallel=parallel)


def test_handlers_at_once_by_the_environment():
    """Infrastructure computed a time-out for this number, so another one is refused, before any message is touched."""
    dead_letters = {"dead_letter": Outbox()}
    with environment(PEEKLOCK_ORDERS_PARALLEL=None):
        assert bound(Queue("orders"), **dead_letters).bound().parallel == 1
        assert bound(Queue("orders"), parallel=3, **dead_letters).bound().parallel == 3
    with environment(PEEKLOCK_ORDERS_PARALLEL="4"):
        assert bound(Queue("orders"), **dead_letters).bound().parallel == 4
        assert bound(Queue("orders"), parallel=4, **dead_letters).bound().parallel == 4
        with pytest.raises(
            ConfigError, match=r"bind\(parallel=3\) contradicts PEEKLOCK_ORDERS_PARALLEL=4, .*; leave parallel= out"
        ):
            bound(Queue("orders"), parallel=3, **dead_letters).bound()
    for wrong in ("0", "-1", "four", "", "1.5"):
        with (
            environment(PEEKLOCK_ORDERS_PARALLEL=wrong),
            pytest.raises(ConfigError, match="PARALLEL must be the number"),
        ):
            bound(Queue("orders"), **dead_letters).bound()


@pytest.mark.parametrize("lock", ["nan", "inf", "-1", "", "1e20"])
def test_a_lock_that_is_no_duration(lock):
    """Is refused, with its variable's name."""
    with environment(PEEKLOCK_ORDERS_LOCK=lock), pytest.raises(ConfigError, match="PEEKLOCK_ORDERS_LOCK is not"):
        bound(Queue("orders")).lock()


def test_a_lock_of_ones_own_may_be_short():
    """For a rehearsal; and it wins over the environment."""
    with environment(PEEKLOCK_ORDERS_LOCK="300"):
        assert bound(Queue("orders"), lock=5).lock() == timedelta(seconds=5)
        assert bound(Queue("orders")).lock(timedelta(seconds=40)) == timedelta(seconds=300)
    with environment(PEEKLOCK_ORDERS_LOCK=None):
        assert bound(Queue("orders")).lock(timedelta(seconds=40)) == timedelta(seconds=40)
        assert bound(Queue("orders")).lock() is None
