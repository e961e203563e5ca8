"""The bundle that a program deploys, and the checks of its manifest."""

from __future__ import annotations

import difflib
import json
import os
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from peeklock.errors import ConfigError
from peeklock.queue import Queue

VARIABLE = "PEEKLOCK_BUNDLE"
"""Environment variable with another file than the program's. `peeklock dev --infra` sets it, since it runs the code in place."""

MANIFEST = "peeklock_bundle.json"
"""Manifest in the bundles of `peeklock bundle`. A bundle without one is not checked here, but at cold start only."""

ENTRY_KINDS = {"aws": "sqs", "azure": "consumer", "gcp": "cloudtasks"}
"""Kind of entry point that a cloud's function needs: made by a platform's `bind`, or the consumer itself where the trigger is
rendered."""


def find(bundle: str, cloud: str) -> Path:
    """Return the bundle's path. `bundle`: relative to the program's folder. Raises ConfigError if there is no such zip file."""
    path = Path(os.environ.get(VARIABLE) or bundle)
    if not path.is_file():
        raise ConfigError(f"bundle={str(path)!r} does not exist; make it first: peeklock bundle {cloud}")
    if not zipfile.is_zipfile(path):
        raise ConfigError(f"bundle={str(path)!r} is not a zip file; make it again: peeklock bundle {cloud}")
    return path


def check(path: Path, cloud: str, queue: Queue, handler: str) -> None:
    """Raise ConfigError for a bundle of another cloud, for one whose declaration of the queue differs from the program's, and for
    a handler that the bundle does not have or that consumes another queue: every function would refuse to start."""
    manifest = _manifest(path)
    if manifest is None:
        return
    if manifest["platform"] != cloud:
        raise ConfigError(
            f"bundle={str(path)!r} is for {manifest['platform']}; name the one of `peeklock bundle {cloud}`"
        )
    fingerprint = manifest["queues"].get(queue.name)
    if fingerprint is None:
        raise ConfigError(
            f"bundle={str(path)!r} declares no queue {queue.name!r}: add its module to `queues` of [tool.peeklock.bundle]"
            f" in pyproject.toml, and make it again: peeklock bundle {cloud}"
        )
    if fingerprint != queue.fingerprint:
        raise ConfigError(
            f"bundle={str(path)!r} was made before queue {queue.name!r} was declared as it is now ({fingerprint} there,"
            f" {queue.fingerprint} here); make it again: peeklock bundle {cloud}"
        )
    if "entries" in manifest:
        _check_handler(path, manifest["entries"], cloud, queue, handler.replace("/", "."))


def _check_handler(path: Path, entries: Mapping[str, Any], cloud: str, queue: Queue, handler: str) -> None:
    """Raise ConfigError for an entry point of another kind or queue. Entries that the manifest does not describe are accepted."""
    kind = ENTRY_KINDS[cloud]
    fitting = [name for name, entry in entries.items() if entry == {"kind": kind, "queue": queue.name}]
    hint = f"; name {' or '.join(fitting)}" if fitting else ""
    if handler not in entries:
        _check_module(path, entries, cloud, handler, hint)
    elif (entry := entries[handler]) is None:
        return
    elif entry["kind"] != kind:
        raise ConfigError(
            f"handler={handler!r} is {_describe(entry['kind'])}, and the function of queue {queue.name!r} needs"
            f" {_describe(kind)}{hint}"
        )
    elif entry["queue"] not in {None, queue.name}:
        raise ConfigError(
            f"handler={handler!r} consumes queue {entry['queue']!r}, and the function is that of {queue.name!r}{hint}"
        )


def _check_module(path: Path, entries: Mapping[str, Any], cloud: str, handler: str, hint: str) -> None:
    """Raise ConfigError for a module or name that the bundle does not have. A handler may be in a third-party package, such as a
    tracer that calls the real one."""
    module, _, name = handler.rpartition(".")
    split = [entry.rpartition(".") for entry in entries]
    names = [name for outer, _, name in split if outer == module]
    if names and "*" not in names:
        near = difflib.get_close_matches(name, names, 1)
        raise ConfigError(
            f"handler={handler!r}: {module} in bundle={str(path)!r} has no {name!r}"
            + (f"; did you mean {module}.{near[0]}?" if near else hint or f"; correct it, or: peeklock bundle {cloud}")
        )
    if not names and not _has_module(path, module):
        raise ConfigError(f"handler={handler!r}: bundle={str(path)!r} has no module {module}{hint or '; correct it'}")


def _has_module(path: Path, module: str) -> bool:
    with zipfile.ZipFile(path) as bundle:
        files = bundle.namelist()
    suffix = "/" + module.replace(".", "/")
    return any(f"/{file}".partition(".")[0].endswith((suffix, f"{suffix}/__init__")) for file in files)


def _describe(kind: str) -> str:
    return "the consumer itself" if kind == "consumer" else f"made by {kind}.bind"


def _manifest(path: Path) -> Any:
    with zipfile.ZipFile(path) as bundle:
        return json.loads(bundle.read(MANIFEST)) if MANIFEST in bundle.namelist() else None
