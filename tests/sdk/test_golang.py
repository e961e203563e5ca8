"""The figures and the exit code of a run of azservicebus' own tests."""

from __future__ import annotations

import json
import tomllib

import pytest

from tests.sdk.golang import TABLE, outcomes, report

NAMED = {
    "cannot": [{"why": "an identity of Azure AD", "tests": ["TestNever"]}],
    "depends": [{"why": "the machine", "tests": ["TestSometimes"]}],
}
GOOD = {"TestPasses": "pass", "TestNever": "fail", "TestSometimes": "pass", "TestSkipped": "skip"}


@pytest.mark.parametrize(
    ("changed", "code"),
    [
        ({}, 0),
        ({"TestSometimes": "fail"}, 0),
        ({"TestNew": "fail"}, 1),
        ({"TestNever": "pass"}, 1),
        ({"TestPasses": "skip"}, 1),
    ],
)
def test_the_exit_code(changed: dict[str, str], code: int) -> None:
    assert report({**GOOD, **changed}, NAMED) == code


@pytest.mark.parametrize("name", ["TestNever", "TestSometimes"])
def test_a_test_of_the_table_that_was_not_run(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert report({test: outcome for test, outcome in GOOD.items() if test != name}, NAMED) == 1
    assert f"in the table, and was not run: {name}" in capsys.readouterr().out


def test_the_figures(capsys: pytest.CaptureFixture[str]) -> None:
    report(GOOD, NAMED)
    figures = "1 passed, 0 failed, 1 skip themselves, 1 cannot pass, 1 by the machine's speed"
    assert capsys.readouterr().out == f"azservicebus: {figures}\n"


def test_the_outcomes() -> None:
    """Subtests count with their test, and a package that does not build under its own name."""
    module = "github.com/Azure/azure-sdk-for-go/sdk/messaging/azservicebus"
    events = [
        {"Action": "run", "Package": module, "Test": "TestA"},
        {"Action": "fail", "Package": module, "Test": "TestA/part"},
        {"Action": "pass", "Package": module, "Test": "TestA"},
        {"Action": "pass", "Package": f"{module}/admin", "Test": "TestB"},
        {"Action": "fail", "Package": f"{module}/internal"},
        {"Action": "pass", "Package": module},
    ]
    assert outcomes(map(json.dumps, events)) == {"TestA": "pass", "admin/TestB": "pass", "internal": "fail"}


def test_the_table() -> None:
    table = tomllib.loads(TABLE.read_text())
    names = [test for parts in table.values() for part in parts for test in part["tests"]]
    assert len(names) == len(set(names)) > 0
    assert all(part["why"] for parts in table.values() for part in parts)
