"""pytest plugin that the SDK's own tests are run with."""

from __future__ import annotations

import pytest

from tests.sdk import supplies

supplies.install()


@pytest.fixture(scope="session")
def test_proxy() -> None:
    """Azure's recorder, which there is no need for."""
