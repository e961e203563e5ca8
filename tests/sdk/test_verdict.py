"""A run fails for what fails, for what passes against the table, and for what the table names and nobody ran."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.sdk import verdict
from tests.sdk.verdict import Table

TABLE = Table(files=(), slow=(), cannot={"a.py::test_never": "why"})
NEVER = {"a.py::test_never": {"outcome": "failed", "why": "as ever"}}
PASSES = {"a.py::test_passes": {"outcome": "passed"}}


def test_a_good_run() -> None:
    result = verdict.judge({**NEVER, **PASSES, "a.py::test_skipped": {"outcome": "skipped"}}, TABLE)
    assert result.good
    assert (result.passed, result.skipped, result.expected, result.failed) == (1, 1, 1, {})


def test_a_failure() -> None:
    result = verdict.judge({**NEVER, **PASSES, "a.py::test_b": {"outcome": "failed", "why": "E  1 ==\n 2"}}, TABLE)
    assert not result.good
    assert result.failed == {"a.py::test_b": "E 1 == 2"}


def test_what_passes_though_it_cannot() -> None:
    result = verdict.judge({**PASSES, "a.py::test_never": {"outcome": "passed"}}, TABLE)
    assert not result.good
    assert result.now_pass == ("a.py::test_never",)


@pytest.mark.parametrize("outcome", ["passed", "failed"])
def test_what_depends_on_the_machine(outcome: str) -> None:
    table = Table(files=(), slow=(), cannot={}, depends={"a.py::test_slow": "why"})
    result = verdict.judge({**PASSES, "a.py::test_slow": {"outcome": outcome}}, table)
    assert (result.good, result.passed, result.failed) == (True, 1, {})
    assert verdict.judge(PASSES, table).unknown == ("a.py::test_slow",)
    assert table.of(["b.py"]).depends == {}


def test_what_was_not_run() -> None:
    result = verdict.judge(PASSES, TABLE)
    assert not result.good
    assert result.unknown == ("a.py::test_never",)
    assert not verdict.judge({}, Table(files=(), slow=(), cannot={})).good


def test_names() -> None:
    names = (
        "a.py::TestA::test_b[pyamqp]",
        "async_tests/a.py::TestA::test_b[ws-pyamqp]",
        "a.py::test_b",
        "a.py::T::t[x-y]",
    )
    expected = ["a.py::test_b", "async_tests/a.py::test_b[ws]", "a.py::test_b", "a.py::t[x-y]"]
    assert [verdict.name(node) for node in names] == expected


def test_a_failure_in_any_phase_counts(tmp_path: Path) -> None:
    file = tmp_path / "results.jsonl"
    assert verdict.results(file) == {}
    lines = [{"test": "a.py::test_b", "outcome": outcome} for outcome in ("passed", "failed", "passed")]
    file.write_text("\n".join(map(json.dumps, lines)))
    assert verdict.results(file)["a.py::test_b"]["outcome"] == "failed"


def test_the_table_names_each_test_once() -> None:
    table = verdict.read()
    assert table.files
    assert sum(len(part) for part in table.cannot.values()) > 0
    assert verdict.TABLE.read_text().count("::") == len(table.cannot) + len(table.depends) + 1  # and once in its head


def test_a_part_of_the_files() -> None:
    """Names of the others are not missed."""
    table = Table(files=(), slow=(), cannot={"a.py::test_never": "why", "b.py::test_never": "why"})
    assert table.of(["a.py", "c.py"]).cannot == {"a.py::test_never": "why"}
