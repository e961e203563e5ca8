"""pytest plugin that the SDK's own tests are run with: it supplies what they need, and writes down what became of them."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from tests.sdk import supplies
from tests.sdk.verdict import RESULTS, SLOW

supplies.install()


@pytest.fixture(scope="session")
def test_proxy() -> None:
    """Azure's recorder, which there is no need for."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Each of the slow tests comes first in a worker: xdist begins with two tests for each, and the second is a quick one."""
    names = os.environ.get(SLOW, "").split()
    slow = sorted((item for item in items if _function(item) in names), key=lambda item: names.index(_function(item)))
    quick = [item for item in items if item not in slow]
    items[:] = [item for pair in zip(slow, quick, strict=False) for item in pair] + quick[len(slow) :]


def _function(item: pytest.Item) -> str:
    return item.name.partition("[")[0]


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """Record each phase's result in every process; only the first process writes them."""
    if "PYTEST_XDIST_WORKER" in os.environ or (report.when != "call" and report.outcome == "passed"):
        return
    result = {"test": report.nodeid, "outcome": report.outcome, "seconds": round(report.duration, 1)}
    if report.outcome == "failed":
        result["why"] = str(report.longrepr).strip().splitlines()[-1]
    elif hasattr(report, "wasxfail"):
        result["outcome"] = "passed" if report.outcome == "passed" else "xfailed"
    with Path(os.environ[RESULTS]).open("a") as file:
        file.write(json.dumps(result) + "\n")
