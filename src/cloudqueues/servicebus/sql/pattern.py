"""LIKE: `%` matches any characters, `_` matches one. Time grows at most with the length of the text times that of the
pattern."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from enum import Enum, auto

from cloudqueues.servicebus.sql.errors import EvaluationError


class Wild(Enum):
    MANY = auto()
    ONE = auto()


ConfigValue = str | Wild
_WILD: dict[str, ConfigValue] = {"%": Wild.MANY, "_": Wild.ONE}


def like(value: object, pattern: object, escape: object) -> bool | None:
    """Return whether a value matches, or None when any argument is unknown. Raises EvaluationError for an argument that
    is not text and for an invalid escape."""
    if value is None or pattern is None or escape is None:
        return None
    if not (isinstance(value, str) and isinstance(pattern, str) and isinstance(escape, str)):
        raise EvaluationError("LIKE and ESCAPE take texts only")
    return matches(value, list(_parts(pattern, escape)))


def _parts(pattern: str, escape: str) -> Iterator[ConfigValue]:
    """Yield the parts of a pattern. An empty `escape` escapes nothing."""
    if len(escape) > 1:
        raise EvaluationError("ESCAPE takes one character")
    characters = iter(pattern)
    for character in characters:
        if character != escape:
            yield _WILD.get(character, character)
        elif (escaped := next(characters, None)) is not None:
            yield escaped
        else:
            raise EvaluationError("the pattern ends with its escape character, which then escapes nothing")


def matches(text: str, parts: Sequence[ConfigValue]) -> bool:
    """Return whether a text matches. Each `MANY` takes as little as it can; where that fails, the last one takes one
    more character."""
    at = part = 0
    resume: tuple[int, int] | None = None
    while at < len(text) or part < len(parts):
        expected = parts[part] if part < len(parts) else None
        if expected is Wild.MANY:
            resume, part = (at, part + 1), part + 1
        elif at < len(text) and expected in {text[at], Wild.ONE}:
            at, part = at + 1, part + 1
        elif resume is None or resume[0] == len(text):
            return False
        else:
            resume = (resume[0] + 1, resume[1])
            at, part = resume
    return True
