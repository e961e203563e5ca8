"""The `pulumi` command: the one on PATH, or one that is built beside the project."""

from __future__ import annotations

import shutil
from pathlib import Path

from cloudqueues.errors import ConfigError

BUILT = Path("build") / "pulumi" / "pulumi"


def find(*, path: str | None = None, root: Path | None = None) -> Path:
    """`path` is a search path, PATH's where left out; `root` is the folder of the Makefile, the current one where left out.
    Raises ConfigError with what to do where there is none."""
    built = (root or Path.cwd()) / BUILT
    if on_path := shutil.which("pulumi", path=path):
        return Path(on_path)
    if built.is_file():
        return built
    raise ConfigError(
        "there is no `pulumi`: install it (https://www.pulumi.com/docs/iac/download-install/), and have it on PATH"
    )
