"""The table `[tool.peeklock.bundle]` of a project's pyproject.toml."""

from __future__ import annotations

import difflib
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from peeklock.bundle.targets import TARGETS
from peeklock.errors import ConfigError

EXAMPLE = """\
  [tool.peeklock.bundle]
  queues = ["app.queues"]                    # modules that declare queues

  [tool.peeklock.bundle.aws]
  sources = ["app"]                          # folders and files of your own code
  lock = "requirements-aws.txt"              # everything third-party, pinned and with hashes
  budget = 25                                # megabytes, unzipped"""

_KEYS = ("sources", "root", "include", "exclude", "lock", "budget", "only")


@dataclass(frozen=True, slots=True, kw_only=True)
class BundleConfig:
    """Settings of one platform's bundle. Paths are from the project's folder."""

    folder: Path
    lock: Path
    sources: tuple[str, ...] = ()
    """Folders and files, in the bundle under the same path; a leading `src/` is left out, as it is no package."""
    root: str | None = None
    """A folder whose files lie at the bundle's root, where Azure and Google look for `function_app.py` and `main.py`."""
    include: tuple[str, ...] = ()
    """Files that are taken whatever they are, and folders in which .gitignore does not count."""
    exclude: tuple[str, ...] = ()
    """Patterns of what is left out of sources and root."""
    queues: tuple[str, ...] = ()
    """Modules that declare queues."""
    budget: float | None = None
    """Megabytes, unzipped."""
    only: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Folders that are taken of a third-party folder, by that folder."""


def load(folder: Path, platform: str) -> BundleConfig:
    """Return the settings of a platform's bundle. Raises ConfigError, with an example, where the table is missing or wrong."""
    table = _table(folder)
    if platform not in table:
        raise ConfigError(f"pyproject.toml does not say what is in a bundle for {platform}; for instance:\n\n{EXAMPLE}")
    _check_keys(table, (*TARGETS, "queues"), "[tool.peeklock.bundle]")
    return _wanted(folder, platform, table[platform], table)


def queue_modules(folder: Path) -> tuple[str, ...]:
    """Return the modules that declare a project's queues. Raises ConfigError, with an example, where none is named."""
    return _queues(_table(folder))


def _table(folder: Path) -> dict[str, Any]:
    file = folder / "pyproject.toml"
    try:
        document = tomllib.loads(file.read_text("utf-8"))
    except FileNotFoundError:
        raise ConfigError(f"no pyproject.toml in {folder}: run it in the project's folder") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as exc:
        raise ConfigError(f"{file}: {exc}") from None
    table: dict[str, Any] = document.get("tool", {}).get("peeklock", {}).get("bundle", {})
    return table


def _queues(table: dict[str, Any]) -> tuple[str, ...]:
    modules = _texts(table.get("queues", []), "queues", "[tool.peeklock.bundle]")
    if not modules:
        raise ConfigError(
            "pyproject.toml, [tool.peeklock.bundle]: name the modules that declare queues, as queues = [...]"
        )
    return modules


def _wanted(folder: Path, platform: str, own: dict[str, Any], table: dict[str, Any]) -> BundleConfig:
    where = f"[tool.peeklock.bundle.{platform}]"
    _check_keys(own, _KEYS, where)
    root, only = own.get("root"), own.get("only", {})
    if TARGETS[platform].wheels and only:
        raise ConfigError(f"pyproject.toml, {where}: only = ... cannot be, since wheels are taken whole; leave it out")
    return BundleConfig(
        folder=folder,
        lock=folder / _text(own, "lock", where),
        sources=_texts(own.get("sources", []), "sources", where),
        root=None if root is None else _text(own, "root", where),
        include=_texts(own.get("include", []), "include", where),
        exclude=_texts(own.get("exclude", []), "exclude", where),
        budget=_budget(own.get("budget"), where),
        only={path: _texts(names, f"only.{path!r}", where) for path, names in only.items()},
        queues=_queues(table),
    )


def _check_keys(table: Iterable[str], allowed: Iterable[str], where: str) -> None:
    for key in table:
        if key not in allowed:
            near = difflib.get_close_matches(key, list(allowed), 1)
            hint = f"did you mean {near[0]!r}?" if near else f"known: {', '.join(allowed)}"
            raise ConfigError(f"pyproject.toml, {where}: {key!r} is unknown; {hint}")


def _text(table: dict[str, Any], key: str, where: str) -> str:
    value = table.get(key)
    if not isinstance(value, str) or not value:
        raise ConfigError(f"pyproject.toml, {where}: {key} = {value!r} is no path from the project's folder")
    return value


def _texts(value: object, key: str, where: str) -> tuple[str, ...]:
    if not isinstance(value, list) or not all(isinstance(item, str) and item for item in value):
        raise ConfigError(f"pyproject.toml, {where}: {key} = {value!r} is no list of names")
    return tuple(value)


def _budget(value: object, where: str) -> float | None:
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or value <= 0:
        raise ConfigError(f"pyproject.toml, {where}: budget = {value!r} is no number of megabytes over 0")
    return float(value)
