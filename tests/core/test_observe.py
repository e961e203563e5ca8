"""What a log shows of what a producer chose."""

from __future__ import annotations

import pytest

from peeklock.observe import record


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ("order-7", "order-7"),
        ("ключ 7", "ключ 7"),
        ("x\npeeklock.settled reason=done", r"'x\npeeklock.settled reason=done'"),
        ("\x1b[2J", r"'\x1b[2J'"),
        ("a\u2028b", r"'a\u2028b'"),
        (3, "3"),
    ],
)
def test_a_record_is_one_line(caplog, value, shown):
    """An id with a line break does not pass for a record of its own; machines get it as it is."""
    record("peeklock.settled %s", {"message_id": value})
    (told,) = caplog.records
    assert told.getMessage() == f"peeklock.settled message_id={shown}"
    assert told.peeklock == {"message_id": value}
