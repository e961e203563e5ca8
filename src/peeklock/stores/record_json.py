"""A record as JSON, the same in every store: what they hold beside it (a version, a time) is for the database alone.

Releases meet in one store while a new one is rolled out. What a newer one adds to a record is kept and written back; a
record that needs it to be understood is none that this release can read.
"""

from __future__ import annotations

import json
from dataclasses import MISSING, fields
from datetime import UTC, datetime
from typing import Any

from peeklock.errors import UnreadableRecord
from peeklock.idempotency.record import Record, State
from peeklock.outcome import Reason

_FIELDS = {field.name: field for field in fields(Record) if field.name != "extra"}
_REQUIRED = {name for name, field in _FIELDS.items() if field.default is MISSING}
_TYPES: dict[str, type] = {"int": int, "str": str, "bool": bool, "State": State, "datetime": datetime}
_VERDICTS = (State.DEAD_LETTERING, State.DEAD_LETTERED)
"""States whose record says a reason."""

_REASONS = frozenset({"", *Reason})


def dump(record: Record) -> str:
    """The same text for equal records, with times in UTC; what a field holds by default is left out."""
    parts: dict[str, Any] = {}
    for name, field in _FIELDS.items():
        value = getattr(record, name)
        if value != field.default:
            parts[name] = text_of(value) if isinstance(value, datetime) else value
    if record.extra:
        parts |= json.loads(record.extra)
    return json.dumps(parts, separators=(",", ":"), ensure_ascii=True)


def load(text: str) -> Record:
    """The record of a text. Raises UnreadableRecord for one that this release does not understand: only its own key has
    to suffer for it."""
    try:
        parts = json.loads(text)
        known = {name: _value(name, value) for name, value in parts.items() if name in _FIELDS}
        if not known.keys() >= _REQUIRED:
            raise ValueError(f"it has no {min(_REQUIRED - known.keys())}")  # noqa: TRY301 - said as any other fault
        record = Record(**known, extra=_extra(parts))
    except (ValueError, TypeError, AttributeError, RecursionError) as exc:
        raise UnreadableRecord(f"a record that cannot be read: {exc}") from exc
    if record.state in _VERDICTS and record.reason not in _REASONS:
        raise UnreadableRecord(f"a record that cannot be read: {record.reason[:80]!r} is no reason that is known here")
    return record


def _value(name: str, value: Any) -> Any:
    """A field's value. Raises ValueError or TypeError for what no field of this name holds."""
    field = _FIELDS[name]
    kind = str(field.type).removesuffix(" | None")
    if kind == "datetime" and isinstance(value, str):
        value = datetime.fromisoformat(value)
        if value.tzinfo is None:
            raise ValueError(f"{name} has no time zone")
    elif kind == "State":
        value = State(value)
    if type(value) is not _TYPES[kind] and (field.default is MISSING or value != field.default):
        raise TypeError(f"{name} is no {kind}")
    return value


def _extra(parts: dict[str, Any]) -> str:
    added = {name: value for name, value in parts.items() if name not in _FIELDS}
    return json.dumps(added, separators=(",", ":"), sort_keys=True) if added else ""


def text_of(moment: datetime) -> str:
    """Of constant width, so that texts sort as times do."""
    return moment.astimezone(UTC).isoformat(timespec="microseconds")
