"""Helpers that tests of several folders share."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).parent.parent


def on_this_machine(folder: Path) -> dict[str, str]:
    """The variables that infrastructure would set for the example handlers, all of it in a folder."""
    return {
        "PEEKLOCK_STORE": f"sqlite://{folder}/keys.db",
        "PEEKLOCK_ORDERS_URL": f"file://{folder}/orders.jsonl",
        "PEEKLOCK_ORDERS_DEAD_LETTER": f"file://{folder}/dead-letters.jsonl",
        "PEEKLOCK_RECEIPTS_URL": f"file://{folder}/receipts.jsonl",
        "PEEKLOCK_RECEIPTS_DEAD_LETTER": f"file://{folder}/dead-letters.jsonl",
    }


@contextmanager
def environment(**variables: str | None) -> Iterator[None]:
    """The environment with these variables, and as it was afterwards."""
    before = dict(os.environ)
    for name, value in variables.items():
        if value is None:
            os.environ.pop(name, None)
        else:
            os.environ[name] = value
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)
