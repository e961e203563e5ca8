"""The table follows the code: each entry can be planted, and names a test that is there."""

from __future__ import annotations

import ast
from collections import Counter
from functools import cache

import pytest

from tests.mutants.planting import Fault, NotThere, plant
from tests.mutants.table import FAULTS
from tests.support import ROOT

SOURCE = """
class Door:
    def open(self, key):
        if key > 3:
            self.count = self.count + 1
            return key
        return None

def close(key):
    return key + 1
"""


def fault(old: str, new: str, function: str = "Door.open") -> Fault:
    return Fault(name="f", module="peeklock.door", function=function, old=old, new=new, tests=())


CONTRACTS = "".join(file.read_text() for file in (ROOT / "src/peeklock/testing/contracts").glob("*.py"))
"""The methods that tests of a contract inherit."""


@cache
def source_of(module: str) -> tuple[str, str]:
    """Return the text of a module and a dump of its syntax tree."""
    source = (ROOT / "src" / f"{module.replace('.', '/')}.py").read_text()
    return source, ast.dump(ast.parse(source))


@cache
def text_of(path: str) -> str:
    return (ROOT / path).read_text()


@pytest.mark.parametrize("entry", FAULTS, ids=[entry.name for entry in FAULTS])
def test_an_entry_fits_the_code(entry):
    """A planted module differs from the one that is there, and its test has the name that the entry says."""
    source, tree = source_of(entry.module)
    assert ast.dump(plant(source, entry)) != tree
    for test in entry.tests:
        path, *names = test.partition("[")[0].split("::")
        text = text_of(path)
        if "Contract)" in text:
            text += CONTRACTS
        assert all(f"def {name}(" in text or f"class {name}" in text for name in names), test


def test_names_are_unique():
    """They are the ids of the tests."""
    assert [name for name, count in Counter(entry.name for entry in FAULTS).items() if count > 1] == []


@pytest.mark.parametrize(
    ("old", "new", "line"),
    [
        ("key > 3", "key >= 3", "if key >= 3:"),
        ("self.count = self.count + 1", "pass", "pass"),
        ("self.count=(self.count+1)\nreturn key", "return 0", "return 0"),
        ("self.count + 1", "0", "self.count = 0"),
    ],
)
def test_a_fault_is_planted(old, new, line):
    """Syntax trees are compared, so white space means nothing."""
    assert line in ast.unparse(plant(SOURCE, fault(old, new)))


@pytest.mark.parametrize(
    ("old", "function", "why"),
    [
        ("key > 4", "Door.open", "0 times"),
        ("key", "Door.open", "2 times"),
        ("return key", "Door.close", "no 'Door.close'"),
        ("key > 3", "close", "0 times"),
    ],
)
def test_an_entry_that_no_longer_fits_says_so(old, function, why):
    """Not there, there twice, in a function that is gone."""
    with pytest.raises(NotThere, match=why):
        plant(SOURCE, fault(old, "None", function))
