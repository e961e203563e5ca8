"""Tokens of filters and actions.

https://learn.microsoft.com/azure/service-bus-messaging/service-bus-messaging-sql-filter
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import Enum, auto

from cloudqueues.servicebus.sql.errors import FilterError

LONGEST = 1024
"""Characters: https://learn.microsoft.com/azure/service-bus-messaging/service-bus-quotas"""
KEYWORDS = frozenset({
    "AND", "OR", "NOT", "IN", "LIKE", "ESCAPE", "IS", "NULL", "EXISTS", "TRUE", "FALSE", "SET", "REMOVE",
})  # fmt: skip


class Kind(Enum):
    WORD = auto()
    """Name without quotation marks."""
    KEYWORD = auto()
    NAME = auto()
    """Name in brackets or double quotation marks, which is never a keyword."""
    TEXT = auto()
    NUMBER = auto()
    PARAMETER = auto()
    SIGN = auto()
    END = auto()


NAMES = (Kind.WORD, Kind.NAME)


@dataclass(frozen=True, slots=True)
class Token:
    kind: Kind
    text: str
    """Text without quotation marks; keywords are upper case."""
    at: int

    def __str__(self) -> str:
        return "the end" if self.kind is Kind.END else repr(self.text)


_TOKEN = re.compile(
    r"""\s*(?:
        (?P<NUMBER> [0-9]+ (?:\.[0-9]+)? (?:[eE][+-]?[0-9]+)? )
      | (?P<WORD> [^\W\d_]\w* )
      | (?P<TEXT> ' (?:[^']|'')* ' )
      | (?P<BRACKETED> \[ (?:[^\]]|\]\])* \] )
      | (?P<QUOTED> " (?:[^"]|"")* " )
      | (?P<PARAMETER> @\w+ )
      | (?P<SIGN> <>|!=|<=|>=|[-=<>+*/%(),.;] )
      | (?P<END> \Z )
    )""",
    re.VERBOSE,
)
_FIXES = {
    "'": "the text has no end: close it with ', and write ' within it twice",
    '"': 'the name has no end: close it with ", and write " within it twice',
    "[": "the name has no end: close it with ], and write ] within it twice",
    "&": "write AND",
    "|": "write OR",
    "!": "write NOT",
    "_": "a name begins with a letter: write others in brackets, [like this]",
    "@": "a parameter has a name: @name",
}


def tokens(text: str) -> list[Token]:
    """Return the tokens of a text, with END as the last. Raises FilterError."""
    _check(text)
    parsed: list[Token] = []
    at = 0
    while not parsed or parsed[-1].kind is not Kind.END:
        match = _TOKEN.match(text, at)
        if match is None:
            at += len(text[at:]) - len(text[at:].lstrip())
            fix = _FIXES.get(text[at], "this character is not allowed in a filter, except within '...' or [...]")
            raise FilterError(text, at, fix)
        parsed.append(_token(match))
        at = match.end()
    return parsed


def _check(text: str) -> None:
    if len(text) > LONGEST:
        raise FilterError(text, LONGEST, f"a filter or an action has at most {LONGEST} characters")
    try:
        text.encode()
    except UnicodeEncodeError as exc:
        raise FilterError(text, exc.start, "half a surrogate pair is not a character") from exc


def _token(match: re.Match[str]) -> Token:
    group = str(match.lastgroup)
    text, at = match[group], match.start(group)
    if group == "WORD" and text.upper() in KEYWORDS:
        return Token(Kind.KEYWORD, text.upper(), at)
    if group in {"TEXT", "BRACKETED", "QUOTED"}:
        closing = text[-1]
        kind = Kind.TEXT if group == "TEXT" else Kind.NAME
        return Token(kind, text[1:-1].replace(closing * 2, closing), at)
    return Token(Kind[group], text, at)
