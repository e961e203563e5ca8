"""A record as JSON, the same in every store: what they hold beside it (a version, a time) is for the database alone."""

from __future__ import annotations

import json
from dataclasses import fields
from datetime import UTC, datetime

from peeklock.claims import Record, State
from peeklock.errors import StoreError

_DEFAULTS = {field.name: field.default for field in fields(Record)}
_TIMES = ("expires_at", "lease_until")


def dump(record: Record) -> str:
    """The same text for equal records, with times in UTC; what a field holds by default is left out."""
    parts = {name: value for name, default in _DEFAULTS.items() if (value := getattr(record, name)) != default}
    for name in _TIMES:
        parts[name] = text_of(parts[name])
    return json.dumps(parts, separators=(",", ":"), ensure_ascii=True)


def load(text: str) -> Record:
    """The record of a text. Raises StoreError for one that cannot be read, such as a newer version's: only its own key
    has to suffer for it."""
    try:
        parts = json.loads(text)
        for name in _TIMES:
            parts[name] = datetime.fromisoformat(parts[name])
        return Record(**{**parts, "state": State(parts["state"])})
    except (ValueError, TypeError, KeyError) as exc:
        raise StoreError(f"a record that cannot be read: {type(exc).__name__}") from exc


def text_of(moment: datetime) -> str:
    """Of constant width, so that texts sort as times do."""
    return moment.astimezone(UTC).isoformat(timespec="microseconds")
