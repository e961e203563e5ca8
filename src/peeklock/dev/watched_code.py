"""The files that a project's functions consist of."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from peeklock.dev.discovery import Discovery
from peeklock.dev.project import Project

SETTINGS = ("host.json", "local.settings.json")
"""Settings files of a function app: https://learn.microsoft.com/azure/azure-functions/functions-reference-python#folder-structure"""


@dataclass(frozen=True, slots=True, kw_only=True)
class WatchedCode:
    """Files, and folders of Python files: a module that is imported only when a handler runs is in one of them."""

    files: frozenset[Path]
    folders: frozenset[Path]

    @staticmethod
    def of(project: Project, discovery: Discovery) -> WatchedCode:
        """Return what was imported, and its packages."""
        packages = {file.parent for file in discovery.files} - {project.root.resolve()}
        return WatchedCode(files=discovery.files | _settings(project), folders=frozenset(packages))

    @staticmethod
    def unknown(project: Project, before: WatchedCode | None = None) -> WatchedCode:
        """Return any Python file of the project, and what was watched before: code that does not load may need a file that
        is not there yet."""
        files, folders = (before.files, before.folders) if before else (frozenset[Path](), frozenset[Path]())
        return WatchedCode(files=files | _settings(project), folders=folders | {project.root.resolve()})

    def has(self, file: Path) -> bool:
        """Return whether a function may change when this file changes."""
        return file in self.files or (
            file.suffix == ".py" and any(file.is_relative_to(folder) for folder in self.folders)
        )


def _settings(project: Project) -> frozenset[Path]:
    folder = project.servicebus
    return frozenset() if folder is None else frozenset(folder.resolve() / name for name in SETTINGS)
