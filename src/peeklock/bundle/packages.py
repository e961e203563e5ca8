"""Installing the locked packages for the target, by uv where it is installed, else by pip."""

from __future__ import annotations

import importlib.util
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from peeklock.bundle.targets import Target
from peeklock.errors import ConfigError

_PINNED = re.compile(r"^([A-Za-z0-9][\w.-]*)==([\w.!+-]+)", re.MULTILINE)
_MARKED = re.compile(r"^[^#\n]*;.*$", re.MULTILINE)


def pinned(lock: Path, target: Target) -> dict[str, str]:
    """Return the versions in a lock, by name. Raises ConfigError without a lock, or for one that has peeklock itself."""
    try:
        text = lock.read_text("utf-8")
    except FileNotFoundError:
        raise ConfigError(f"there is no lock {lock}; make it with\n\n{_remedy(lock, target)}") from None
    versions: dict[str, str] = dict(_PINNED.findall(text))
    if "peeklock" in versions:
        raise ConfigError(
            f"{lock} has peeklock, and the bundle takes the one that runs this command; leave it out of there"
        )
    return versions


def _remedy(lock: Path, target: Target) -> str:
    """Return the command that makes a lock for a bundle: only wheels of the target, and without peeklock."""
    return f"""  {shlex.join(lock_command(lock, target))}

where requirements.in has what the code imports, and peeklock with the extras that it needs"""


def lock_command(lock: Path, target: Target) -> list[str]:
    place = os.path.relpath(lock)
    without = ["--no-emit-package", "peeklock", "--only-binary", ":all:"]
    where = ["--python-version", target.python, "--python-platform", target.uv_platform]
    return ["uv", "pip", "compile", "requirements.in", *without, *where, "--generate-hashes", "--output-file", place]


def tool(target: Target) -> str:
    """Return the installer for a target. Raises ConfigError where none is installed."""
    return chosen(shutil.which("uv"), target, pip=importlib.util.find_spec("pip") is not None)


def chosen(uv: str | None, target: Target, *, pip: bool) -> str:
    """Return uv; for wheels, which uv cannot download, pip, or pip run by uv where pip is not installed."""
    if uv and not target.wheels:
        return uv
    if pip:
        return "pip"
    if uv:
        return "uvx"
    raise ConfigError(
        "neither uv nor pip is there; install one: https://docs.astral.sh/uv/getting-started/installation/"
    )


def command(installer: str, lock: Path, target: Target, into: Path) -> list[str]:
    """Return the installer's command line: never for this machine, never built from source, never without a hash."""
    if installer not in {"pip", "uvx"}:
        where = ["--python", sys.executable, "--python-platform", target.uv_platform, "--only-binary", ":all:"]
        return [installer, "pip", "install", "--target", str(into), *where, *_common(lock, target)]
    pip = [sys.executable, "-m", "pip"] if installer == "pip" else ["uv", "tool", "run", "pip"]
    action = ["download", "--dest"] if target.wheels else ["install", "--no-compile", "--target"]
    platforms = [word for tag in target.pip_platforms for word in ("--platform", tag)]
    more = ["--implementation", "cp", "--only-binary=:all:", "--disable-pip-version-check", *platforms]
    return [*pip, *action, str(into), *more, *_common(lock, target)]


def _common(lock: Path, target: Target) -> list[str]:
    return ["--python-version", target.python, "--require-hashes", "--no-deps", "--requirement", str(lock)]


def fetch(installer: str, lock: Path, target: Target, into: Path, tell: Callable[[str], None]) -> None:
    """Put the packages into a folder. Raises ConfigError where that fails, with the installer's last words."""
    name = "uv" if installer not in {"pip", "uvx"} else "pip"
    if name == "pip" and (marked := _MARKED.search(lock.read_text("utf-8"))):
        raise ConfigError(
            f"{lock}: {marked[0].rstrip(chr(92)).strip()!r} depends on the machine, and pip asks this one and not the target;"
            f" install uv, or make the lock for the target alone:\n\n{_remedy(lock, target)}"
        )
    tell(f"having the packages of {lock.name} for {target.arch}, Python {target.python}, by {name}")
    ran = subprocess.run(  # noqa: S603 - uv or pip, with arguments of ours
        command(installer, lock, target, into), capture_output=True, text=True, check=False
    )
    if ran.returncode:
        words = "\n".join(f"  {line}" for line in (ran.stderr or ran.stdout).strip().splitlines()[-8:])
        raise ConfigError(
            f"{name} does not have the packages of {lock} for {target.arch} and Python {target.python}:\n\n{words}\n\n"
            f"If a package has no wheel for that, pin a version that has one. If hashes differ, renew the lock:\n\n"
            f"{_remedy(lock, target)}"
        )
