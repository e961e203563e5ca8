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

_TESTS = frozenset({"tests", "test"})

_IMPORT = re.compile(
    rb"^[ \t]*(?:from[ \t]+(\.*)([\w.]*)[ \t]+import[ \t]+(\([^)]*\)|[^\n#]*)|import[ \t]+([^\n#]*))", re.MULTILINE
)

_READ_AT_RUN_TIME = frozenset({"METADATA", "entry_points.txt"})
# What importlib.metadata answers from: versions, requirements, entry points.
# https://packaging.python.org/specifications/recording-installed-packages/


def read(folder: Path) -> Entries:
    """Return the files by path, each with its distribution's name and version, without those that no function needs."""
    owners = _owners(folder)
    entries: dict[str, Entry] = {}
    tests: dict[str, Entry] = {}
    for path in sorted(folder.rglob("*")):
        place = PurePosixPath(path.relative_to(folder).as_posix())
        if path.is_file() and _needed(place):
            name, version = owners.get(str(place), ("other", ""))
            group = tests if _is_test(place) else entries
            group[str(place)] = Entry(part=name, version=version, data=path.read_bytes())
    entries |= imported_tests(entries, tests)
    if any(path.endswith(".py") and _METADATA.search(entry.data) for path, entry in entries.items()):
        return entries
    return {path: entry for path, entry in entries.items() if not _is_metadata(PurePosixPath(path))}


def _owners(folder: Path) -> dict[str, tuple[str, str]]:
    """Return name and version of each file's distribution, from the installer's records: a namespace such as `google` has many."""
    owners = {}
    for info in sorted(folder.glob("*.dist-info")):
        name, _, version = info.name.removesuffix(".dist-info").partition("-")
        with (info / "RECORD").open(encoding="utf-8", newline="") as record:
            owners.update({row[0]: (name.replace("_", "-"), version) for row in csv.reader(record) if row})
    return owners


def _is_metadata(path: PurePosixPath) -> bool:
    return path.parts[0].endswith(".dist-info")


def _needed(path: PurePosixPath) -> bool:
    """Return False for commands, which name the laptop's Python, compiled files, stubs, and records of the installation."""
    *folders, name = path.parts
    if _is_metadata(path):
        return len(folders) == 1 and name in _READ_AT_RUN_TIME
    if not folders:
        return not name.startswith(".")
    return (
        folders[0] != "bin"
        and not folders[0].endswith("-stubs")
        and "__pycache__" not in folders
        and not name.endswith((".pyc", ".pyo"))
    )


def _is_test(path: PurePosixPath) -> bool:
    return not _is_metadata(path) and bool(_TESTS & set(path.parts[:-1]))


def imported_tests(entries: Entries, tests: Entries) -> dict[str, Entry]:
    """Return the modules below `tests` folders that other modules import, and what these import of them: numpy.testing, for
    one, imports numpy._core.tests. Their data stays out."""
    kept: dict[str, Entry] = {}
    new: Entries = entries
    while new:
        names = {name for path, entry in new.items() for name in _test_modules(path, entry.data)}
        paths = {path for name in names for path in _files_of(name)}
        new = {path: tests[path] for path in sorted(paths) if path in tests and path not in kept}
        kept |= new
    return kept


def _test_modules(path: str, data: bytes) -> Iterator[str]:
    """Yield the modules with `test` or `tests` in their names that a file imports."""
    if not path.endswith(".py") or not re.search(rb"import.*\btests?\b|\btests?\b.*import", data):
        return
    package = list(PurePosixPath(path).parts[:-1])
    for match in _IMPORT.finditer(data):
        dots, module, names, plain = (group.decode("utf-8", "replace") if group else "" for group in match.groups())
        base = (
            [*package[: len(package) + 1 - len(dots)], *filter(None, module.split("."))] if dots else module.split(".")
        )
        wanted = plain or names.strip("()")
        for name in re.findall(r"[\w.]+(?=\s+as\b|\s*(?:,|$))", wanted, re.MULTILINE) or ["*"]:
            full = name.split(".") if plain else [*base, name]
            if _TESTS & set(full):
                yield ".".join(full)


def _files_of(module: str) -> Iterator[str]:
    """Yield the paths that a module may have, or a name in a module, with the packages around it."""
    parts = module.split(".")
    for length in range(1, len(parts) + 1):
        place = "/".join(parts[:length])
        yield from (f"{place}.py", f"{place}/__init__.py")


def only(entries: Entries, choices: Mapping[str, Sequence[str]]) -> Entries:
    """Return the entries with only some folders of some folders. Raises ConfigError for a folder that is not there."""
    for folder, names in choices.items():
        _check_choice(entries, folder, names)
        dropped = {path for path in entries if (inner := _inner(path, folder)) is not None and inner not in names}
        entries = {path: entry for path, entry in entries.items() if path not in dropped}
    return entries


def _inner(path: str, folder: str) -> str | None:
    """Return the folder below `folder` that a file is in; None where it is in none."""
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
    """Return the wheels in a folder. https://packaging.python.org/specifications/binary-distribution-format/"""
    entries = {}
    for path in sorted(folder.glob("*.whl")):
        name, version, *_ = path.name.split("-")
        entries[path.name] = Entry(part=name.replace("_", "-"), version=version, data=path.read_bytes())
    return entries
