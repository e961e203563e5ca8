"""The slow tests start first, and none is lost."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from tests.sdk.order import slow_first


@dataclass
class Item:
    name: str


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        ("a b c", "a b c"),
        ("a b s2 s1[pyamqp]", "s1[pyamqp] a s2 b"),
        ("s1 s2 a", "s1 a s2"),
        ("s2[pyamqp]", "s2[pyamqp]"),
        ("a b s1 c", "s1 a b c"),
    ],
)
def test_the_order(names: str, expected: str) -> None:
    assert " ".join(item.name for item in slow_first(map(Item, names.split()), ["s1", "s2"])) == expected
