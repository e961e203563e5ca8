"""The table `[tool.peeklock.dev]` of a project's pyproject.toml."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from peeklock.dev.example import EXAMPLE
from peeklock.errors import ConfigError
from peeklock.keywords import nearest
from peeklock.platform_registry import PLATFORMS, DevSupport, find_platform, platforms

TABLE = "pyproject.toml, [tool.peeklock.dev]"

_ENTRY = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*:[A-Za-z_]\w*")


@dataclass(frozen=True, slots=True, kw_only=True)
class Project:
    """A folder, and its entries by platform, for the platforms that it uses."""

    root: Path
    entries: Mapping[str, Sequence[str]]
    """Bound functions, as `module:function`, or the one folder with an app."""

    def only(self, chosen: Sequence[str]) -> Project:
        """Return the project with these platforms alone; with all where none is chosen. Raises ConfigError for a platform
        that the project has nothing for."""
        wrong = [name for name in chosen if name not in self.entries]
        if wrong:
            raise ConfigError(f"this project has nothing for {wrong[0]}; it would be in pyproject.toml:\n\n{EXAMPLE}")
        kept = {name: values for name, values in self.entries.items() if not chosen or name in chosen}
        return replace(self, entries=kept)


def load(root: Path) -> Project:
    """Return the project in a folder. Raises ConfigError, with an example, where the table is missing, wrong, or names
    nothing to run."""
    file = root / "pyproject.toml"
    try:
        document = tomllib.loads(file.read_text("utf-8"))
    except FileNotFoundError:
        raise ConfigError(
            f"no pyproject.toml in {root}: run it in the project's folder, where that file says what to run:\n\n{EXAMPLE}"
        ) from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as exc:
        raise ConfigError(f"{file}: {exc}") from None
    table: Any = document
    for name in ("tool", "peeklock", "dev"):
        table = table.get(name) if isinstance(table, dict) else None
    if not isinstance(table, dict) or not table:
        raise ConfigError(f"pyproject.toml does not say what to run:\n\n{EXAMPLE}")
    entries = {name: _entries(name, value, support_of(name), root) for name, value in table.items()}
    ordered = sorted(filter(entries.get, entries), key=[*PLATFORMS, *entries].index)
    if not ordered:
        raise ConfigError(f"{TABLE} names nothing to run; for instance:\n\n{EXAMPLE}")
    return Project(root=root, entries={name: entries[name] for name in ordered})


def support_of(name: str) -> DevSupport:
    """Return how `peeklock dev` runs a platform. Raises ConfigError where it does not."""
    platform = find_platform(name)
    if platform is None or platform.dev is None:
        names = [name for name, platform in platforms().items() if platform.dev]
        raise ConfigError(f"{TABLE}: {name!r} is no platform that `peeklock dev` runs; {nearest(name, names)}")
    return platform.dev


def _entries(platform: str, value: Any, support: DevSupport, root: Path) -> Sequence[str]:
    if support.app_file:
        return (_folder(platform, value, support.app_file, root),)
    entries = [value] if isinstance(value, str) else value
    if not isinstance(entries, list) or not all(
        isinstance(entry, str) and _ENTRY.fullmatch(entry) for entry in entries
    ):
        raise ConfigError(f"{TABLE}: {platform} = {value!r} is no list of module:function")
    return tuple(entries)


def _folder(platform: str, value: Any, app_file: str, root: Path) -> str:
    folder = root / value if isinstance(value, str) else root
    if not isinstance(value, str) or not (folder / app_file).is_file():
        raise ConfigError(f"{TABLE}: {platform} = {value!r} is no folder with a {app_file}")
    return str(folder)
