"""Tables of Markdown."""

from __future__ import annotations

from collections.abc import Iterable, Sequence


def table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [heads, ["---"] * len(heads), *rows]
    return "".join(f"| {' | '.join(_cell(cell) for cell in line)} |\n" for line in lines)


def _cell(text: str) -> str:
    return str(text).replace("|", "\\|").replace("\n", " ")


def link(text: str, source: str) -> str:
    return f"[{text}]({source})" if source.startswith("https://") else text


def page(title: str, first: str, sections: Iterable[tuple[str, str]]) -> str:
    """`first` says what it is for; a section is a heading and a text."""
    body = "".join(f"\n## {heading}\n\n{text}" for heading, text in sections)
    return f"# {title}\n\n{first}\n{body}"
