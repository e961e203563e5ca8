"""The bundle that a program deploys, and what it says of itself."""

from __future__ import annotations

import json
import os
import zipfile
from pathlib import Path
from typing import Any

from peeklock.errors import ConfigError
from peeklock.queue import Queue

VARIABLE = "PEEKLOCK_BUNDLE"
"""Names another file than the program's. `peeklock dev --infra` sets it: there the code runs from where it lies."""

MANIFEST = "peeklock_bundle.json"
"""In the bundles of `peeklock bundle`; one made otherwise is not compared, and asked at cold start only."""


def find(given: str, cloud: str) -> Path:
    """`given` is from the program's folder. Raises ConfigError where there is no such zip file."""
    path = Path(os.environ.get(VARIABLE) or given)
    if not path.is_file():
        raise ConfigError(f"bundle={str(path)!r} is not there; make it first: peeklock bundle {cloud}")
    if not zipfile.is_zipfile(path):
        raise ConfigError(f"bundle={str(path)!r} is no zip file; make it anew: peeklock bundle {cloud}")
    return path


def check(path: Path, cloud: str, queue: Queue) -> None:
    """Raises ConfigError for a bundle of another cloud, and for one whose declaration of the queue is another than the
    program's: every function would refuse to start."""
    told = _manifest(path)
    if told is None:
        return
    if told["platform"] != cloud:
        raise ConfigError(f"bundle={str(path)!r} is for {told['platform']}; name the one of `peeklock bundle {cloud}`")
    fingerprint = told["queues"].get(queue.name)
    if fingerprint is None:
        raise ConfigError(
            f"bundle={str(path)!r} declares no queue {queue.name!r}: add its module to `queues` of [tool.peeklock.bundle]"
            f" in pyproject.toml, and make it anew: peeklock bundle {cloud}"
        )
    if fingerprint != queue.fingerprint:
        raise ConfigError(
            f"bundle={str(path)!r} was made before queue {queue.name!r} was declared as it is now ({fingerprint} there,"
            f" {queue.fingerprint} here); make it anew: peeklock bundle {cloud}"
        )


def _manifest(path: Path) -> Any:
    with zipfile.ZipFile(path) as bundle:
        return json.loads(bundle.read(MANIFEST)) if MANIFEST in bundle.namelist() else None
