"""Location of the `pulumi` command: on PATH, or built beside the project."""

from __future__ import annotations

import shutil
from pathlib import Path

from cloudqueues.errors import ConfigError

BUILT = Path("build") / "pulumi" / "pulumi"


def find(*, path: str | None = None, root: Path | None = None) -> Path:
    """Return the path of the command.

    `path` is a search path, by default PATH; `root` is the folder of the Makefile, by default the current one. Raises
    ConfigError with instructions where there is no such command.
    """
    built = (root or Path.cwd()) / BUILT
    if on_path := shutil.which("pulumi", path=path):
        return Path(on_path)
    if built.is_file():
        return built
    raise ConfigError(
        "there is no `pulumi`: install it (https://www.pulumi.com/docs/iac/download-install/), and have it on PATH"
    )
