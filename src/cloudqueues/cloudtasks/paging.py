"""Pages of lists."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Iterable
from itertools import islice
from typing import TypeVar

from cloudqueues.cloudtasks.errors import invalid

T = TypeVar("T")
_PREFIX = "after "


def page(
    after: Callable[[str], Iterable[T]], key: Callable[[T], str], *, request: str, size: int, most: int, token: str
) -> tuple[list[T], str]:
    """Return one page of items, and the token of the next one. `after`: function to the items that follow a key, in order.

    As recorded, every page that is not empty has a next one. Raises Refused.
    """
    if size < 0:
        raise invalid(f"{request}.pageSize cannot be negative.")
    taken = list(islice(after(_read(token) if token else ""), min(size or most, most)))
    return taken, _write(key(taken[-1])) if taken else ""


def _write(key: str) -> str:
    return base64.urlsafe_b64encode((_PREFIX + key).encode()).decode()


def _read(token: str) -> str:
    try:
        text = base64.b64decode(token, altchars=b"-_", validate=True).decode()
    except (binascii.Error, ValueError) as exc:
        raise invalid("Invalid page_token") from exc
    if not text.startswith(_PREFIX):
        raise invalid("Invalid page_token")
    return text.removeprefix(_PREFIX)
