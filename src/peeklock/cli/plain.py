"""Text of others on a terminal: a producer, a queue and a function may write anything, and a terminal acts on some of it."""

from __future__ import annotations


def plain(text: str) -> str:
    """The text with its line breaks and tabs; every other character that is not printed is shown as an escape."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() or c in "\n\t" else c.encode("unicode_escape").decode() for c in text)
