"""Results of a run, against the table of tests that cannot pass."""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

TABLE = Path(__file__).parent / "table.toml"
RESULTS, SLOW = "PEEKLOCK_SDK_RESULTS", "PEEKLOCK_SDK_SLOW"
"""Environment variables of a run: the file that its results go to, a line of JSON each; and the tests that start first,
with spaces between."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    files: tuple[str, ...]
    slow: tuple[str, ...]
    cannot: Mapping[str, str]
    """Why a test cannot pass, by its name."""
    depends: Mapping[str, str] = field(default_factory=dict[str, str])
    """Why a test passes or fails by the machine's speed, by its name. Neither result counts."""

    def of(self, files: Collection[str]) -> Table:
        """Return the part of the table about tests in these files."""
        cannot, depends = (
            {test: why for test, why in part.items() if test.partition("::")[0] in files}
            for part in (self.cannot, self.depends)
        )
        return replace(self, cannot=cannot, depends=depends)


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    passed: int
    skipped: int
    expected: int
    """Failures of tests that cannot pass."""
    failed: Mapping[str, str]
    """Other failures, by name, with the last line of each."""
    now_pass: tuple[str, ...]
    """Tests that pass though the table says they cannot."""
    unknown: tuple[str, ...]
    """Tests of the table that were not run: renamed, or gone."""

    @property
    def good(self) -> bool:
        return self.passed > 0 and not (self.failed or self.now_pass or self.unknown)


def read(path: Path = TABLE) -> Table:
    table = tomllib.loads(path.read_text())
    cannot, depends = (
        {test: part["why"] for part in table.get(kind, ()) for test in part["tests"]} for kind in ("cannot", "depends")
    )
    return Table(files=tuple(table["files"]), slow=tuple(table["slow"]), cannot=cannot, depends=depends)


def name(node: str) -> str:
    """Return a test's name in the table: without its class and without the one transport that there is."""
    file, _, rest = node.partition("::")
    return f"{file}::{rest.rpartition('::')[2].replace('[pyamqp]', '').replace('pyamqp-', '').replace('-pyamqp', '')}"


def results(path: Path) -> dict[str, dict[str, str]]:
    """Return the last result of each test, by name; a test that failed in any phase has failed."""
    last_results: dict[str, dict[str, str]] = {}
    for line in path.read_text().splitlines() if path.exists() else ():
        result = json.loads(line)
        key = name(result["test"])
        if last_results.get(key, {}).get("outcome") != "failed":
            last_results[key] = result
    return last_results


def judge(last_results: Mapping[str, Mapping[str, str]], table: Table) -> Verdict:
    outcomes = {key: result["outcome"] for key, result in last_results.items() if key not in table.depends}
    failed = {key: _short(last_results[key].get("why", "")) for key, outcome in outcomes.items() if outcome == "failed"}
    return Verdict(
        passed=_count(outcomes.values(), "passed"),
        skipped=_count(outcomes.values(), "skipped"),
        expected=len(failed.keys() & table.cannot.keys()) + _count(outcomes.values(), "xfailed"),
        failed={key: why for key, why in failed.items() if key not in table.cannot},
        now_pass=tuple(key for key in table.cannot if outcomes.get(key) == "passed"),
        unknown=tuple(key for key in (*table.cannot, *table.depends) if key not in last_results),
    )


def _count(outcomes: Iterable[str], wanted: str) -> int:
    return sum(outcome == wanted for outcome in outcomes)


def _short(why: str) -> str:
    return re.sub(r"\s+", " ", why)[:300]
