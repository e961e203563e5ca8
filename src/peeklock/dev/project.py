"""The table `[tool.peeklock.dev]` of a project's pyproject.toml."""

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

TABLE = "pyproject.toml, [tool.peeklock.dev]"

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
        """Return the project with these platforms alone; with all where none is chosen. Raises ConfigError for a platform
        that the project has nothing for."""
        wrong = [name for name in chosen if name not in self.platforms]
        if wrong:
            raise ConfigError(f"this project has nothing for {wrong[0]}; it would be in pyproject.toml:\n\n{EXAMPLE}")
        dropped: dict[str, Any] = {"sqs": (), "servicebus": None, "cloudtasks": ()}
        return replace(self, **{name: empty for name, empty in dropped.items() if chosen and name not in chosen})


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
    table = document.get("tool", {}).get("peeklock", {}).get("dev")
    if not isinstance(table, dict) or not table:
        raise ConfigError(f"pyproject.toml does not say what to run:\n\n{EXAMPLE}")
    for key in table:
        if key not in PLATFORMS:
            near = difflib.get_close_matches(key, PLATFORMS, 1)
            hint = f"; did you mean {near[0]!r}?" if near else f"; known: {', '.join(PLATFORMS)}"
            raise ConfigError(f"{TABLE}: {key!r} is no platform{hint}")
    project = Project(
        root=root,
        sqs=_entries(table, "sqs"),
        servicebus=_folder(table, root),
        cloudtasks=_entries(table, "cloudtasks"),
    )
    if not project.platforms:
        raise ConfigError(f"{TABLE} names nothing to run; for instance:\n\n{EXAMPLE}")
    return project


def _entries(table: dict[str, Any], platform: str) -> tuple[str, ...]:
    value = table.get(platform, [])
    entries = [value] if isinstance(value, str) else value
    if not isinstance(entries, list) or not all(
        isinstance(entry, str) and _ENTRY.fullmatch(entry) for entry in entries
    ):
        raise ConfigError(f"{TABLE}: {platform} = {value!r} is no list of module:function")
    return tuple(entries)


def _folder(table: dict[str, Any], root: Path) -> Path | None:
    value = table.get("servicebus")
    if value is None:
        return None
    folder = root / value if isinstance(value, str) else root
    if not isinstance(value, str) or not (folder / "function_app.py").is_file():
        raise ConfigError(f"{TABLE}: servicebus = {value!r} is no folder with a function_app.py")
    return folder
