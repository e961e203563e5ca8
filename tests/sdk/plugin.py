"""pytest plugin that the SDK's own tests are run with: it supplies what they need, and writes down what became of them."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from tests.sdk import supplies
from tests.sdk.order import slow_first
from tests.sdk.verdict import RESULTS, SLOW

supplies.install()


@pytest.fixture(scope="session")
def test_proxy() -> None:
    """Azure's recorder, which there is no need for."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items[:] = slow_first(items, os.environ.get(SLOW, "").split())


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
