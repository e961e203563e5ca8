"""The dashboard of an app, as the document that CloudWatch takes: a row a consumer.

https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/CloudWatch-Dashboard-Body-Structure.html
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from peeklock.infra.aws.alarms import Alarm, Metric

WIDTH, HEIGHT = 4, 6
"""A row has 24 columns."""

CHARTS = (
    ("messages and dead letters", ("length", "dead-letters")),
    ("oldest message", ("age",)),
    ("settlements", ("failures",)),
    ("latency", ("latency",)),
    ("instances", ("utilisation",)),
    ("errors", ("errors",)),
)


def body(region: str, rows: Mapping[str, Sequence[Alarm]]) -> dict[str, Any]:
    """`rows`: each consumer's alarms. What is drawn is what rings."""
    return {
        "widgets": [
            _chart(region, f"{consumer}: {title}", [one for one in alarms if one.name in names], n, row)
            for row, (consumer, alarms) in enumerate(rows.items())
            for n, (title, names) in enumerate(CHARTS)
        ]
    }


def _chart(region: str, title: str, alarms: Sequence[Alarm], n: int, row: int) -> dict[str, Any]:
    metrics = dict.fromkeys(_line(metric) for one in alarms for metric in one.metrics)
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
    where = [text for pair in metric.dimensions.items() for text in pair]
    return (metric.namespace, metric.name, *where, metric.statistic, metric.period)
