"""The table of planted faults: `faults/*.toml`, a file for each part of the code."""

from __future__ import annotations

import tomllib
from pathlib import Path

from tests.mutants.planting import Fault

FOLDER = Path(__file__).parent / "faults"


def read(path: Path) -> list[Fault]:
    """The faults of a file. `where` is `module:function`, without `peeklock.`; `test` a node id, or several, under tests/."""
    entries = tomllib.loads(path.read_text())["fault"]
    return [_fault(entry) for entry in entries]


def _fault(entry: dict[str, str | list[str]]) -> Fault:
    module, _, function = str(entry["where"]).partition(":")
    tests = [entry["test"]] if isinstance(entry["test"], str) else entry["test"]
    return Fault(
        name=str(entry["name"]),
        module=module if module.startswith("cloudqueues.") else f"peeklock.{module}",
        function=function,
        old=str(entry["old"]),
        new=str(entry["new"]),
        tests=tuple(f"tests/{test}" for test in tests),
    )


FAULTS = [fault for path in sorted(FOLDER.glob("*.toml")) for fault in read(path)]
