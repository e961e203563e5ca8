"""What of a project `peeklock dev` runs: the table `[tool.peeklock.dev]` of its pyproject.toml."""

from __future__ import annotations

import difflib
import re
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from peeklock.errors import ConfigError

PLATFORMS = ("sqs", "servicebus", "cloudtasks")

EXAMPLE = """\
  [tool.peeklock.dev]
  sqs = ["app.aws:handler"]             # Lambda handlers, as module:function
  servicebus = "azure"                  # the folder with function_app.py and host.json
  cloudtasks = ["app.gcp:charge_http"]  # functions of functions-framework, as module:function"""

_ENTRY = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*:[A-Za-z_]\w*")


@dataclass(frozen=True, slots=True, kw_only=True)
class Project:
    """Entry points by platform; empty for a platform that it does not use."""

    root: Path
    sqs: tuple[str, ...] = ()
    servicebus: Path | None = None
    cloudtasks: tuple[str, ...] = ()

    @property
    def platforms(self) -> tuple[str, ...]:
        return tuple(name for name in PLATFORMS if getattr(self, name))

    def only(self, chosen: Sequence[str]) -> Project:
        """With these platforms alone; all for none. Raises ConfigError for one that the project has nothing for."""
        wrong = [name for name in chosen if name not in self.platforms]
        if wrong:
            raise ConfigError(f"this project has nothing for {wrong[0]}; it would be in pyproject.toml:\n\n{EXAMPLE}")
        dropped: dict[str, Any] = {"sqs": (), "servicebus": None, "cloudtasks": ()}
        return replace(self, **{name: no for name, no in dropped.items() if chosen and name not in chosen})


def load(root: Path) -> Project:
    """Raises ConfigError, with an example, where there is no table or it cannot be."""
    file = root / "pyproject.toml"
    try:
        told = tomllib.loads(file.read_text("utf-8"))
    except FileNotFoundError:
        raise ConfigError(
            f"no pyproject.toml in {root}: run it in the project's folder, where that file says what to run:\n\n{EXAMPLE}"
        ) from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as exc:
        raise ConfigError(f"{file}: {exc}") from None
    table = told.get("tool", {}).get("peeklock", {}).get("dev")
    if not isinstance(table, dict) or not table:
        raise ConfigError(f"pyproject.toml does not say what to run:\n\n{EXAMPLE}")
    for key in table:
        if key not in PLATFORMS:
            near = difflib.get_close_matches(key, PLATFORMS, 1)
            hint = f"; did you mean {near[0]!r}?" if near else f"; known: {', '.join(PLATFORMS)}"
            raise ConfigError(f"pyproject.toml, [tool.peeklock.dev]: {key!r} is no platform{hint}")
    return Project(
        root=root,
        sqs=_entries(table, "sqs"),
        servicebus=_folder(table, root),
        cloudtasks=_entries(table, "cloudtasks"),
    )


def _entries(table: dict[str, Any], platform: str) -> tuple[str, ...]:
    given = table.get(platform, [])
    entries = [given] if isinstance(given, str) else given
    if not isinstance(entries, list) or not all(isinstance(one, str) and _ENTRY.fullmatch(one) for one in entries):
        raise ConfigError(f"pyproject.toml, [tool.peeklock.dev]: {platform} = {given!r} is no list of module:function")
    return tuple(entries)


def _folder(table: dict[str, Any], root: Path) -> Path | None:
    given = table.get("servicebus")
    if given is None:
        return None
    folder = root / given if isinstance(given, str) else root
    if not isinstance(given, str) or not (folder / "function_app.py").is_file():
        raise ConfigError(
            f"pyproject.toml, [tool.peeklock.dev]: servicebus = {given!r} is no folder with a function_app.py"
        )
    return folder
