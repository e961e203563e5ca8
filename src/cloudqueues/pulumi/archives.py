"""Bytes of an archive, from the form that a program sends over the wire."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

FIRST_DAY = (1980, 1, 1, 0, 0, 0)
"""Earliest date of a zip entry. All entries have it, so equal archives have equal bytes."""


def zip_bytes(value: Mapping[str, Any], folder: Path) -> bytes:
    """Return an archive as a zip file. Relative paths are resolved from `folder`. Raises OSError for a missing file."""
    path = value.get("path")
    if path and (folder / path).is_file():
        return Path(folder, path).read_bytes()
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in sorted(_files(value, folder)):
            archive.writestr(zipfile.ZipInfo(name, FIRST_DAY), content)
    return buffer.getvalue()


def _files(value: Mapping[str, Any], folder: Path, within: str = "") -> Iterator[tuple[str, bytes]]:
    if "assets" in value:
        for name, asset in value["assets"].items():
            yield from _files(asset, folder, f"{within}/{name}" if within else name)
    elif "path" in value:
        yield from _below(folder / value["path"], within)
    else:
        yield within, str(value.get("text", "")).encode()


def _below(path: Path, within: str) -> Iterator[tuple[str, bytes]]:
    if path.is_file():
        yield within or path.name, path.read_bytes()
        return
    for file in path.rglob("*"):
        if file.is_file():
            name = file.relative_to(path).as_posix()
            yield f"{within}/{name}" if within else name, file.read_bytes()
