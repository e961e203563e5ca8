"""docs/settings.md: each setting of each cloud, from what the components themselves are given."""

from __future__ import annotations

import importlib
import json
from typing import Any

import yaml

from handlers.orders.queue import ORDERS, RECEIPTS
from peeklock import Queue
from peeklock.infra.options import Capacity
from peeklock.infra.settings.table import Row
from tests.infra.pages.text import link, page, table
from tests.support import ROOT

CLOUDS = {"aws": "AWS", "azure": "Azure", "gcp": "Google Cloud"}

FIRST = """\
Every number follows from the `Queue` and a few numbers of the stack (`capacity`), and is computed in one place,
`peeklock.infra.settings`; the components and this page take it from there. The values are those of the examples in the stack
`prod`: """


def settings() -> str:
    values = "; ".join(f"`{queue.name}` {_said(queue)}" for queue in (ORDERS, RECEIPTS))
    return page("Settings", f"{FIRST}{values}.", [(name, _of_cloud(cloud)) for cloud, name in CLOUDS.items()])


def _said(queue: Queue) -> str:
    return f"with `timeout={queue.timeout.total_seconds():g}`, `max_attempts={queue.max_attempts}`"


def _of_cloud(cloud: str) -> str:
    orders, receipts = (_described(cloud, queue) for queue in (ORDERS, RECEIPTS))
    names = list(dict.fromkeys([*orders, *receipts]))
    rows = [_row(name, orders.get(name), receipts.get(name)) for name in names]
    return f"{_capacity(cloud)}\n\n{table(('setting', 'orders', 'receipts', 'formula', 'why'), rows)}"


def _capacities(cloud: str) -> dict[str, Any]:
    config = yaml.safe_load((ROOT / "infra" / cloud / "Pulumi.prod.yaml").read_text(encoding="utf-8"))["config"]
    capacities: dict[str, Any] = config[f"shop-{cloud}:capacity"]
    return capacities


def _capacity(cloud: str) -> str:
    fields = "; ".join(
        f"{name} {', '.join(f'{key} {value}' for key, value in numbers.items())}"
        for name, numbers in _capacities(cloud).items()
    )
    return f"Capacity: {fields}."


def _described(cloud: str, queue: Queue) -> dict[str, Row]:
    module = importlib.import_module(f"peeklock.infra.settings.{cloud}")
    numbers = module.compute(queue, Capacity.from_mapping(_capacities(cloud)[queue.name]))
    return {row.name: row for row in module.rows(numbers)}


def _row(name: str, *each: Row | None) -> tuple[str, ...]:
    first = next(setting for setting in each if setting is not None)
    values = ("" if setting is None else _value(setting.value) for setting in each)
    return (link(f"`{name}`", first.source), *values, first.formula, first.why)


def _value(value: Any) -> str:
    return "" if value in (None, "") else str(value) if isinstance(value, int | str) else json.dumps(value)
