"""Dashboard of an app as the document that CloudWatch expects: one row per consumer.

https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/CloudWatch-Dashboard-Body-Structure.html
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from peeklock.infra.alarms import Alarm
from peeklock.infra.aws.alarms import Metric, Signal

WIDTH, HEIGHT = 4, 6
"""Size of a chart. A row has 24 columns."""

CHARTS = (
    ("messages and dead letters", ("length", "dead-letters", "new-dead-letters")),
    ("oldest message", ("age", "expiring")),
    ("settlements", ("failures", "outage")),
    ("latency", ("latency",)),
    ("instances", ("utilisation",)),
    ("errors", ("errors", "throttling", "idle")),
)


def body(region: str, rows: Mapping[str, Sequence[Alarm[Signal]]]) -> dict[str, Any]:
    """Return the document. It draws the alarms' metrics. `rows`: alarms by consumer."""
    return {
        "widgets": [
            _chart(region, f"{consumer}: {title}", [alarm for alarm in alarms if alarm.name in names], n, row)
            for row, (consumer, alarms) in enumerate(rows.items())
            for n, (title, names) in enumerate(CHARTS)
        ]
    }


def _chart(region: str, title: str, alarms: Sequence[Alarm[Signal]], n: int, row: int) -> dict[str, Any]:
    metrics = dict.fromkeys(_line(metric) for alarm in alarms for metric in alarm.signal.metrics)
    return {
        "type": "metric",
        "x": n * WIDTH,
        "y": row * HEIGHT,
        "width": WIDTH,
        "height": HEIGHT,
        "properties": {
            "title": title,
            "region": region,
            "view": "timeSeries",
            "metrics": [[*names, {"stat": statistic, "period": period}] for *names, statistic, period in metrics],
        },
    }


def _line(metric: Metric) -> tuple[Any, ...]:
    dimensions = [text for dimension in metric.dimensions.items() for text in dimension]
    return (metric.namespace, metric.name, *dimensions, metric.statistic, metric.period)
