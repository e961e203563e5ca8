"""The dashboard of an app, as the document that Cloud Monitoring takes: a row a consumer. What is drawn is what rings.

https://cloud.google.com/monitoring/dashboards/api-dashboard
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from peeklock.infra.gcp.alarms import Alarm, MetricAlarm

COLUMNS, WIDTH, HEIGHT = 48, 12, 16


def document(title: str, rows: Mapping[str, Sequence[Alarm]]) -> dict[str, Any]:
    """`rows`: each consumer's alarms."""
    charts = [(f"{consumer}: {one.name}", one) for consumer, alarms in rows.items() for one in alarms]
    tiles = [_tile(n, name, one) for n, (name, one) in enumerate(charts)]
    return {"displayName": title, "mosaicLayout": {"columns": COLUMNS, "tiles": tiles}}


def _tile(n: int, title: str, alarm: Alarm) -> dict[str, Any]:
    """Coordinates of 0 are left out, as the service leaves them out of what it returns."""
    down, across = divmod(n, COLUMNS // WIDTH)
    at = {"xPos": across * WIDTH, "yPos": down * HEIGHT}
    lines = {
        "dataSets": [{"plotType": "LINE", "timeSeriesQuery": _query(alarm)}],
        "thresholds": [{"value": alarm.threshold}],
    }
    widget = {"title": title, "xyChart": lines}
    return {**{key: one for key, one in at.items() if one}, "width": WIDTH, "height": HEIGHT, "widget": widget}


def _query(alarm: Alarm) -> dict[str, Any]:
    if not isinstance(alarm, MetricAlarm):
        return {"prometheusQuery": alarm.shown}
    aggregation = {
        "alignmentPeriod": f"{alarm.period}s",
        "perSeriesAligner": "ALIGN_MAX",
        "crossSeriesReducer": "REDUCE_SUM",
    }
    return {"timeSeriesFilter": {"filter": alarm.filter, "aggregation": aggregation}}
