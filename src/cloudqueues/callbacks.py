"""Callbacks of users."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any


def call_logged(logger: logging.Logger, name: str, callback: Callable[..., object], *arguments: Any) -> None:
    """Call a user's callback, such as `on_line`, and log its error, which must not end the emulator."""
    try:
        callback(*arguments)
    except Exception:
        logger.exception("%s failed", name)
