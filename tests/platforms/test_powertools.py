"""aws-lambda-powertools as an observer, the real one, and the example entry."""

from __future__ import annotations

import io
import json
import sys
import time
from typing import Any

import pytest
from aws_lambda_powertools import Logger, Metrics

from peeklock import Queue, Retry, StoreError, consumer, sqs
from peeklock.engine import effects
from peeklock.idempotency.store import WON, Answer
from peeklock.message import Message
from peeklock.observability.powertools import PowertoolsObserver
from peeklock.stores.memory import MemoryStore
from peeklock.testing import Outbox
from tests.platforms.test_sqs import record
from tests.support import ROOT, environment, on_this_machine


@consumer(Queue("orders"))
def handler(payload: dict) -> None:
    if payload.get("wait"):
        raise Retry(counts=False)
    if payload.get("fail"):
        raise ValueError


def test_one_record_a_message_and_one_set_of_metrics_an_event(capsys):
    """Structured, with the fields of the settlement; counted, with the time since each was sent."""
    output = io.StringIO()
    observer = PowertoolsObserver(
        logger=Logger(service="orders", stream=output), metrics=Metrics(namespace="Orders", service="orders")
    )
    sent = {"attributes": {"ApproximateReceiveCount": "1", "SentTimestamp": str(int(time.time() * 1000) - 5000)}}
    records = [
        record("{}", messageId="a", **sent),
        record('{"fail":1}', messageId="b", **sent),
        record("{", messageId="c"),
        record("{}", messageId="d", **sent),
        record('{"wait":1}', messageId="e", **sent),
    ]
    sqs.run_sample(handler, {"Records": records}, store=MemoryStore(), dead_letter=Outbox(), observer=observer)
    lines = [json.loads(line) for line in output.getvalue().splitlines()]
    assert [(line["message"], line["message_id"], line["reason"], line["level"]) for line in lines] == [
        ("peeklock.settled", "a", "done", "INFO"),
        ("peeklock.settled", "b", "retry", "WARNING"),
        ("peeklock.settled", "c", "invalid", "ERROR"),
        ("peeklock.settled", "d", "done", "INFO"),
        ("peeklock.settled", "e", "rescheduled", "INFO"),
    ]
    assert ["exception" in line for line in lines] == [False, True, False, False, False]
    assert ["latency_ms" in line for line in lines] == [True, True, False, True, True]
    (line,) = capsys.readouterr().out.splitlines()
    metrics = json.loads(line)
    assert (metrics["Settled"], metrics["Failed"], metrics["queue"], metrics["platform"]) == (
        [4.0],
        [2.0],
        "orders",
        "sqs",
    )
    assert len(metrics["DurationMs"]) == 4
    assert all(5000 <= latency < 60_000 for latency in metrics["LatencyMs"])
    assert len(metrics["LatencyMs"]) == 2, "of the finished ones: what comes back is not there yet"


class Refusing:
    """A store that answers no change from a number of them on."""

    def __init__(self, after: int) -> None:
        self.after = after

    def swap(self, changes: Any, /) -> Any:
        self.after -= len(changes)
        return [WON if self.after >= 0 else Answer(won=False, error=StoreError("down"))] * len(changes)


@pytest.mark.parametrize(("after", "failed", "unrecorded"), [(0, 1.0, None), (1, 0.0, [1.0])])
def test_a_store_that_is_down_is_in_the_metrics(capsys, monkeypatch, after, failed, unrecorded):
    """Before the handler as a failure, although it is no attempt; after it as `Unrecorded`."""
    monkeypatch.setattr(effects, "PAUSES", ())

    @consumer(Queue("orders"))
    def runs(payload: dict) -> None: ...

    observer = PowertoolsObserver(metrics=Metrics(namespace="shop", service="charge"))
    events = {"Records": [record("{}", messageId="a")]}
    sqs.run_sample(runs, events, store=Refusing(after), dead_letter=Outbox(), observer=observer)
    (metrics,) = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert (metrics["Settled"], metrics["Failed"], metrics.get("Unrecorded")) == ([1.0], [failed], unrecorded)


def test_its_metrics_are_apart_from_the_handlers(capsys):
    """`Metrics` is one for the whole process: what the handler measures has neither its dimensions nor its end."""
    metrics = Metrics(namespace="Orders", service="orders")
    metrics.set_default_dimensions(stage="test")
    try:
        metrics.add_metric("Charged", "Count", 1)
        observer = PowertoolsObserver(metrics=metrics)
        sqs.run_sample(
            handler, {"Records": [record("{}")]}, store=MemoryStore(), dead_letter=Outbox(), observer=observer
        )
        metrics.flush_metrics()
    finally:
        metrics.clear_default_dimensions()
        metrics.clear_metrics()
    own, users = (json.loads(line) for line in capsys.readouterr().out.splitlines())
    assert (own["queue"], own["platform"], own["stage"], own["service"]) == ("orders", "sqs", "test", "orders")
    assert "Charged" not in own
    assert users["Charged"] == [1.0]
    assert users["stage"] == "test"
    assert not {"queue", "platform", "Settled"} & users.keys()


class Provider:
    """Remembers the subsegments that it is asked for."""

    def __init__(self) -> None:
        self.names: list[str] = []

    def in_subsegment(self, name: str) -> Provider:
        self.names.append(name)
        return self

    def __enter__(self) -> None:
        return None

    def __exit__(self, *_: object) -> None:
        return None


class Tracing:
    """A tracer with its provider."""

    def __init__(self) -> None:
        self.provider = Provider()


def test_a_subsegment_around_each_run():
    """And none without a tracer."""
    tracer = Tracing()
    observer = PowertoolsObserver(tracer=tracer)  # type: ignore[arg-type] # a double of the part that is used
    sqs.run_sample(handler, {"Records": [record("{}")]}, store=MemoryStore(), dead_letter=Outbox(), observer=observer)
    assert tracer.provider.names == ["## orders"]
    assert PowertoolsObserver().running(Message(id="x", body=b"", queue="orders")) is None


def test_the_example_entry_runs_as_lambda_would_run_it(tmp_path, capsys):
    """Imported by its path, with the environment that the infrastructure sets."""
    event = json.loads((ROOT / "events/sqs/single.json").read_text())
    with environment(POWERTOOLS_TRACE_DISABLED="true", **on_this_machine(tmp_path)):
        from handlers.aws_sqs.handler import handler as entry

        assert entry(event, None) == {"batchItemFailures": []}
        assert entry(event, None) == {"batchItemFailures": []}
    assert "receipt-o-1" in (tmp_path / "receipts.jsonl").read_text()
    assert len((tmp_path / "receipts.jsonl").read_text().splitlines()) == 1
    assert [json.loads(line)["Settled"] for line in capsys.readouterr().out.splitlines() if '"_aws"' in line] == [
        [1.0],
        [1.0],
    ]
    assert "handlers.aws_sqs.handler" in sys.modules
