"""Checks of a request by a shape: kinds and forms, of which a model has few examples in the programs."""

from __future__ import annotations

import pytest

from cloudqueues.pulumi.shapes import FORMS, Shape, problems

DURATION, SECONDS = FORMS


@pytest.mark.parametrize(
    ("kind", "good", "bad"),
    [
        ("number", 1.5, True),
        ("number", 1, "1"),
        ("whole", 2.0, 1.5),
        ("whole", 2, False),
        ("flag", True, 1),
        ("text", "a", 1),
        ("list", [], {}),
        ("map", {}, []),
        ("object", {}, []),
    ],
)
def test_kinds(kind, good, bad):
    """A flag is no number, although Python's is one."""
    assert problems(Shape(source="model", kind=kind), good, "path") == []
    assert problems(Shape(source="model", kind=kind), bad, "path") == [f"path={bad!r}: is no {kind} (model)"]


@pytest.mark.parametrize(
    ("form", "good", "bad"),
    [
        (DURATION, "PT1M", "PT1M later"),
        (DURATION, "P1DT2H3M4.5S", "P"),
        (SECONDS, "30s", "30s later"),
        (SECONDS, "1.5s", "s"),
    ],
)
def test_forms(form, good, bad):
    """A text has the form as a whole."""
    shape = Shape(source="model", kind="text", form=form)
    assert problems(shape, good, "path") == []
    assert problems(shape, bad, "path") == [f"path={bad!r}: is no {form} (model)"]


@pytest.mark.parametrize(("value", "words"), [(2, []), (5, []), (1, ["1 is less than 2"]), (6, ["6 is more than 5"])])
def test_ranges(value, words):
    """Both ends belong to a range."""
    said = problems(Shape(source="model", kind="number", least=2, most=5), value, "path")
    assert said == [f"path={value}: {word} (model)" for word in words]
