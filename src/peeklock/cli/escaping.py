"""Escaping text for a terminal: producers and functions may write control characters."""

from __future__ import annotations


def escaped(text: str, breaks: str = "\n\t") -> str:
    """Return a text in which every character that is not printable is an escape, but for `breaks`."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() or c in breaks else c.encode("unicode_escape").decode() for c in text)
