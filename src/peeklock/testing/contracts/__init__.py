"""Contract suites for stores and senders: pytest classes to subclass in the tests of an implementation.

The only part of peeklock that needs pytest. peeklock's own stores and senders pass the same suites.
"""

from __future__ import annotations

import pytest

pytest.register_assert_rewrite("peeklock.testing.contracts.sender", "peeklock.testing.contracts.store")

from peeklock.testing.contracts.sender import SenderContract  # noqa: E402 - its asserts are rewritten as above
from peeklock.testing.contracts.store import StoreContract  # noqa: E402 - as above

__all__ = ["SenderContract", "StoreContract"]
