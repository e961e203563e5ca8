"""Pagination of lists by `$skip` and `$top`.

https://learn.microsoft.com/rest/api/servicebus/entities-discovery
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TypeVar

from cloudqueues.servicebus.admin.refusals import invalid
from cloudqueues.servicebus.admin.values import digits

LARGEST = 100
"""Maximum and default number of entries of a page."""

T = TypeVar("T")


def page(query: Mapping[str, str], items: Sequence[T]) -> tuple[Sequence[T], tuple[int, int] | None]:
    """Return the items of the requested page, and the skip and the top of the next page, if there is one. Raises
    Rejected."""
    skip = _number(query, "$skip", 0)
    top = min(_number(query, "$top", LARGEST), LARGEST)
    end = skip + top
    return items[skip:end], (end, top) if top and end < len(items) else None


def _number(query: Mapping[str, str], name: str, otherwise: int) -> int:
    text = query.get(name)
    if text is None:
        return otherwise
    number = digits(text)
    if number is None:
        raise invalid(f"{name} is {text!r}, not a number from 0 on.")
    return number
