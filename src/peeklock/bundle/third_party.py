"""Third-party packages as an installer laid them down: which of their files a function needs."""

from __future__ import annotations

import csv
import difflib
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path, PurePosixPath

from peeklock.bundle.contents import Entries, Entry
from peeklock.errors import ConfigError

_METADATA = re.compile(rb"importlib(\.|_| import (\w+, *)*)metadata|pkg_resources")

_READ_AT_RUN_TIME = frozenset({"METADATA", "entry_points.txt"})
# What importlib.metadata answers from: versions, requirements, entry points.
# https://packaging.python.org/specifications/recording-installed-packages/


def read(folder: Path) -> Entries:
    """The files by path, each with its distribution's name and version, without what no function needs."""
    owners = _owners(folder)
    found = {}
    for path in sorted(folder.rglob("*")):
        place = path.relative_to(folder).as_posix()
        if path.is_file() and _needed(PurePosixPath(place)):
            name, version = owners.get(place, ("other", ""))
            found[place] = Entry(part=name, version=version, data=path.read_bytes())
    if any(path.endswith(".py") and _METADATA.search(entry.data) for path, entry in found.items()):
        return found
    return {path: entry for path, entry in found.items() if not _is_metadata(PurePosixPath(path))}


def _owners(folder: Path) -> dict[str, tuple[str, str]]:
    """Name and version behind each file, from the installer's records: a namespace such as `google` has many owners."""
    owners = {}
    for info in sorted(folder.glob("*.dist-info")):
        name, _, version = info.name.removesuffix(".dist-info").partition("-")
        with (info / "RECORD").open(encoding="utf-8", newline="") as record:
            owners.update({row[0]: (name.replace("_", "-"), version) for row in csv.reader(record) if row})
    return owners


def _is_metadata(path: PurePosixPath) -> bool:
    return path.parts[0].endswith(".dist-info")


def _needed(path: PurePosixPath) -> bool:
    """Not: commands, which name the laptop's Python; compiled files; tests; stubs; records of the installation."""
    *folders, name = path.parts
    if _is_metadata(path):
        return len(folders) == 1 and name in _READ_AT_RUN_TIME
    if not folders:
        return not name.startswith(".")
    return (
        folders[0] != "bin"
        and not folders[0].endswith("-stubs")
        and not {"__pycache__", "tests", "test"} & set(folders)
        and not name.endswith((".pyc", ".pyo"))
    )


def only(entries: Entries, choices: Mapping[str, Sequence[str]]) -> Entries:
    """Of each folder that is chosen from, the files in it and the folders named. Raises ConfigError for what is not there."""
    for folder, names in choices.items():
        _check_choice(entries, folder, names)
        dropped = {path for path in entries if (inner := _inner(path, folder)) is not None and inner not in names}
        entries = {path: entry for path, entry in entries.items() if path not in dropped}
    return entries


def _inner(path: str, folder: str) -> str | None:
    """The folder in `folder` that a file is in, if it is in one."""
    inner, slash, _ = path.removeprefix(f"{folder}/").partition("/")
    return inner if slash and path.startswith(f"{folder}/") else None


def _check_choice(entries: Entries, folder: str, names: Sequence[str]) -> None:
    there = sorted(set(_inners(entries, folder)))
    if not there:
        raise ConfigError(f"only: no package has folders in {folder!r}; correct or remove it in pyproject.toml")
    for name in names:
        if name not in there:
            near = difflib.get_close_matches(name, there, 1)
            raise ConfigError(f"only: {folder!r} has no {name!r}" + (f"; did you mean {near[0]!r}?" if near else ""))


def _inners(entries: Entries, folder: str) -> Iterator[str]:
    for path in entries:
        inner = _inner(path, folder)
        if inner is not None:
            yield inner


def wheels(folder: Path) -> Entries:
    """The wheels in a folder. https://packaging.python.org/specifications/binary-distribution-format/"""
    found = {}
    for path in sorted(folder.glob("*.whl")):
        name, version, *_ = path.name.split("-")
        found[path.name] = Entry(part=name.replace("_", "-"), version=version, data=path.read_bytes())
    return found
