"""The example app: as the host finds it, and with settings that agree with the queues' contracts."""

from __future__ import annotations

import json
import re
import tomllib
from datetime import timedelta
from types import SimpleNamespace
from typing import Any

import pytest

from handlers.orders.queue import ORDERS, RECEIPTS
from peeklock.engine.bound_consumer import RESERVE
from peeklock.platforms.servicebus.bind import DEFAULT_HOLD
from peeklock.platforms.servicebus.endpoint import DEFAULT_LOCK
from tests.platforms.azure_worker import Worker
from tests.support import ROOT, environment, on_this_machine

APP = ROOT / "handlers/azure_servicebus"
HOST = json.loads((APP / "host.json").read_text())
SERVICE_BUS = HOST["extensions"]["serviceBus"]


def span(text: str) -> timedelta:
    """A .NET TimeSpan."""
    hours, minutes, seconds = map(int, text.split(":"))
    return timedelta(hours=hours, minutes=minutes, seconds=seconds)


@pytest.fixture(scope="module")
def worker():
    """The real worker, with the app indexed."""
    return Worker(path=APP / "function_app.py")


def test_what_the_host_is_told_to_listen_to(worker):
    """Both queues by the names they are declared with, and bodies as bytes."""
    bindings = {name: json.loads(texts[0]) for name, texts in worker.bindings.items()}
    assert {name: binding["queueName"] for name, binding in bindings.items()} == {
        "charge": "orders",
        "write_receipts": "receipts",
    }
    assert {binding["type"] for binding in bindings.values()} == {"serviceBusTrigger"}
    assert {binding["connection"] for binding in bindings.values()} == {"PEEKLOCK_SERVICEBUS"}
    assert {binding["dataType"] for binding in bindings.values()} == {"BINARY"}
    assert bindings["write_receipts"]["cardinality"] == "MANY"


@pytest.mark.parametrize("queue", [ORDERS, RECEIPTS])
def test_the_host_leaves_the_time_that_the_contract_promises(queue):
    """The time-out, recording it, and holding what comes back."""
    needed = queue.timeout + RESERVE + timedelta(seconds=DEFAULT_HOLD)
    assert span(HOST["functionTimeout"]) >= needed
    assert span(SERVICE_BUS["maxAutoLockRenewalDuration"]) >= needed
    assert queue.timeout + RESERVE <= DEFAULT_LOCK, "a batch's lock is not renewed"


def test_nothing_waits_under_a_lock():
    """Prefetched messages would wait under their locks, and the host runs as many at once as the contract allows."""
    assert SERVICE_BUS["prefetchCount"] == 0
    assert SERVICE_BUS["autoCompleteMessages"] is True
    assert SERVICE_BUS["maxConcurrentCalls"] == 1


def test_the_app_is_as_short_as_it_is_said_to_be():
    """25 lines, and requirements that exist."""
    assert len((APP / "function_app.py").read_text().splitlines()) <= 25
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    named = re.fullmatch(r"peeklock\[([a-z,]+)\]", (APP / "requirements.txt").read_text().strip())
    assert named is not None
    assert set(named.group(1).split(",")) <= set(extras)


def order(name: str, card: str) -> tuple[tuple[Any, str], dict[str, tuple[Any, str]]]:
    """Return an order as the host passes it."""
    body = json.dumps({"order_id": name, "customer": "c", "cents": 500, "card": card}).encode()
    columns = {"UserProperties": "{}", "ApplicationProperties": "{}", "DeliveryCount": "1", "SequenceNumber": "7"}
    metadata = {key: (text, "json") for key, text in columns.items()}
    return (body, "bytes"), {"MessageId": (f"message-{name}", "string"), **metadata}


def test_an_order_becomes_a_receipt_and_a_declined_one_a_dead_letter(worker, tmp_path):
    """Through both functions, with the environment that the infrastructure sets."""
    files = {name: tmp_path / f"{name}.jsonl" for name in ("orders", "receipts", "dead-letters")}
    with environment(**on_this_machine(tmp_path)):
        assert worker.invoke("charge", *order("o-1", "tok_declined")) == (True, "")
        assert worker.invoke("charge", *order("o-2", "tok_ok")) == (True, "")
        (receipt,) = [json.loads(line) for line in files["receipts"].read_text().splitlines()]
        for body in (receipt["body"].encode(), b""):
            many = (SimpleNamespace(bytes=[body]), "collection_bytes")
            metadata = {
                "UserPropertiesArray": ("[{}]", "json"),
                "ApplicationPropertiesArray": ("[{}]", "json"),
                "SequenceNumberArray": (SimpleNamespace(sint64=[len(body)]), "collection_sint64"),
            }
            assert worker.invoke("write_receipts", many, metadata) == (True, "")
    dead_letters = [json.loads(line) for line in files["dead-letters"].read_text().splitlines()]
    assert [dead_letter["attributes"]["peeklock-reason"] for dead_letter in dead_letters] == ["fatal", "invalid"]
    assert not files["orders"].exists()
