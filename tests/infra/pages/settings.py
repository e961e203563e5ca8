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
    values = "; ".join(f"`{one.name}` {_said(one)}" for one in (ORDERS, RECEIPTS))
    return page("Settings", f"{FIRST}{values}.", [(name, _of_cloud(cloud)) for cloud, name in CLOUDS.items()])


def _said(queue: Queue) -> str:
    return f"with `timeout={queue.timeout.total_seconds():g}`, `max_attempts={queue.max_attempts}`"


def _of_cloud(cloud: str) -> str:
    orders, receipts = (_described(cloud, one) for one in (ORDERS, RECEIPTS))
    names = list(dict.fromkeys([*orders, *receipts]))
    rows = [_row(name, orders.get(name), receipts.get(name)) for name in names]
    return f"{_capacity(cloud)}\n\n{table(('setting', 'orders', 'receipts', 'formula', 'why'), rows)}"


def _capacities(cloud: str) -> dict[str, Any]:
    told = yaml.safe_load((ROOT / "infra" / cloud / "Pulumi.prod.yaml").read_text(encoding="utf-8"))["config"]
    found: dict[str, Any] = told[f"shop-{cloud}:capacity"]
    return found


def _capacity(cloud: str) -> str:
    given = "; ".join(
        f"{name} {', '.join(f'{key} {value}' for key, value in numbers.items())}"
        for name, numbers in _capacities(cloud).items()
    )
    return f"Capacity: {given}."


def _described(cloud: str, queue: Queue) -> dict[str, Row]:
    module = importlib.import_module(f"peeklock.infra.settings.{cloud}")
    numbers = module.compute(queue, Capacity.from_mapping(_capacities(cloud)[queue.name]))
    return {one.name: one for one in module.rows(numbers)}


def _row(name: str, *each: Row | None) -> tuple[str, ...]:
    known = next(one for one in each if one is not None)
    values = ("" if one is None else _value(one.value) for one in each)
    return (link(f"`{name}`", known.source), *values, known.formula, known.why)


def _value(value: Any) -> str:
    return "" if value in (None, "") else str(value) if isinstance(value, int | str) else json.dumps(value)
