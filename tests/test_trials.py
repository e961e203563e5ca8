"""Each line of the trials has a test, and the table that says which is up to date."""

from __future__ import annotations

from tests.trials import LINES, PAGE, marks, page


def test_each_line_has_a_test():
    assert set(LINES) - {number for number, _ in marks()} == set()


def test_the_table_is_up_to_date():
    """`python -m tests.trials` writes it."""
    assert PAGE.read_text() == page()
