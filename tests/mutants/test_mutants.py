"""Every planted fault is noticed by the test that its entry names, and by an assertion: a hang is no answer."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.mutants.client import Server, server
from tests.mutants.planting import Fault
from tests.mutants.table import FAULTS

SECONDS = 40.0
"""Until a test that says nothing is taken for one that hangs, on a busy machine."""

FILES = sorted({test.partition("::")[0] for fault in FAULTS for test in fault.tests})

FAILED = 1
"""Pytest's status when tests ran and failed; 2 and more: they could not even be run.
https://docs.pytest.org/en/stable/reference/exit-codes.html"""


@pytest.fixture(scope="session")
def forks() -> Iterator[Server]:
    with server() as running:
        yield running


@pytest.mark.slow
@pytest.mark.parametrize("fault", FAULTS, ids=[fault.name for fault in FAULTS])
def test_a_planted_fault_is_noticed(forks, fault: Fault):
    """Mend the code or write the test; take an entry out only together with the code that it is about."""
    answer = forks.run(fault, fault.tests, SECONDS)
    if answer["status"] is None:
        pytest.fail(f"{fault.tests} hang for {SECONDS:g} s: write a test that says at once what is wrong")
    if answer["status"] != FAILED:
        pytest.fail(f"{fault.tests} do not notice: status {answer['status']}\n{answer['output']}")


@pytest.mark.slow
@pytest.mark.parametrize("file", FILES)
def test_without_a_fault_these_tests_pass(forks, file):
    """In the same forks, so that none of them fails for another reason."""
    tests = sorted({test for fault in FAULTS for test in fault.tests if test.partition("::")[0] == file})
    answer = forks.run(None, tests, 10 * SECONDS)  # of a whole file, which a busy machine runs for minutes
    assert answer["status"] == 0, answer["output"]
