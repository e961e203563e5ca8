"""Each run of a handler has its own copy of the context variables."""

from __future__ import annotations

from contextvars import ContextVar, copy_context
from typing import Any

import pytest

from peeklock import Batch, Queue, consumer
from peeklock.engine import run as engine
from peeklock.engine.bound_consumer import BoundConsumer
from peeklock.sending.send import routed, send
from peeklock.testing import Outbox
from tests.core.world import bound_for, message

ORDERS = Queue("orders")

TENANT: ContextVar[str] = ContextVar("tenant", default="nobody")

WAYS = ("inline", "threads", "async", "batch")


def bound_by(way: str, act: Any, **world: Any) -> BoundConsumer:
    @consumer(ORDERS)
    def handler(payload: dict) -> None:
        act()

    @consumer(ORDERS)
    async def coroutine(payload: dict) -> None:
        act()

    @consumer(ORDERS)
    def batch(rows: Batch[dict]) -> None:
        act()

    declared: Any = {"async": coroutine, "batch": batch}.get(way, handler)
    return bound_for(declared, parallel=1 + (way == "threads"), **world)


@pytest.mark.parametrize("way", WAYS)
def test_nothing_leaks_to_the_next_message_or_the_next_event(way):
    """Nor to the host (trials 1.18)."""
    seen: list[str] = []

    def act() -> None:
        seen.append(TENANT.get())
        TENANT.set("leaked")

    bound = bound_by(way, act)
    before = dict(copy_context())
    for _ in range(2):
        engine.run(bound, [message({}, id=n) for n in "abc"])
    assert set(seen) == {"nobody"}
    assert dict(copy_context()) == before


@pytest.mark.parametrize("way", WAYS)
def test_what_the_host_set_reaches_the_handler(way):
    """And its span, which may set more (trials 1.18)."""
    seen: list[str] = []
    token = TENANT.set("host")
    engine.run(bound_by(way, lambda: seen.append(TENANT.get())), [message({})])
    TENANT.reset(token)
    assert seen == ["host"]


class Tracing:
    """An observer whose span is a context variable, as OpenTelemetry's is."""

    def running(self, _: Any, /) -> Any:
        return self

    def __enter__(self) -> None:
        self.token = TENANT.set("span")

    def __exit__(self, *_: object) -> None:
        TENANT.reset(self.token)

    def settled(self, _: str, __: Any, /) -> None:
        self.after = TENANT.get()


@pytest.mark.parametrize("way", WAYS)
def test_a_span_is_seen_by_its_handler_and_by_nobody_after(way, caplog):
    """(trials 1.18)"""
    seen: list[str] = []
    observer = Tracing()
    engine.run(bound_by(way, lambda: seen.append(TENANT.get()), observer=observer), [message({})])
    assert (seen, observer.after) == (["span"], "nobody")
    assert "observer_failed" not in caplog.text


@pytest.mark.parametrize("way", WAYS)
def test_a_routed_send_is_routed_in_the_handler(way):
    """(trials 1.18)"""
    outbox = Outbox()
    with routed(lambda _: outbox):
        engine.run(bound_by(way, lambda: send(ORDERS, {"n": 1})), [message({})])
    assert len(outbox.outgoing_messages) == 1
