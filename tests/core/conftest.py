"""What the core's tests share."""

from __future__ import annotations

import pytest

from peeklock import desk


@pytest.fixture
def fast_pauses(monkeypatch):
    """A store that is asked again at once: thousands of faults would otherwise take minutes of waiting."""
    monkeypatch.setattr(desk, "PAUSES", (0.0, 0.0))
