"""Imports of the emulators form no circle, imports under TYPE_CHECKING included."""

from __future__ import annotations

import ast
from collections.abc import Mapping
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

import cloudqueues

ROOT = Path(cloudqueues.__file__).parent
PACKAGE = cloudqueues.__name__


def sources() -> dict[str, str]:
    """Return the source of each module of the emulators by its dotted name."""
    found: dict[str, str] = {}
    for path in ROOT.rglob("*.py"):
        parts = path.relative_to(ROOT).with_suffix("").parts
        found[".".join([PACKAGE, *(part for part in parts if part != "__init__")])] = path.read_text("utf-8")
    return found


def imported(source: str, modules: Mapping[str, str]) -> set[str]:
    """Return those of `modules` that a source imports anywhere."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module is not None:
            below = {f"{node.module}.{alias.name}" for alias in node.names}
            names |= below & modules.keys() or {node.module}
    return names & modules.keys()


def test_the_imports_form_no_circle() -> None:
    modules = sources()
    assert f"{PACKAGE}.servicebus.amqp.session" in modules
    TopologicalSorter({name: imported(source, modules) for name, source in modules.items()}).prepare()


def test_a_circle_for_types_alone_is_noticed() -> None:
    modules = {
        "a.b": "if TYPE_CHECKING:\n    from a.c import C\n",
        "a.c": "def late() -> None:\n    from a import b\n",
    }
    with pytest.raises(CycleError):
        TopologicalSorter({name: imported(source, modules) for name, source in modules.items()}).prepare()
