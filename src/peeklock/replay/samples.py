"""Sample events: files of JSON, each with its expected results beside it."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from peeklock.errors import PeeklockError
from peeklock.keywords import nearest
from peeklock.platform_registry import module_of, platforms

EXPECTED = ".expected.json"

FIELDS = {"queue": str, "unwrap": str, "at": str, "outcomes": list, "response": object, "sent": list}
"""Fields of an expected file, with their types."""


class ReplayError(PeeklockError):
    """A replay that cannot be run; the text names the fix."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """A sample event and its expected results."""

    name: str
    event: Any
    expected: Mapping[str, Any] | None = None
    path: Path | None = None

    def setting(self, name: str) -> str | None:
        """Return a setting of the expected file, `unwrap`, `queue` or `at`; None where it is not there."""
        value = (self.expected or {}).get(name)
        return value if isinstance(value, str) else None


def samples(paths: Sequence[str]) -> list[Sample]:
    """Return the events of files and folders, `-` for standard input. Raises ReplayError, with every file that is no event."""
    events: list[Sample] = []
    problems: list[str] = []
    for path in _files(paths):
        try:
            events.append(_sample(path))
        except ReplayError as exc:
            problems.append(str(exc))
        except OSError as exc:
            problems.append(f"{path}: {exc.strerror or exc}")
    if problems:
        raise ReplayError("\n".join(problems))
    return events


def _files(paths: Sequence[str]) -> Iterator[str]:
    for path in paths:
        if path == "-" or not Path(path).is_dir():
            yield path
            continue
        inside = sorted(str(file) for file in Path(path).rglob("*.json") if not file.name.endswith(EXPECTED))
        if not inside:
            raise ReplayError(f"{path}: no events in this folder; an event is a file *.json")
        yield from inside


def _sample(path: str) -> Sample:
    if path == "-":
        return Sample(name="-", event=_json(path, sys.stdin.buffer.read()))
    file = Path(path)
    expected = expected_path(file)
    return Sample(
        name=f"{file.parent.name}/{file.stem}" if file.parent.name else file.stem,
        event=_json(path, file.read_bytes()),
        expected=_expected(expected) if expected.is_file() else None,
        path=file,
    )


def _json(path: str, data: bytes) -> Any:
    try:
        return json.loads(data)
    except (ValueError, RecursionError) as exc:
        raise ReplayError(f"{path}: not JSON ({exc}); an event is one JSON document a file") from None


def _expected(file: Path) -> Mapping[str, Any]:
    """Return the content of an expected file. Raises ReplayError for a name that it cannot have, and for a value of another
    type: it would be ignored."""
    try:
        content = json.loads(file.read_bytes())
    except (ValueError, RecursionError) as exc:
        raise ReplayError(f"{file}: not JSON ({exc}); correct it, or remove it and let --accept write it") from None
    if not isinstance(content, dict):
        raise ReplayError(f"{file}: not an object of JSON; remove it and let --accept write it")
    for name, value in content.items():
        if name not in FIELDS:
            raise ReplayError(f"{file}: {name!r} is unknown; {nearest(name, FIELDS)}")
        if not isinstance(value, FIELDS[name]):
            raise ReplayError(f"{file}, {name}: {value!r} is no {FIELDS[name].__name__}")
    return content


def expected_path(file: Path) -> Path:
    """Return the file with the expected results of a sample event."""
    return file.with_name(file.stem + EXPECTED)


def platform_of(sample: Sample, requested: str | None) -> str:
    """Return the platform of an event: the requested one, or else by the event's shape. Raises ReplayError for a shape that no
    platform has."""
    if requested is not None:
        return requested
    modules = {name: module_of(name) for name in platforms()}
    for name, module in modules.items():
        if module.matches(sample.event):
            return name
    shapes = "".join(f"\n  {name}: {module.SHAPE}" for name, module in modules.items())
    raise ReplayError(
        f"{sample.name}: no platform's event; they look as follows, or say which it is with --platform{shapes}"
    )


def check_shape(sample: Sample, platform: str) -> None:
    """Raise ReplayError for an event that has the shape of another platform's."""
    if not module_of(platform).matches(sample.event):
        theirs = [name for name in platforms() if module_of(name).matches(sample.event)]
        hint = f"it looks like one of {theirs[0]}: leave --platform out" if theirs else "correct --platform"
        raise ReplayError(f"{sample.name}: no event of {platform}; {hint}")
