"""What is in a bundle: files by their path in it. What is left out of it is decided here."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import peeklock
from peeklock.errors import ConfigError


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One file."""

    part: str
    """Whose it is: a distribution, `peeklock`, or the project's first folder."""
    data: bytes
    version: str = ""


Entries = Mapping[str, Entry]

NEVER = frozenset({"infra", "emulators", "cli", "dev", "bundle", "testing.py", "replay", "pytest_plugin.py"})
"""Of peeklock itself: what runs on a laptop or in a pipeline."""

_OWN = re.compile(
    r"requirements.*\.(txt|in)|test_.*\.py|conftest\.py|local\.settings\.json|tests?|__pycache__|.*\.py[co]|\..*"
)
# `local.settings.json` holds the secrets of a laptop: https://learn.microsoft.com/azure/azure-functions/functions-develop-local


def library() -> Entries:
    """peeklock, as far as a function needs it."""
    folder = Path(peeklock.__file__).parent
    files = (path for path in sorted(folder.rglob("*.py")) if path.relative_to(folder).parts[0] not in NEVER)
    return {
        f"peeklock/{path.relative_to(folder).as_posix()}": Entry(part="peeklock", data=path.read_bytes())
        for path in files
    }


def own(folder: Path, sources: Iterable[str], root: str | None) -> Entries:
    """The project's code. Raises ConfigError for what is not there, and for a link that is not followed."""
    found: dict[str, Entry] = {}
    for source in sources:
        for path in (*_parents(folder, source), *_files(folder, source)):
            place = path.relative_to(folder).as_posix().removeprefix("src/")
            found[place] = Entry(part=PurePosixPath(place).parts[0], data=path.read_bytes())
    if root is not None:
        at_root = {
            path.relative_to(folder / root).as_posix(): Entry(part=f"{root}/", data=path.read_bytes())
            for path in _files(folder, root)
        }
        return merged(found, at_root)
    return found


def _parents(folder: Path, source: str) -> list[Path]:
    """`__init__.py` of the packages around a source, without which it is no part of them."""
    above = [folder / parent / "__init__.py" for parent in PurePosixPath(source).parents if parent.name]
    return [_inside(path, folder) for path in above if path.is_file()]


def _files(folder: Path, source: str) -> list[Path]:
    start = folder / source
    if ".." in PurePosixPath(source).parts or PurePosixPath(source).is_absolute():
        raise ConfigError(f"{source!r} is not below {folder}: a bundle takes what lies in the project's folder")
    if start.is_file():
        return [_inside(start, folder)]
    if not start.is_dir():
        raise ConfigError(f"there is no {source!r} in {folder}; correct [tool.peeklock.bundle] in pyproject.toml")
    below = [path for path in sorted(_inside(start, folder).rglob("*")) if not _left_out(path.relative_to(start))]
    for path in below:
        if path.is_symlink() and path.is_dir():
            raise ConfigError(
                f"{path} is a link to a folder, which a bundle does not follow; put the folder itself there"
            )
    return [_inside(path, folder) for path in below if path.is_file() or path.is_symlink()]


def _inside(path: Path, folder: Path) -> Path:
    """The path itself. Raises ConfigError where it leads out of the project's folder, or to what is left out of bundles:
    by a link a bundle would publish what nobody named, such as a key."""
    target = Path(os.path.realpath(path))  # which takes a loop for the file itself
    if not target.is_relative_to(os.path.realpath(folder)):
        raise ConfigError(f"{path} is a link that leads to {target}, outside of {folder}; put the file itself there")
    if not target.exists():
        raise ConfigError(f"{path} is a link to {target}, which is not there; remove it, or mend it")
    if target.name != path.name and _OWN.fullmatch(target.name):
        raise ConfigError(f"{path} is a link to {target.name}, which a bundle leaves out; remove it")
    return path


def _left_out(path: Path) -> bool:
    return any(_OWN.fullmatch(part) for part in path.parts)


def merged(*several: Entries) -> dict[str, Entry]:
    """All of them. Raises ConfigError for two different files in one place."""
    found: dict[str, Entry] = {}
    for entries in several:
        for path, entry in entries.items():
            there = found.setdefault(path, entry)
            if there.data != entry.data:
                raise ConfigError(f"{path} comes from {there.part} and from {entry.part}; rename one, or leave one out")
    return found
