"""Dashboard of an app as data: one row per consumer, with its queue, its dead letters and its throughput.

https://learn.microsoft.com/azure/azure-portal/azure-portal-dashboards-structure
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

CHART = "Extension/HubsExtension/PartType/MonitorChartPart"
MARKDOWN = "Extension/HubsExtension/PartType/MarkdownPart"
WIDTH, HEIGHT = 6, 4
"""Size of a chart in cells of the grid."""

MEAN, TOTAL, MOST = 4, 1, 3
"""Numbers in the portal for the aggregations average, total and maximum."""

THROUGHPUT = (("IncomingMessages", TOTAL), ("CompleteMessage", TOTAL), ("ThrottledRequests", TOTAL))


def parts(name: str, namespace: str, consumers: Sequence[tuple[str, str]]) -> list[dict[str, Any]]:
    """Return the tiles as the SDK expects them. `namespace`: its resource id. `consumers`: names of the queue and the dead-letter
    queue of each."""
    tiles = [_tile(0, 0, _markdown(name), height=1, width=3 * WIDTH)]
    for row, (queue, dead_letters) in enumerate(consumers):
        charts = (
            _chart(f"{queue}: messages", namespace, queue, (("ActiveMessages", MEAN), ("ScheduledMessages", MEAN))),
            _chart(f"{queue}: in and out", namespace, queue, THROUGHPUT),
            _chart(f"{queue}: dead letters", namespace, dead_letters, (("ActiveMessages", MOST),)),
        )
        tiles += [_tile(n * WIDTH, 1 + row * HEIGHT, chart) for n, chart in enumerate(charts)]
    return tiles


def _tile(x: int, y: int, metadata: dict[str, Any], *, height: int = HEIGHT, width: int = WIDTH) -> dict[str, Any]:
    return {"position": {"x": x, "y": y, "col_span": width, "row_span": height}, "metadata": metadata}


def _markdown(name: str) -> dict[str, Any]:
    text = "Failures, latency and utilisation are queried from the logs by the alarms; docs/infra-azure.md has the queries."
    return {
        "type": MARKDOWN,
        "inputs": [],
        "settings": {"content": {"settings": {"title": name, "subtitle": "", "content": text}}},
    }


def _chart(title: str, namespace: str, entity: str, metrics: Sequence[tuple[str, int]]) -> dict[str, Any]:
    shown = [
        {
            "resourceMetadata": {"id": namespace},
            "name": metric,
            "aggregationType": kind,
            "namespace": "microsoft.servicebus/namespaces",
        }
        for metric, kind in metrics
    ]
    entities = {"filters": [{"key": "EntityName", "operator": 0, "values": [entity]}]}
    chart = {"title": title, "metrics": shown, "filterCollection": entities, "visualization": {"chartType": 2}}
    return {
        "type": CHART,
        "inputs": [],
        "settings": {"content": {"options": {"chart": chart}}},
    }
