"""Lines that functions print, without the records that the screen shows already and without the noise of hosts and SDKs."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from itertools import islice

EVENT = "peeklock.settled"

NOISE = re.compile(
    r"INFO (azure|botocore)\.|\{\"_aws\":|LAMBDA_WARNING: |WARNING root: Auth level |\[[^]]+\] \[\d+\] \[INFO\] Control "
)
"""Beginning of a line that a host or an SDK prints about itself."""

_PREFIX = (
    r"(?:[\[(]?(?:"
    r"\b\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(?:[.,]\d+)?(?:Z|[+-]\d\d:?\d\d)?"
    r"|\b(?:DEBUG|INFO|WARNING|ERROR|CRITICAL|peeklock)\b"
    r"|\b[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}"
    r")[\])]?[\s:|,-]*)*"
)
"""Time, level, logger and request id, in any order, that a log format puts before a record."""

_FIELD = r' \w+=(?:"(?:[^"\\]|\\.)*(?:"|\\?$)|[^\s="\'`\\]+)'

RECORD = re.compile(rf"{_PREFIX}{re.escape(EVENT)}(?= platform=)(?:{_FIELD})+")
"""Record of a settlement as `observability.observer.log_event` writes it; a host may have cut its end off."""


def visible_lines(text: str) -> Iterator[str]:
    """Yield what is to be shown of a text, line by line.

    Only the record of a settlement is left out of its line: `print(..., end="")` leaves text before it, and so may another
    thread. The traceback below a record stays.
    """
    for line in text.replace("\xa0", " ").splitlines():  # Lambda's client indents with no-break spaces
        parts = _around_record(line) if EVENT in line else (line,)
        yield from (part for part in parts if part and not NOISE.match(part))


def _around_record(line: str) -> tuple[str, ...]:
    """Return the text before and after the record in a line."""
    parts = _around_json(line) or tuple(RECORD.split(line))
    return tuple(part for part in parts if part.strip())


MOST_TRIED = 8
"""Braces of a line at which a JSON object is looked for, since each takes as long as the line."""


def _around_json(line: str) -> tuple[str, ...]:
    """Return the text before and after a record that a logger wrote as a JSON object; empty where there is none."""
    end = 0
    for brace in islice(re.finditer(r"\{", line), MOST_TRIED):
        if brace.start() < end:
            continue  # within an object that was read
        try:
            value, end = json.JSONDecoder().raw_decode(line, brace.start())
        except (ValueError, RecursionError):
            continue
        if any(_is_record(item) for item in value.values()):
            return line[: brace.start()], line[end:]
    return ()


def _is_record(value: object) -> bool:
    return isinstance(value, str) and (value == EVENT or RECORD.match(value) is not None)
