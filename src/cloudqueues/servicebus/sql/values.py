"""Operators on values, as in C#: the service promises its promotions and conversions, and nothing more.

None is unknown, and so is any result of it. C#'s types are long, double, string, bool, Guid and DateTime here; operands
that C# cannot bind raise EvaluationError.
https://learn.microsoft.com/azure/service-bus-messaging/service-bus-messaging-sql-filter#operator-binding-semantics
"""

from __future__ import annotations

import math
import operator
import uuid
from collections.abc import Callable
from datetime import datetime
from typing import Any

from cloudqueues.servicebus.sql.errors import EvaluationError

LONGEST = 65_536
"""Maximum characters of a computed text: no message's header is larger."""

_KINDS: tuple[tuple[type, str], ...] = (
    (bool, "a boolean"),
    (int, "a number"),
    (float, "a number"),
    (str, "a text"),
    (uuid.UUID, "a UUID"),
    (datetime, "a time"),
)
"""Kinds by type. bool comes first, since it is a subclass of int."""
_ORDERED = {"a number", "a time"}
_COMPARISONS: dict[str, Callable[[Any, Any], bool]] = {
    "=": operator.eq,
    "<>": operator.ne,
    "!=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}
COMPARISONS = frozenset(_COMPARISONS)


def kind(value: object) -> str:
    """Return the kind of a value. Raises EvaluationError for a type that no operator takes."""
    for python_type, name in _KINDS:
        if isinstance(value, python_type):
            return name
    raise EvaluationError(f"a value of {type(value).__name__} cannot be used in a filter")


def compare(sign: str, left: object, right: object) -> bool | None:
    if left is None or right is None:
        return None
    ours, theirs = kind(left), kind(right)
    if ours != theirs or (ours not in _ORDERED and sign not in {"=", "<>", "!="}):
        raise EvaluationError(f"{ours} and {theirs} cannot be compared with {sign}")
    if isinstance(left, float) or isinstance(right, float):
        left, right = _double(left), _double(right)
    return _COMPARISONS[sign](left, right)


def _double(value: object) -> float:
    assert isinstance(value, int | float)
    return float(value)


def calculate(sign: str, left: object, right: object) -> object:
    """Return the result of an operator. As in C#, + joins a text and anything else."""
    if left is None or right is None:
        return None
    ours, theirs = kind(left), kind(right)
    if sign == "+" and "a text" in {ours, theirs}:
        return _joined(left, right)
    if ours != "a number" or theirs != "a number":
        raise EvaluationError(f"{ours} and {theirs} cannot be calculated with {sign}")
    if isinstance(left, float) or isinstance(right, float):
        return _DOUBLES[sign](_double(left), _double(right))
    assert isinstance(left, int)
    assert isinstance(right, int)
    return wrapped(_longs(sign, left, right))


def _joined(left: object, right: object) -> str:
    joined = text(left) + text(right)
    if len(joined) > LONGEST:
        raise EvaluationError(f"a text of more than {LONGEST} characters is too large for a message's header")
    return joined


def text(value: object) -> str:
    """Return a value as C# writes it."""
    if isinstance(value, float):
        return repr(value).removesuffix(".0")
    if isinstance(value, bool | int | str | uuid.UUID):
        return str(value)
    raise EvaluationError(f"{kind(value)} cannot become a text")


def _longs(sign: str, left: int, right: int) -> int:
    if sign in _LONGS:
        return _LONGS[sign](left, right)
    if not right:
        raise EvaluationError("a number is divided by zero")
    quotient = abs(left) // abs(right)  # towards zero, where Python's goes down
    quotient = quotient if (left < 0) == (right < 0) else -quotient
    return quotient if sign == "/" else left - quotient * right


_LONGS: dict[str, Callable[[int, int], int]] = {"+": operator.add, "-": operator.sub, "*": operator.mul}


def wrapped(value: int) -> int:
    """Wrap a number to 64 bits, as C# does unless it is told to check."""
    return (value + 2**63) % 2**64 - 2**63


def _divided(left: float, right: float) -> float:
    if right:
        return left / right
    return math.nan if not left or math.isnan(left) else math.copysign(math.inf, left) * math.copysign(1, right)


def _remainder(left: float, right: float) -> float:
    return math.nan if not right or math.isinf(left) else math.fmod(left, right)


_DOUBLES: dict[str, Callable[[float, float], float]] = {
    "+": operator.add,
    "-": operator.sub,
    "*": operator.mul,
    "/": _divided,
    "%": _remainder,
}


def signed(sign: str, value: object) -> object:
    if value is None:
        return None
    if kind(value) != "a number":
        raise EvaluationError(f"{kind(value)} has no sign")
    assert isinstance(value, int | float)
    if sign == "+":
        return value
    return -value if isinstance(value, float) else wrapped(-value)
