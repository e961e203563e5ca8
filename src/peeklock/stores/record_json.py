"""Records as JSON, the same in every store. What a store holds beside it (a version, a time) is for its database only.

During a rollout, two releases share a store. Fields that a newer release added are kept and written back. A record that
cannot be understood without them is refused as unreadable.
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
"""States whose record has a reason."""

_REASONS = frozenset({"", *Reason})


def dump(record: Record) -> str:
    """Return a record as JSON: the same text for equal records, times in UTC, without fields that have their default."""
    parts: dict[str, Any] = {}
    for name, field in _FIELDS.items():
        value = getattr(record, name)
        if value != field.default:
            parts[name] = text_of(value) if isinstance(value, datetime) else value
    if record.extra:
        parts |= json.loads(record.extra)
    return json.dumps(parts, separators=(",", ":"), ensure_ascii=True)


def load(text: str) -> Record:
    """Return the record of a JSON text. Raises UnreadableRecord for one that this release does not understand, so that only
    its own key fails."""
    try:
        parts = json.loads(text)
        values = {name: _value(name, value) for name, value in parts.items() if name in _FIELDS}
        if not values.keys() >= _REQUIRED:
            raise ValueError(f"it has no {min(_REQUIRED - values.keys())}")  # noqa: TRY301 - reported as any other fault
        record = Record(**values, extra=_extra(parts))
    except (ValueError, TypeError, AttributeError, RecursionError) as exc:
        raise UnreadableRecord(f"a record that cannot be read: {exc}") from exc
    if record.state in _VERDICTS and record.reason not in _REASONS:
        raise UnreadableRecord(f"a record that cannot be read: {record.reason[:80]!r} is not a known reason")
    return record


def _value(name: str, value: Any) -> Any:
    """Return a field's value from its JSON value. Raises ValueError or TypeError for one that the field cannot have."""
    field = _FIELDS[name]
    kind = str(field.type).removesuffix(" | None")
    if kind == "datetime" and isinstance(value, str):
        value = datetime.fromisoformat(value)
        if value.tzinfo is None:
            raise ValueError(f"{name} has no time zone")
    elif kind == "State":
        value = State(value)
    if type(value) is not _TYPES[kind] and (field.default is MISSING or value != field.default):
        raise TypeError(f"{name} is not of type {kind}")
    return value


def _extra(parts: dict[str, Any]) -> str:
    added = {name: value for name, value in parts.items() if name not in _FIELDS}
    return json.dumps(added, separators=(",", ":"), sort_keys=True) if added else ""


def text_of(moment: datetime) -> str:
    """Return a time as text of constant width, so that texts sort as times do."""
    return moment.astimezone(UTC).isoformat(timespec="microseconds")
