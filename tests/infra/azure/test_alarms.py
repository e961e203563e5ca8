"""The alarms: which metric, which statistic, and queries that read the record that is written."""

from __future__ import annotations

import logging
import re
from types import SimpleNamespace

import pytest

from handlers.orders.queue import ORDERS
from peeklock import ConfigError, Message, Queue
from peeklock.infra.azure.alarms import MetricSignal, QuerySignal, alarms, period
from peeklock.infra.options import Capacity, Thresholds
from peeklock.infra.settings.azure import compute
from peeklock.observability.observer import fields, log_event
from peeklock.outcome import FAILED, Disposition, Outcome, Reason


def alarms_of(thresholds=None, *, queue=ORDERS, capacity=None):
    settings = compute(queue, capacity or Capacity(batch=1))
    all_alarms = alarms(
        queue, settings, thresholds or Thresholds(), app="shop-orders", dead_letters="orders-dead-letters"
    )
    return {alarm.name: alarm for alarm in all_alarms}


@pytest.mark.parametrize(
    ("name", "severity", "entity", "metric", "statistic", "threshold", "window", "every"),
    [
        ("length", "high", "orders", "Messages", "Average", 10_000, 300, 60),
        ("size", "high", "orders", "Size", "Maximum", 4 * 1024**3, 300, 60),
        ("dead-letters", "high", "orders-dead-letters", "ActiveMessages", "Maximum", 0, 300, 60),
        ("age", "medium", "orders", "ActiveMessages", "Minimum", 0, 3600, 300),
        ("throttling", "medium", "orders", "ThrottledRequests", "Total", 0, 900, 300),
    ],
)
def test_metrics(name, severity, entity, metric, statistic, threshold, window, every):
    """Each alarm watches one entity of the namespace."""
    alarm = alarms_of()[name]
    assert (alarm.name, alarm.severity, alarm.threshold) == (name, severity, threshold)
    assert alarm.signal == MetricSignal(
        entity=entity,
        metric=metric,
        statistic=statistic,
        window=window,
        every=every,
        threshold=alarm.signal.threshold,
        description=alarm.signal.description,
    )


@pytest.mark.parametrize(
    ("name", "severity", "column", "threshold", "failing", "periods", "window"),
    [
        ("failures", "medium", "failures", 5.0, 2, 3, 300),
        ("outage", "high", "outage", 50.0, 1, 1, 300),
        ("new-dead-letters", "medium", "dead_letters", 0, 1, 1, 300),
        ("latency", "medium", "latency", 60.0, 1, 1, 300),
        ("utilisation", "low", "utilisation", 90.0, 1, 1, 900),
    ],
)
def test_queries(name, severity, column, threshold, failing, periods, window):
    """Each ends in the column that is compared."""
    alarm = alarms_of()[name]
    signal = alarm.signal
    assert isinstance(signal, QuerySignal)
    assert (alarm.severity, signal.column, alarm.threshold) == (severity, column, threshold)
    assert (signal.failing, signal.periods, signal.window) == (failing, periods, window)
    assert f"{column} = " in signal.query


def test_each_period_of_the_failures_has_a_row():
    """Else the periods that an evaluation covers are one, and two of them never fail. (trials 5.9)"""
    signal = alarms_of()["failures"].signal
    assert "by bin(TimeGenerated, 5m)" in signal.query
    assert signal.query.endswith("| project-away settled, failed"), "TimeGenerated stays in each row"


@pytest.mark.parametrize(("age", "window"), [(60, 60), (61, 300), (900, 900), (3601, 21_600), (86_400, 86_400)])
def test_the_window_of_age(age, window):
    """The shortest that an alert offers and that is long enough."""
    assert alarms_of(Thresholds(age=age))["age"].signal.window == window


def test_an_age_that_no_alert_covers():
    """Says the longest."""
    with pytest.raises(ConfigError, match="age=86401, but an alert looks back at most 86400 s; lower age"):
        alarms_of(Thresholds(age=86_401))


@pytest.mark.parametrize(("seconds", "text"), [(60, "PT1M"), (3600, "PT1H"), (86_400, "PT24H")])
def test_periods(seconds, text):
    """A day is written in hours."""
    assert period(seconds) == text


def settled(reason, disposition, queue="orders"):
    message = Message(id="m-1", body=b"", queue=queue, delivery=1, sent_ms=1_700_000_000_000)
    outcome = Outcome(disposition=disposition, reason=reason, attempt=1, detail="queue=other reason=done")
    return SimpleNamespace(message=message, outcome=outcome, key="m-1", duration=0.5)


def line(delivery, caplog) -> str:
    with caplog.at_level(logging.INFO, "peeklock"):
        log_event("peeklock.settled %s", fields("servicebus", delivery), level=logging.INFO)
    return caplog.records[-1].getMessage()


def extracts(query: str) -> dict[str, str]:
    """The query's columns and the patterns that fill them. KQL's RE2 reads these as `re` does."""
    return dict(re.findall(r'(\w+) = (?:todouble\()?extract\(@"([^"]+)", 1, Message\)', query))


@pytest.mark.parametrize("reason", sorted(FAILED))
def test_a_failure_is_read_as_one(reason, caplog):
    """From the text that is really logged, whatever its details say further on."""
    text = line(settled(reason, Disposition.DEAD_LETTER), caplog)
    query = alarms_of()["failures"].signal.query
    assert text.startswith("peeklock.settled ")
    assert re.search(extracts(query)["queue"], text)[1] == "orders"
    assert f'"{re.search(extracts(query)["reason"], text)[1]}"' in query


def test_a_success_is_none(caplog):
    """Nor is a message that comes back without an attempt."""
    query = alarms_of()["failures"].signal.query
    for reason in (Reason.DONE, Reason.BUSY, Reason.HALTED, Reason.DUPLICATE):
        text = line(settled(reason, Disposition.COMPLETE), caplog)
        assert f'"{re.search(extracts(query)["reason"], text)[1]}"' not in query


def test_latency_is_told(caplog):
    """The record has the number that the query reads."""
    text = line(settled(Reason.DONE, Disposition.COMPLETE), caplog)
    assert re.search(extracts(alarms_of()["latency"].signal.query)["latency_ms"], text)


def test_utilisation_is_of_all_slots():
    """Instances times calls; and over a window that has long events in it."""
    query = alarms_of(capacity=Capacity(batch=1, parallel=4, instances=50))["utilisation"].signal.query
    assert "busy_ms / (200 * 900 * 1000.0)" in query
    slow = alarms_of(queue=Queue("orders", timeout=1800), capacity=Capacity(batch=1))["utilisation"]
    assert slow.signal.window == 21_600


def test_thresholds_are_the_stacks():
    """Each where it belongs."""
    by_name = alarms_of(Thresholds(length=7, failures=1, latency=2, utilisation=3, age=900))
    assert {name: alarm.threshold for name, alarm in by_name.items()} == {
        "length": 7,
        "size": 4 * 1024**3,
        "dead-letters": 0,
        "age": 0,
        "failures": 1,
        "latency": 2,
        "utilisation": 3,
        "new-dead-letters": 0,
        "outage": 50,
        "throttling": 0,
    }
