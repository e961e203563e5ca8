"""Sample events: files of JSON, each with what is expected of it beside it."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from peeklock.errors import PeeklockError
from peeklock.registry import module_of, platforms

EXPECTED = ".expected.json"


class ReplayError(PeeklockError):
    """A replay that cannot be run; the text names the fix."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """A sample event, and what is expected of it."""

    name: str
    event: Any
    expected: Mapping[str, Any] | None = None
    path: Path | None = None

    def said(self, name: str) -> str | None:
        """Return what the expected file says of the event itself: `unwrap`, `queue`, or `at`; None where it says nothing."""
        value = (self.expected or {}).get(name)
        return value if isinstance(value, str) else None


def samples(paths: Sequence[str]) -> list[Sample]:
    """The events of files and folders, `-` for standard input. Raises ReplayError naming every file that is none."""
    found: list[Sample] = []
    problems: list[str] = []
    for path in _files(paths):
        try:
            found.append(_sample(path))
        except (ValueError, RecursionError) as exc:
            problems.append(f"{path}: not JSON ({exc}); an event is one JSON document a file")
        except OSError as exc:
            problems.append(f"{path}: {exc.strerror or exc}")
    if problems:
        raise ReplayError("\n".join(problems))
    return found


def _files(paths: Sequence[str]) -> Iterator[str]:
    for path in paths:
        if path == "-" or not Path(path).is_dir():
            yield path
            continue
        inside = sorted(str(one) for one in Path(path).rglob("*.json") if not one.name.endswith(EXPECTED))
        if not inside:
            raise ReplayError(f"{path}: no events in this folder; an event is a file *.json")
        yield from inside


def _sample(path: str) -> Sample:
    if path == "-":
        return Sample(name="-", event=json.loads(sys.stdin.buffer.read()))
    file = Path(path)
    expected = expected_path(file)
    return Sample(
        name=f"{file.parent.name}/{file.stem}" if file.parent.name else file.stem,
        event=json.loads(file.read_bytes()),
        expected=json.loads(expected.read_bytes()) if expected.is_file() else None,
        path=file,
    )


def expected_path(file: Path) -> Path:
    """The file beside a sample event that says what becomes of it."""
    return file.with_name(file.stem + EXPECTED)


def platform_of(sample: Sample, wished: str | None) -> str:
    """The platform whose event a sample is. Raises ReplayError for an event that no platform recognises."""
    if wished is not None:
        return wished
    modules = {name: module_of(name) for name in platforms()}
    for name, module in modules.items():
        if module.matches(sample.event):
            return name
    shapes = "".join(f"\n  {name}: {module.SHAPE}" for name, module in modules.items())
    raise ReplayError(
        f"{sample.name}: no platform's event; they look as follows, or say which it is with --platform{shapes}"
    )
