"""Text of others on a terminal: a producer, a queue and a function may write anything, and a terminal acts on some of it."""

from __future__ import annotations


def escaped(text: str, breaks: str = "\n\t") -> str:
    """The text with its line breaks and tabs, or as many of these as a place has room for; every other character that is
    not printed is shown as an escape."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() or c in breaks else c.encode("unicode_escape").decode() for c in text)
