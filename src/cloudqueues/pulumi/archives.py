"""The bytes of an archive that a program gives, from the wire's form of it."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

FIRST_DAY = (1980, 1, 1, 0, 0, 0)
"""Of a zip's calendar: the same archive has the same bytes."""


def zipped(value: Mapping[str, Any], folder: Path) -> bytes:
    """A zip file. Relative paths are the program's, from `folder`. Raises OSError for a file that is not there."""
    path = value.get("path")
    if path and (folder / path).is_file():
        return Path(folder, path).read_bytes()
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in sorted(_files(value, folder)):
            archive.writestr(zipfile.ZipInfo(name, FIRST_DAY), content)
    return made.getvalue()


def _files(value: Mapping[str, Any], folder: Path, within: str = "") -> Iterator[tuple[str, bytes]]:
    if "assets" in value:
        for name, one in value["assets"].items():
            yield from _files(one, folder, f"{within}/{name}" if within else name)
    elif "path" in value:
        yield from _below(folder / value["path"], within)
    else:
        yield within, str(value.get("text", "")).encode()


def _below(path: Path, within: str) -> Iterator[tuple[str, bytes]]:
    if path.is_file():
        yield within or path.name, path.read_bytes()
        return
    for one in path.rglob("*"):
        if one.is_file():
            inner = one.relative_to(path).as_posix()
            yield f"{within}/{inner}" if within else inner, one.read_bytes()
