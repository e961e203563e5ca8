"""Cursor over the tokens of a text."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from typing import NoReturn

from cloudqueues.servicebus.sql.errors import FilterError
from cloudqueues.servicebus.sql.tokens import Kind, Token, tokens

DEEPEST = 32
"""Maximum levels of parentheses, NOT and signs, since Python's stack has to hold them."""


class Cursor:
    """Cursor over tokens. All methods raise FilterError."""

    def __init__(self, text: str) -> None:
        self.text = text
        self._tokens = tokens(text)
        self._next = 0
        self._depth = 0

    @property
    def token(self) -> Token:
        """Next token."""
        return self._tokens[self._next]

    def take(self, kind: Kind, *texts: str) -> Token | None:
        """Consume and return the next token, if it is one of these."""
        token = self.token
        if token.kind is not kind or (texts and token.text not in texts):
            return None
        self._next += kind is not Kind.END
        return token

    def need(self, kind: Kind, text: str) -> Token:
        return self.take(kind, text) or self.fail(f"{text} is missing before {self.token}")

    def fail(self, problem: str, at: int | None = None) -> NoReturn:
        raise FilterError(self.text, self.token.at if at is None else at, problem)

    @contextmanager
    def deeper(self) -> Generator[None]:
        if self._depth == DEEPEST:
            self.fail(f"parentheses, NOT and signs go {DEEPEST} levels deep and no deeper")
        self._depth += 1
        yield
        self._depth -= 1

    def call(self) -> Token | None:
        """Consume the name of a function and its opening parenthesis, and return the name; None where there is no
        call."""
        token = self.token
        if token.kind is not Kind.WORD:
            return None
        after = self._tokens[self._next + 1]
        if after.kind is not Kind.SIGN or after.text != "(":
            return None
        self._next += 2
        return token
