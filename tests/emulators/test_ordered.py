"""Values in order: a page of them costs the same, however many there are."""

from __future__ import annotations

import random

import pytest

from cloudqueues.ordered import CHUNK, Ordered

PAGE = 100


class Compared(int):
    """A number that counts how often it is compared with others."""

    count = 0

    def __lt__(self, other: int) -> bool:
        Compared.count += 1
        return int(self) < other


def page(order: Ordered[int], start: int) -> list[int]:
    return [number for number, _ in zip(order.since(start), range(PAGE), strict=False)]


@pytest.mark.parametrize("count", [1_000, 100_000])
def test_a_page_costs_a_few_comparisons_of_however_many(count: int) -> None:
    """At the beginning, in the middle and beyond the end; sorting would take a million."""
    order = Ordered[int]()
    for number in range(count):
        order.add(Compared(number))
    Compared.count = 0
    assert page(order, 0) == list(range(PAGE))
    assert page(order, count // 2) == list(range(count // 2, count // 2 + PAGE))
    assert page(order, count) == []
    assert Compared.count < 3 * 20  # binary searches in 196 chunks and in one of 512


def test_a_page_looks_at_nothing_that_is_gone() -> None:
    order = Ordered[int]()
    for number in range(100_000):
        order.add(Compared(number))
    for number in range(90_000):
        order.remove(number)
    Compared.count = 0
    assert page(order, 0) == list(range(90_000, 90_000 + PAGE))
    assert Compared.count < 20


def test_no_chunk_is_long_or_empty() -> None:
    order = Ordered[int]()
    for number in range(10 * CHUNK):
        order.add(number)
    assert [len(chunk) for chunk in order._chunks[:-1]] == [CHUNK] * 9
    for number in range(0, 10 * CHUNK, 2):
        order.add(number)  # in the midst
        order.remove(number)
    assert all(0 < len(chunk) <= CHUNK for chunk in order._chunks)


@pytest.mark.parametrize("seed", range(5))
def test_it_is_a_sorted_list(seed: int) -> None:
    chance, order, expected = random.Random(seed), Ordered[int](), set[int]()
    for _ in range(5_000):
        number = chance.randrange(3_000)
        if number in expected:
            expected.remove(number)
            order.remove(number)
        else:
            expected.add(number)
            order.add(number)
        assert bool(order) == bool(expected)
    start = chance.randrange(3_000)
    assert list(order.since(start)) == sorted(number for number in expected if number >= start)


@pytest.mark.parametrize(
    "numbers",
    [range(CHUNK + 88), [*range(0, 4 * CHUNK, 2), *range(1, CHUNK, 2)]],
    ids=["at the end", "in the midst"],
)
def test_the_first_value_after_a_split_can_be_removed(numbers) -> None:
    """Each chunk knows its last value after each step."""
    order = Ordered[int]()
    for number in numbers:
        order.add(number)
        assert order._last == [chunk[-1] for chunk in order._chunks]
    values = sorted(numbers)
    assert len(order._chunks) > 1
    for first in [chunk[0] for chunk in order._chunks]:
        order.remove(first)
        values.remove(first)
        assert list(order.since(0)) == values
