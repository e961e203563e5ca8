"""For all tests: in CI hypothesis draws the same examples each time, so that a failure there can be repeated here."""

from __future__ import annotations

import os
from collections.abc import Generator

import pytest
from hypothesis import settings

settings.register_profile("here", deadline=None)  # a deadline of an example measures how busy the machine is
settings.register_profile("ci", deadline=None, derandomize=True)
settings.load_profile("ci" if os.environ.get("CI") else "here")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Escape halves of surrogate pairs in a report: bodies have them, and xdist cannot send them from process to process."""
    report = yield
    report.sections = [(name, _encodable(text)) for name, text in report.sections]
    if report.longrepr is not None and _encodable(text := str(report.longrepr)) != text:
        report.longrepr = _encodable(text)
    return report


def _encodable(text: str) -> str:
    return text.encode(errors="backslashreplace").decode()
