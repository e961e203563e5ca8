"""Google's limits: each with its source, in one place, and the same that the stand-ins hold."""

from __future__ import annotations

import ast
from itertools import pairwise
from pathlib import Path

import pytest

from peeklock.emulators.cloudtasks import queue as emulated
from peeklock.emulators.cloudtasks import targets, tasks
from peeklock.quotas import google as google_limits
from tests import pubsub_limits
from tests.support import ROOT

SOURCE = Path(google_limits.__file__)
STATEMENTS = ast.parse(SOURCE.read_text(encoding="utf-8")).body
STATED = {
    ast.unparse(one.targets[0]): after.value.value
    for one, after in pairwise(STATEMENTS)
    if isinstance(one, ast.Assign) and isinstance(after, ast.Expr) and isinstance(after.value, ast.Constant)
}
"""Each limit with the text below it."""


def test_each_has_its_source_and_the_month_of_its_reading() -> None:
    assert len(STATED) == sum(isinstance(one, ast.Assign) for one in STATEMENTS)
    for name, text in STATED.items():
        assert isinstance(text, str)
        assert "https://" in text or "Comment of " in text or "Comments of " in text, name
        assert "ead 20" in text, name


@pytest.mark.parametrize("number", [google_limits.TASK_BYTES, google_limits.TASK_URL, google_limits.PUBLISH_BYTES])
def test_no_other_module_repeats_one(number: int) -> None:
    """The emulators are a package of their own, which knows nothing of peeklock."""
    modules = [
        one for one in (ROOT / "src" / "peeklock").rglob("*.py") if "emulators" not in one.parts and one != SOURCE
    ]
    repeating = [one.name for one in modules if number in constants(one)]
    assert repeating == []


def constants(module: Path) -> set[object]:
    tree = ast.parse(module.read_text(encoding="utf-8"))
    return {one.value for one in ast.walk(tree) if isinstance(one, ast.Constant) and type(one.value) is int}


def test_the_stand_ins_hold_the_same() -> None:
    assert (targets.MAX_URL, tasks.MAX_BYTES) == (google_limits.TASK_URL, google_limits.TASK_BYTES)
    assert google_limits.TASK_DELAY.total_seconds() == tasks.MAX_AHEAD
    least, most = (one.total_seconds() for one in google_limits.DISPATCH_DEADLINES)
    assert (least, most) == (tasks.SHORTEST, tasks.LONGEST)
    assert google_limits.DISPATCH_DEADLINE.total_seconds() == tasks.DEFAULT_DEADLINE
    assert (emulated.MAX_RATE, emulated.MAX_CONCURRENT) == (google_limits.QUEUE_RATE, google_limits.QUEUE_AT_ONCE)
    assert pubsub_limits.MAX_REQUEST == google_limits.PUBLISH_BYTES
    assert pubsub_limits.MAX_ATTRIBUTES == google_limits.ATTRIBUTES
    assert (pubsub_limits.MAX_KEY, pubsub_limits.MAX_VALUE) == (
        google_limits.ATTRIBUTE_NAME,
        google_limits.ATTRIBUTE_VALUE,
    )
    assert pubsub_limits.MAX_ORDERING_KEY == google_limits.ORDERING_KEY
