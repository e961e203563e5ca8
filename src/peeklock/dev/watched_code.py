"""The files that a project's functions consist of."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from peeklock.dev.discovery import Discovery
from peeklock.dev.project import Project, support_of
from peeklock.platform_registry import PLATFORMS

SETTINGS = {name for platform in PLATFORMS.values() if platform.dev for name in platform.dev.settings}
"""Names of settings files of apps."""


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
    return frozenset(
        Path(folder).resolve() / name
        for platform, folders in project.entries.items()
        for name in support_of(platform).settings
        for folder in folders
    )
