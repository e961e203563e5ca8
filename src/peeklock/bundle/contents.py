"""The contents of a bundle, as files by their path in it, and the rules for what is left out."""

from __future__ import annotations

import fnmatch
import os
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

import peeklock
from peeklock.bundle.gitignore import Ignored, ignored
from peeklock.bundle.secrets import reason_to_refuse
from peeklock.errors import ConfigError


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """A file of a bundle."""

    part: str
    """Origin: a distribution, `peeklock`, or the project's first folder."""
    data: bytes
    version: str = ""
    source: str = ""
    """Path from the project's folder, of the project's own files."""


Entries = Mapping[str, Entry]

NEVER = frozenset({"infra", "cli", "dev", "bundle", "testing", "replay"})
"""Packages of peeklock itself that run on a laptop or in a pipeline."""

_LEFT_OUT = re.compile(
    r"requirements.*\.(txt|in)|test_.*\.py|conftest\.py|local\.settings\.json|tests?|__pycache__|.*\.py[co]|\..*"
    r"|node_modules|venv|site-packages|.*\.egg-info|.*\.(db|sqlite3?)(-(wal|shm|journal))?"
)
# `local.settings.json` holds the secrets of a laptop: https://learn.microsoft.com/azure/azure-functions/functions-develop-local

_DATABASE = b"SQLite format 3\0"
"""https://www.sqlite.org/fileformat.html"""


def library() -> Entries:
    """Return the files of peeklock that a function needs."""
    folder = Path(peeklock.__file__).parent
    files = (path for path in sorted(folder.rglob("*.py")) if path.relative_to(folder).parts[0] not in NEVER)
    return {
        f"peeklock/{path.relative_to(folder).as_posix()}": Entry(part="peeklock", data=path.read_bytes())
        for path in files
    }


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """Rules for the files below the sources. Paths are from the project's folder."""

    folder: Path
    include: tuple[str, ...] = ()
    """Files that are taken whatever they are, and folders in which .gitignore does not count."""
    exclude: tuple[str, ...] = ()
    """Shell patterns, where `*` matches slashes, too; a folder's name is enough."""
    ignored: Ignored = field(default_factory=Ignored)

    def place(self, path: Path) -> str:
        return path.relative_to(self.folder).as_posix()

    def takes(self, path: Path, start: Path) -> bool:
        """Return whether a file below a source, `start`, is taken."""
        place = self.place(path)
        if place in self.include:
            return True
        if _named(path.relative_to(start)) or any(_matches(place, pattern) for pattern in self.exclude):
            return False
        return place not in self.ignored or any(_matches(place, pattern) for pattern in self.include)


def own(
    folder: Path, sources: Iterable[str], root: str | None, *, include: Sequence[str] = (), exclude: Sequence[str] = ()
) -> Entries:
    """Return the project's own files. Raises ConfigError for a missing source, for a link that is not followed, and for files
    that look like secrets."""
    sources = tuple(sources)
    files = tuple(source for source in sources if (folder / source).is_file())
    selection = Selection(folder=folder, include=(*include, *files), exclude=tuple(exclude), ignored=ignored(folder))
    entries: dict[str, Entry] = {}
    for source in sources:
        for path in (*_parents(selection, source), *_files(selection, source)):
            place = selection.place(path).removeprefix("src/")
            entries[place] = _entry(selection, path, PurePosixPath(place).parts[0])
    if root is not None:
        start = folder / root
        at_root = {
            path.relative_to(start).as_posix(): _entry(selection, path, f"{root}/") for path in _files(selection, root)
        }
        entries = merged(entries, at_root)
    _check_includes(include, entries)
    _check_secrets(selection, entries)
    return {path: entry for path, entry in entries.items() if _is_kept(selection, entry)}


def _entry(selection: Selection, path: Path, part: str) -> Entry:
    try:
        return Entry(part=part, data=path.read_bytes(), source=selection.place(path))
    except OSError as exc:
        raise ConfigError(f"{path}: {exc.strerror or exc}") from None


def _is_kept(selection: Selection, entry: Entry) -> bool:
    return entry.source in selection.include or not entry.data.startswith(_DATABASE)


def _check_includes(include: Sequence[str], entries: Entries) -> None:
    for name in include:
        if not any(_matches(entry.source, name) for entry in entries.values()):
            raise ConfigError(f"include: no file below sources and root is {name!r} or in it; correct or remove it")


def _check_secrets(selection: Selection, entries: Entries) -> None:
    for entry in entries.values():
        if entry.source in selection.include:
            continue
        target = Path(os.path.realpath(selection.folder / entry.source))
        names = {PurePosixPath(entry.source).name, target.name}
        if why := next(filter(None, (reason_to_refuse(name, entry.data) for name in sorted(names))), None):
            raise ConfigError(
                f"{entry.source} looks like a secret, by {why}, and whoever may read a function may read its bundle: move it"
                f' away, or name it in exclude or .gitignore. If it has to be there: include = ["{entry.source}"], in this'
                " bundle's table of pyproject.toml"
            )


def _check_name(path: Path) -> None:
    """Raise ConfigError for a name that a zip file cannot have."""
    try:
        str(path).encode()
    except UnicodeEncodeError:
        raise ConfigError(f"{str(path)!r}: its name is not UTF-8, as a bundle needs it; rename or exclude it") from None


def _parents(selection: Selection, source: str) -> list[Path]:
    """Return `__init__.py` of the packages around a source, without which it is no part of them."""
    above = [selection.folder / parent / "__init__.py" for parent in PurePosixPath(source).parents if parent.name]
    return [_inside(path, selection) for path in above if path.is_file()]


def _files(selection: Selection, source: str) -> list[Path]:
    folder, start = selection.folder, selection.folder / source
    if ".." in PurePosixPath(source).parts or PurePosixPath(source).is_absolute():
        raise ConfigError(f"{source!r} is not below {folder}: a bundle takes what lies in the project's folder")
    if start.is_file():
        return [_inside(start, selection)]
    if not start.is_dir():
        raise ConfigError(f"there is no {source!r} in {folder}; correct [tool.peeklock.bundle] in pyproject.toml")
    below = [path for path in sorted(_inside(start, selection).rglob("*")) if selection.takes(path, start)]
    for path in below:
        _check_name(path)
        if path.is_symlink() and path.is_dir():
            raise ConfigError(
                f"{path} is a link to a folder, which a bundle does not follow; put the folder itself there"
            )
    files = [_inside(path, selection) for path in below if path.is_file() or path.is_symlink()]
    if not files:
        raise ConfigError(
            f"no file of {source!r} is taken: it is empty, or git ignores it; then name it in include of its table"
        )
    return files


def _inside(path: Path, selection: Selection) -> Path:
    """Return the path itself. Raises ConfigError where it leads out of the project's folder, or to something that is left out
    of bundles: a link would publish a file that the project does not name, such as a key."""
    folder = selection.folder
    real = Path(os.path.realpath(folder))
    target = Path(os.path.realpath(path))  # which takes a loop for the file itself
    if not target.is_relative_to(real):
        raise ConfigError(f"{path} is a link that leads to {target}, outside of {folder}; put the file itself there")
    if not target.exists():
        raise ConfigError(f"{path} is a link to {target}, which is not there; remove it, or mend it")
    if not target.is_file() and not target.is_dir():
        raise ConfigError(f"{path} is a link to {target}, which is no regular file; remove the link")
    place = target.relative_to(real).as_posix()
    if target.name != path.name and _named(Path(target.name)):
        raise ConfigError(f"{path} is a link to {target.name}, which a bundle leaves out; remove it")
    if place != selection.place(path) and place in selection.ignored:
        raise ConfigError(
            f"{path} is a link to {place}, which git ignores; put the file itself there, or remove the link"
        )
    return path


def _named(path: Path) -> bool:
    """Return whether a name in a path is one of those that are always left out."""
    return any(_LEFT_OUT.fullmatch(part) for part in path.parts)


def _matches(place: str, pattern: str) -> bool:
    """Return whether a pattern names a path, or a folder that it is in."""
    return any(fnmatch.fnmatchcase(path, pattern) for path in (place, *map(str, PurePosixPath(place).parents)))


def merged(*several: Entries) -> dict[str, Entry]:
    """Return the entries together. Raises ConfigError for two different files in one place."""
    together: dict[str, Entry] = {}
    for entries in several:
        for path, entry in entries.items():
            there = together.setdefault(path, entry)
            if there.data != entry.data:
                raise ConfigError(f"{path} comes from {there.part} and from {entry.part}; rename one, or leave one out")
    return together
