"""How long a claim's lease lasts on each platform: until the platform has ended the event, and the clocks' skew."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import azure.functions as func
import pytest

from peeklock import Queue, cloudtasks, consumer, pubsub, servicebus, sqs
from peeklock.idempotency.record import Record, State
from peeklock.platforms.http_push import endpoint as push
from peeklock.platforms.servicebus.sample_events import load
from peeklock.stores.memory import MemoryStore
from peeklock.testing import FakeClock, Outbox
from tests.support import ROOT, environment

QUEUE = Queue("orders", timeout=30)
START = datetime(2026, 1, 1, tzinfo=UTC)
SKEW = timedelta(seconds=5)
UNKNOWN = timedelta(seconds=30 * 2 + 1)
"""Where nobody says how long an event may take: two time-outs and the reserve."""


@consumer(QUEUE)
def charge(payload: dict) -> None: ...


class Claims(MemoryStore):
    """Remembers the claims."""

    def __init__(self) -> None:
        super().__init__()
        self.leases: list[timedelta] = []

    def swap(self, changes: Any, /) -> Any:
        for change in changes:
            record: Record = change.record
            if record.state is State.RUNNING:
                self.leases.append(record.lease_until - START)
        return super().swap(changes)


class Context:
    """Lambda's, with a minute and a half left."""

    def get_remaining_time_in_millis(self) -> int:
        return 90_000


def sample(name: str) -> Any:
    return json.loads((ROOT / "events" / f"{name}.json").read_text())


class Flask:
    """A request of functions-framework, as far as it is read."""

    def __init__(self, request: push.Request) -> None:
        self.headers, self.body, self.method = request.headers, request.body, request.method

    def get_data(self) -> bytes:
        return self.body


def on_sqs(context: Any, **world: Any) -> None:
    sqs.bind(charge, **world)(sample("sqs/single"), context)


def on_servicebus(name: str, *, batch: bool, **world: Any) -> None:
    app = func.FunctionApp()
    entry = servicebus.bind(charge, app=app, batch=batch, hold=0, **world)
    entry(messages=load(sample(f"servicebus/{name}")).argument)


def on_cloudtasks(**world: Any) -> None:
    entry = cloudtasks.bind(charge, unauthenticated=True, **world)
    assert entry(Flask(push.sample(sample("cloudtasks/single"))))[1] == 204


def on_pubsub(**world: Any) -> None:
    entry = pubsub.bind(charge, unauthenticated=True, **world)
    assert entry(Flask(push.sample(sample("pubsub/single"))))[1] == 204


CASES = {
    "sqs, by the context": (lambda **world: on_sqs(Context(), **world), timedelta(seconds=90)),
    "sqs, without a context": (lambda **world: on_sqs(None, **world), UNKNOWN),
    "servicebus, alone": (lambda **world: on_servicebus("single", batch=False, **world), UNKNOWN),
    "servicebus, in a batch": (
        lambda **world: on_servicebus("batch", batch=True, **world),
        timedelta(minutes=1),
    ),
    "cloudtasks, the dispatch deadline": (on_cloudtasks, timedelta(minutes=10)),
    "pubsub": (on_pubsub, UNKNOWN),
}


def leases(run: Any, lock: str | None) -> set[timedelta]:
    store = Claims()
    world = {"store": store, "dead_letter": Outbox(), "clock": FakeClock()}
    with environment(PEEKLOCK_ORDERS_LOCK=lock, PEEKLOCK_ORDERS_URL="memory://leases"):
        run(**world)
    return set(store.leases)


@pytest.mark.parametrize("name", CASES)
def test_the_lease_lasts_as_long_as_the_event_may(name):
    """In seconds, with the skew. (trials 6)"""
    run, limit = CASES[name]
    _is_about(leases(run, None), limit)


@pytest.mark.parametrize("name", CASES)
def test_the_lock_of_the_environment_is_the_lease(name):
    """The infrastructure knows the queue's lock; where the platform says less, that. (trials 6)"""
    run, limit = CASES[name]
    lock = timedelta(seconds=200)
    expected = min(limit, lock) if "context" in name and "without" not in name else lock
    _is_about(leases(run, "200"), expected)


def _is_about(seen: set[timedelta], limit: timedelta) -> None:
    """The limit and the skew, less what the check of a request has taken."""
    (lease,) = seen
    assert limit + SKEW - timedelta(seconds=2) < lease <= limit + SKEW
