"""Parts that the tests of three clouds share: a listener for the functions' reports, and a program in a copy with the
real bundle."""

from __future__ import annotations

import io
import shutil
import threading
import zipfile
from pathlib import Path
from typing import Any

from tests.bundle.kit import packed
from tests.support import ROOT

PATIENCE = 60
"""Seconds of waiting for what must come."""


class Heard:
    """Reports of the functions on each run and each settlement."""

    def __init__(self) -> None:
        self.told: list[dict[str, Any]] = []
        self._changed = threading.Condition()

    def hear(self, what: str, fields: Any) -> None:
        with self._changed:
            self.told.append({"what": what, **fields})
            self._changed.notify_all()

    def all(self, **wanted: Any) -> list[dict[str, Any]]:
        return [notice for notice in self.told if all(notice.get(name) == value for name, value in wanted.items())]

    def until(self, **wanted: Any) -> dict[str, Any]:
        """Returns the first with these fields."""
        with self._changed:
            assert self._changed.wait_for(lambda: self.all(**wanted), PATIENCE), (wanted, self.told)
            return self.all(**wanted)[0]


def copied(cloud: str, folder: Path) -> tuple[Path, Path]:
    """The program in a repository of its own, and the bundle beside it, unzipped."""
    program, code = folder / "infra" / cloud, folder / "unzipped"
    shutil.copytree(ROOT / "infra" / cloud, program, ignore=shutil.ignore_patterns(".*", "__pycache__"))
    (folder / "handlers").symlink_to(ROOT / "handlers")
    (folder / "build" / "bundle").mkdir(parents=True)
    bundle = packed(cloud)
    (folder / "build" / "bundle" / f"{cloud}.zip").write_bytes(bundle)
    with zipfile.ZipFile(io.BytesIO(bundle)) as files:
        files.extractall(code)
    return program, code
