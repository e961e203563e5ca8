"""Settings as one table: each field of a cloud's `Settings` carries its formula, reason and source beside its value."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, fields
from typing import Any

from peeklock.infra.options import format_duration
from peeklock.retry_span import Span

JITTER = "https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/"


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One setting of a platform as docs/settings.md shows it."""

    name: str
    """Name in the platform's documentation."""
    value: Any
    formula: str
    """Formula in terms of the queue's and the capacity's fields; or the constant."""
    why: str
    source: str
    """Documentation page, or file of facts, that limit and formula come from."""


@dataclass(frozen=True, slots=True)
class Documented:
    """Documentation of one setting; see `Row`. `show` converts the field's value to the platform's notation, or to
    None where the setting is left out."""

    name: str
    formula: str
    why: str
    source: str
    show: Callable[[Any], Any] | None = None

    def row(self, value: Any) -> Row:
        """Return the table's row for a value."""
        shown = value if self.show is None else self.show(value)
        return Row(name=self.name, value=shown, formula=self.formula, why=self.why, source=self.source)


def documented(*settings: Documented) -> Any:
    """Return a field that is one of the platform's settings, or the source of several."""
    return field(metadata={"settings": settings})


def setting(name: str, formula: str, why: str, source: str, show: Callable[[Any], Any] | None = None) -> Any:
    """Return a field that is one of the platform's settings. The arguments are those of `Documented`."""
    return documented(Documented(name, formula, why, source, show))


def rows(settings: Any) -> list[Row]:
    """Return the table of a cloud's settings, in the order of their fields."""
    table = [
        entry.row(getattr(settings, column.name))
        for column in fields(settings)
        for entry in column.metadata.get("settings", ())
    ]
    return [row for row in table if row.value is not None]


def _span(span: Span) -> str:
    return ", ".join(format_duration(duration) for duration in (span.percentile_1, span.median, span.longest))


SPAN = Documented(
    "span of the attempts",
    "1st percentile, median and longest sum of max_attempts - 1 delays, each from 0 to min(first_delay * 2^n, max_delay):"
    " Queue.span",
    "an outage that lasts longer dead-letters messages: with the median, half of those sent when it begins",
    JITTER,
    _span,
)
"""Time that a queue's attempts last."""
