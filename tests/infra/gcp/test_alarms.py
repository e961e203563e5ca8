"""The alarms: which metric, which threshold, and a log filter that reads the record that is written."""

from __future__ import annotations

import logging
import re
import subprocess
import sys
from types import SimpleNamespace

import pytest

from handlers.orders.queue import ORDERS
from peeklock import Message, Queue
from peeklock.infra.gcp import dashboard
from peeklock.infra.gcp.alarms import (
    FAILED,
    SEVERITIES,
    MetricSignal,
    Names,
    QuerySignal,
    alarms,
    log_filter,
    pattern,
)
from peeklock.infra.options import Capacity, Thresholds
from peeklock.infra.settings.gcp import compute
from peeklock.observability.observer import LogObserver
from peeklock.outcome import Disposition, Outcome, Reason

NAMES = Names(queue="shop-orders-dev", service="shop-orders-dev", subscription="shop-orders-dead-letters-dev")
TASKS = 'monitored_resource="cloud_tasks_queue",queue_id="shop-orders-dev"'
RUN = 'monitored_resource="cloud_run_revision",service_name="shop-orders-dev"'


def alarms_of(thresholds=None, *, queue=ORDERS, capacity=None):
    all_alarms = alarms(queue, compute(queue, capacity or Capacity()), thresholds or Thresholds(), NAMES)
    return {alarm.name: alarm for alarm in all_alarms}


def test_each_is_there_with_its_severity():
    """Each alarm of the table that Google has a signal for."""
    assert {name: alarm.severity for name, alarm in alarms_of().items()} == {
        "length": "high",
        "dead-letters": "high",
        "age": "medium",
        "failures": "medium",
        "latency": "medium",
        "utilisation": "low",
        "answers": "medium",
        "new-dead-letters": "medium",
        "expiring": "high",
        "outage": "high",
        "throttling": "medium",
    }
    assert set(SEVERITIES) == {alarm.severity for alarm in alarms_of().values()}


@pytest.mark.parametrize(
    ("name", "threshold", "filter_"),
    [
        (
            "length",
            10_000,
            (
                'metric.type="cloudtasks.googleapis.com/queue/depth" AND resource.type="cloud_tasks_queue"'
                ' AND resource.labels.queue_id="shop-orders-dev"'
            ),
        ),
        (
            "dead-letters",
            0,
            (
                'metric.type="pubsub.googleapis.com/subscription/num_undelivered_messages"'
                ' AND resource.type="pubsub_subscription" AND resource.labels.subscription_id="shop-orders-dead-letters-dev"'
            ),
        ),
    ],
)
def test_metrics(name, threshold, filter_):
    """Each alarm watches one resource."""
    alarm = alarms_of()[name]
    assert isinstance(alarm.signal, MetricSignal)
    assert (alarm.threshold, alarm.signal.filter, alarm.signal.period) == (threshold, filter_, 60)


@pytest.mark.parametrize(
    ("name", "query", "lasting"),
    [
        (
            "failures",
            (
                f"(100 * sum(increase(logging_googleapis_com:user_peeklock_shop_orders_dev_failed{{{RUN}}}[300s]))"
                f" / sum(increase(cloudtasks_googleapis_com:queue_task_attempt_count{{{TASKS}}}[300s]))) > 5"
                f" and sum(increase(cloudtasks_googleapis_com:queue_task_attempt_count{{{TASKS}}}[300s])) >= 20"
            ),
            300,
        ),
        (
            "utilisation",
            f"(100 * sum(increase(run_googleapis_com:request_latencies_sum{{{RUN}}}[900s])) / 9000000) > 90",
            0,
        ),
        (
            "latency",
            (
                f"((sum(increase(cloudtasks_googleapis_com:queue_task_attempt_delays_sum{{{TASKS}}}[300s]))"
                f" / sum(increase(cloudtasks_googleapis_com:queue_task_attempt_delays_count{{{TASKS}}}[300s]))"
                f" + sum(increase(run_googleapis_com:request_latencies_sum{{{RUN}}}[300s]))"
                f" / sum(increase(run_googleapis_com:request_latencies_count{{{RUN}}}[300s]))) / 1000) > 60"
            ),
            300,
        ),
    ],
)
def test_queries(name, query, lasting):
    """In PromQL; a parser and an evaluation of Prometheus's own have taken these texts (docs/infra-gcp.md)."""
    alarm = alarms_of()[name]
    assert isinstance(alarm.signal, QuerySignal)
    assert (alarm.signal.query(alarm.threshold), alarm.signal.lasting) == (query, lasting)


def test_age_also_tells_of_a_queue_that_stands_still():
    """For as long as a task may wait, and its longest delay."""
    age = alarms_of()["age"]
    query = age.signal.query(age.threshold)
    late, _, still = query.partition(" or ")
    assert late.startswith("(histogram_quantile(0.99, sum by (le)")
    assert late.endswith("/ 1000) > 3600")
    assert "[4500s]) >= 37) > 0 unless" in still
    assert "[82800s]" in alarms_of(queue=Queue("orders", max_delay=2_000_000))["age"].signal.when, (
        "no further than a condition looks"
    )


def test_utilisation_is_of_all_slots():
    """Instances times requests; over a window that has long requests in it."""
    shown = alarms_of(queue=Queue("orders", timeout=500), capacity=Capacity(parallel=4, instances=50))[
        "utilisation"
    ].signal.shown
    assert "[2020s]" in shown
    assert shown.endswith(f"/ {200 * 2020 * 1000}")


def test_thresholds_are_the_stacks():
    """Each where it belongs."""
    by_name = alarms_of(Thresholds(length=7, failures=1, latency=2, utilisation=3, age=900))
    assert {name: alarm.threshold for name, alarm in by_name.items()} == {
        "length": 7,
        "dead-letters": 0,
        "age": 900,
        "failures": 1,
        "answers": 1,
        "latency": 2,
        "utilisation": 3,
        "new-dead-letters": 0,
        "expiring": 30 * 86_400,
        "outage": 50,
        "throttling": 0,
    }


def settled(reason, disposition, message_id="m-1"):
    message = Message(id=message_id, body=b"", queue="orders", delivery=1, sent_ms=1_700_000_000_000)
    outcome = Outcome(disposition=disposition, reason=reason, attempt=1, detail="disposition=x reason=fatal delivery=")
    return SimpleNamespace(message=message, outcome=outcome, key="m-1", duration=0.5)


def line(caplog, *delivery_args) -> str:
    """The text that is really logged."""
    with caplog.at_level(logging.INFO, "peeklock"):
        LogObserver().settled("cloudtasks", [settled(*delivery_args)])
    return caplog.records[-1].getMessage()


SHOULD = [(reason, reason in FAILED) for reason in Reason]


@pytest.mark.parametrize(("reason", "counts"), SHOULD)
def test_failures_are_counted_and_nothing_else(reason, counts, caplog):
    """Whatever the details of the outcome say further on."""
    text = line(caplog, reason, Disposition.DEAD_LETTER)
    match = re.search(pattern(ORDERS), text)
    assert bool(match) is counts


def test_another_queues_are_not_counted(caplog):
    """Nor one whose name begins alike."""
    text = line(caplog, Reason.FATAL, Disposition.DEAD_LETTER)
    assert re.search(pattern(Queue("orders")), text)
    assert not re.search(pattern(Queue("order")), text)
    assert not re.search(pattern(Queue("orders-eu")), text)


def test_the_pattern_needs_no_escape():
    """The query language reads a string before RE2 does."""
    for filter_text in (pattern(ORDERS), log_filter(ORDERS, "shop-orders-dev")):
        assert "\\" not in filter_text
    assert log_filter(ORDERS, "s").count('"') == 8
    assert log_filter(ORDERS, "s").startswith('resource.type="cloud_run_revision" AND resource.labels.service_name="s"')


WORKER = """
import functions_framework, sys
app = functions_framework.create_app("failing", sys.argv[1])
print(app.test_client().post("/", data=b"{}", headers={"X-CloudTasks-TaskName": "t-1"}).status_code)
"""
MAIN = """
from peeklock import Queue, cloudtasks, consumer

@consumer(Queue("orders"))
def fail(body: dict) -> None:
    raise ValueError("no")

failing = cloudtasks.bind(fail, dead_letter="memory://dead-letters", unauthenticated=True)
"""


def test_failures_are_written_where_the_platform_reads(tmp_path):
    """The real framework writes them to stderr, with no logging set up."""
    (tmp_path / "main.py").write_text(MAIN)
    run = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", WORKER, str(tmp_path / "main.py")],
        capture_output=True,
        text=True,
        check=True,
    )
    assert run.stdout.strip() == "500"
    assert len([text for text in run.stderr.splitlines() if re.search(pattern(ORDERS), text)]) == 1


def test_the_dashboard_draws_what_rings():
    """A tile an alarm, within the grid, none on another; zeros are left out."""
    rows = {"orders": tuple(alarms_of().values()), "receipts": tuple(alarms_of().values())}
    document = dashboard.document("shop (dev)", rows)
    tiles = document["mosaicLayout"]["tiles"]
    places = [(tile.get("xPos", 0), tile.get("yPos", 0)) for tile in tiles]
    assert len(tiles) == len(set(places)) == 22
    assert all(x + tile["width"] <= 48 for (x, _), tile in zip(places, tiles, strict=True))
    assert not [tile for tile in tiles if 0 in (tile.get("xPos"), tile.get("yPos"))]
    (failures,) = (n for n, alarm in enumerate(rows["orders"]) if alarm.name == "failures")
    (drawn,) = tiles[failures]["widget"]["xyChart"]["dataSets"]
    assert drawn["timeSeriesQuery"] == {"prometheusQuery": alarms_of()["failures"].signal.shown}
