"""The files that git ignores. git itself is called, since no copy of its rules is complete."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from peeklock.errors import ConfigError

_OF_A_HOOK = ("GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE")
"""Variables that a git hook sets for its own repository. https://git-scm.com/docs/githooks"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ignored:
    """Paths from the project's folder that git ignores and that are not in its index."""

    paths: frozenset[str] = frozenset()
    """A folder ends in a slash, and stands for all that is in it."""

    def __contains__(self, path: str) -> bool:
        return path in self.paths or any(f"{parent}/" in self.paths for parent in PurePosixPath(path).parents)


def ignored(folder: Path) -> Ignored:
    """Ask git, also where the project is a copy without its repository. Raises ConfigError where git fails, and where
    it is not installed though the project has rules for it."""
    git = shutil.which("git")
    if git is None:
        _check_no_rules(folder)
        return Ignored()
    paths = {path for repository in _repositories(folder) for path in _ignored_in(git, repository, folder)}
    return Ignored(paths=frozenset(paths))


def _check_no_rules(folder: Path) -> None:
    for place in (folder, *folder.parents):
        for name in (".git", ".gitignore"):
            if (place / name).exists():
                raise ConfigError(
                    f"git is not installed, and {place / name} says what stays out of the bundle; install git"
                )


def _repositories(folder: Path) -> list[Path]:
    """Return the project's folder, and the submodules below it, whose rules are their own."""
    return [folder, *(path.parent for path in sorted(folder.rglob(".git")) if path.parent != folder)]


def _ignored_in(git: str, place: Path, folder: Path) -> list[str]:
    inside = place.relative_to(folder)
    with tempfile.TemporaryDirectory() as scratch:
        options: list[str] = []
        if not any((parent / ".git").exists() for parent in (place, *place.parents)):
            _run([git, "init", "--quiet", scratch], folder)
            options = [f"--git-dir={scratch}/.git", f"--work-tree={place}"]
        listing = _run([git, *options, "ls-files", "--others", "--ignored", "--exclude-standard", "-z"], place)
    return [(inside / path).as_posix() + "/" * path.endswith("/") for path in listing.split("\0") if path]


def _run(command: list[str], place: Path) -> str:
    ran = subprocess.run(  # noqa: S603 - git, with arguments of ours
        command, cwd=place, env=_environment(os.environ), capture_output=True, check=False
    )
    if ran.returncode:
        words = ran.stderr.decode(errors="replace").strip()
        raise ConfigError(f"git does not say what it ignores in {place}:\n\n{words}")
    return ran.stdout.decode("utf-8", "surrogateescape")


def _environment(variables: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in variables.items() if name not in _OF_A_HOOK}
