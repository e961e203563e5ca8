"""Dashboard of an app as the document that Cloud Monitoring expects: one chart per alarm.

https://cloud.google.com/monitoring/dashboards/api-dashboard
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from peeklock.infra.alarms import Alarm
from peeklock.infra.gcp.alarms import MetricSignal, Signal

COLUMNS, WIDTH, HEIGHT = 48, 12, 16


def document(title: str, rows: Mapping[str, Sequence[Alarm[Signal]]]) -> dict[str, Any]:
    """Return the document. `rows`: alarms by consumer."""
    charts = [(f"{consumer}: {alarm.name}", alarm) for consumer, alarms in rows.items() for alarm in alarms]
    tiles = [_tile(n, title, alarm) for n, (title, alarm) in enumerate(charts)]
    return {"displayName": title, "mosaicLayout": {"columns": COLUMNS, "tiles": tiles}}


def _tile(n: int, title: str, alarm: Alarm[Signal]) -> dict[str, Any]:
    """Return a tile. Coordinates of 0 are left out, as the service leaves them out of its answers."""
    down, across = divmod(n, COLUMNS // WIDTH)
    position = {"xPos": across * WIDTH, "yPos": down * HEIGHT}
    lines = {
        "dataSets": [{"plotType": "LINE", "timeSeriesQuery": _query(alarm.signal)}],
        "thresholds": [{"value": alarm.threshold}],
    }
    widget = {"title": title, "xyChart": lines}
    return {
        **{key: cells for key, cells in position.items() if cells},
        "width": WIDTH,
        "height": HEIGHT,
        "widget": widget,
    }


def _query(signal: Signal) -> dict[str, Any]:
    if not isinstance(signal, MetricSignal):
        return {"prometheusQuery": signal.shown}
    aggregation = {
        "alignmentPeriod": f"{signal.period}s",
        "perSeriesAligner": "ALIGN_MAX",
        "crossSeriesReducer": "REDUCE_SUM",
    }
    return {"timeSeriesFilter": {"filter": signal.filter, "aggregation": aggregation}}
