"""Explaining what is wrong with a project's code: the problem first, then the way to it through the project's own files."""

from __future__ import annotations

import traceback
from collections.abc import Iterator
from pathlib import Path

from peeklock.errors import PeeklockError


def explained(exc: BaseException, root: Path) -> str:
    """Return file, line and problem, and below them the lines of the project that led there, the last one first."""
    places = list(_places(exc, root))
    if not places:
        return _problem(exc)
    first, *rest = places
    return "\n".join([f"{first[0]}: {_problem(exc)}", *_line(first[1]), *(f"  from {where}" for where, _ in rest)])


def _problem(exc: BaseException) -> str:
    if isinstance(exc, PeeklockError):
        return str(exc)
    if isinstance(exc, SyntaxError):
        return f"{type(exc).__name__}: {exc.msg}"
    return "".join(traceback.format_exception_only(exc)).strip()


def _line(source: str | None) -> list[str]:
    return [f"    {source.strip()}"] if source and source.strip() else []


def _places(exc: BaseException, root: Path) -> Iterator[tuple[str, str | None]]:
    """Yield each place in the project with its line of code, the last one first."""
    if isinstance(exc, SyntaxError) and exc.filename:
        yield f"{_relative(exc.filename, root)}, line {exc.lineno}", exc.text
    for frame in reversed(traceback.extract_tb(exc.__traceback__)):
        if _is_own(frame.filename, root):
            yield f"{_relative(frame.filename, root)}, line {frame.lineno}", frame.line


def _is_own(file: str, root: Path) -> bool:
    return Path(file).is_relative_to(root) and "site-packages" not in Path(file).parts


def _relative(file: str, root: Path) -> str:
    return str(Path(file).relative_to(root)) if Path(file).is_relative_to(root) else file
