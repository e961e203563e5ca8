"""Columns on a terminal or in a file."""

from __future__ import annotations

import os
import sys
import unicodedata

from peeklock.cli.escaping import escaped

_COLOURS = {"complete": "32", "abandon": "33", "dead_letter": "31"}


WHOLE = frozenset({"message"})
"""Columns whose cells are never cut: ids often begin alike, and are looked up."""


class Table:
    """Prints rows at once, in columns of fixed widths; 0 is for the last column, which is not cut. Colours only on a terminal,
    unless NO_COLOR is set (https://no-color.org)."""

    def __init__(self, **columns: int) -> None:
        self.columns = columns
        self.headed = False
        self.coloured = sys.stdout.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"

    def row(self, *cells: object, colour: str = "") -> None:
        if not self.headed:
            self.headed = True
            self._print(self._join(tuple(self.columns)))
        line = self._join(cells)
        code = _COLOURS.get(colour)
        self._print(f"\x1b[{code}m{line}\x1b[0m" if self.coloured and code else line)

    def _join(self, cells: tuple[object, ...]) -> str:
        columns = zip(cells, self.columns.items(), strict=True)
        return "  ".join(_fit(str(cell), width, whole=name in WHOLE) for cell, (name, width) in columns).rstrip()

    def line(self, text: str) -> None:
        """Print a text of any number of lines."""
        self._print(escaped(text))

    def _print(self, text: str) -> None:
        encoding = sys.stdout.encoding or "utf-8"
        print(text.encode(encoding, "backslashreplace").decode(encoding))


def _fit(text: str, width: int, *, whole: bool) -> str:
    """Pad a text to a width on the terminal, and cut it unless `whole`. It is escaped: ids come from producers."""
    text = escaped(text, breaks="")
    if not width or (whole and sum(map(_size, text)) >= width):
        return text
    shown, used = "", 0
    for c in text:
        size = _size(c)
        if used + size > width:
            return shown[: len(shown) - 1] + "…" if shown else "…"
        shown, used = shown + c, used + size
    return shown + " " * (width - used)


def _size(character: str) -> int:
    if unicodedata.combining(character):
        return 0
    return 2 if unicodedata.east_asian_width(character) in "WF" else 1
