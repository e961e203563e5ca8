"""The files of a project that its functions consist of."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from peeklock.dev.project import Project
from peeklock.dev.runner import Discovery

SETTINGS = ("host.json", "local.settings.json")
"""Settings files of a function app: https://learn.microsoft.com/azure/azure-functions/functions-reference-python#folder-structure"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Code:
    """Files, and folders of Python files: a module that is imported only when a handler runs is in one of them."""

    files: frozenset[Path]
    folders: frozenset[Path]

    @staticmethod
    def of(project: Project, found: Discovery) -> Code:
        """Return what was imported, and its packages."""
        packages = {file.parent for file in found.files} - {project.root.resolve()}
        return Code(files=found.files | _settings(project), folders=frozenset(packages))

    @staticmethod
    def unknown(project: Project) -> Code:
        """Return any Python file, since what does not load may need one that is not there yet."""
        return Code(files=_settings(project), folders=frozenset({project.root.resolve()}))

    def has(self, file: Path) -> bool:
        """Return whether a function may be another one when this file changes."""
        return file in self.files or (file.suffix == ".py" and any(file.is_relative_to(one) for one in self.folders))


def _settings(project: Project) -> frozenset[Path]:
    folder = project.servicebus
    return frozenset() if folder is None else frozenset(folder.resolve() / name for name in SETTINGS)
