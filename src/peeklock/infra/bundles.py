"""The bundle that a program deploys, and what it says of itself."""

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
"""Names another file than the program's. `peeklock dev --infra` sets it: there the code runs from where it lies."""

MANIFEST = "peeklock_bundle.json"
"""In the bundles of `peeklock bundle`; one made otherwise is not compared, and asked at cold start only."""


CALLED = {"aws": "sqs", "azure": "consumer", "gcp": "cloudtasks"}
"""What a cloud's function calls: the entry point that a platform's `bind` made, or, where the trigger is rendered, the
consumer that it is made for."""


def find(given: str, cloud: str) -> Path:
    """`given` is from the program's folder. Raises ConfigError where there is no such zip file."""
    path = Path(os.environ.get(VARIABLE) or given)
    if not path.is_file():
        raise ConfigError(f"bundle={str(path)!r} is not there; make it first: peeklock bundle {cloud}")
    if not zipfile.is_zipfile(path):
        raise ConfigError(f"bundle={str(path)!r} is no zip file; make it anew: peeklock bundle {cloud}")
    return path


def check(path: Path, cloud: str, queue: Queue, handler: str) -> None:
    """Raises ConfigError for a bundle of another cloud, for one whose declaration of the queue is another than the
    program's, and for a handler that the bundle has not or that works on another queue: every function would refuse to
    start."""
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
    if "entries" in told:
        _check_handler(path, told["entries"], cloud, queue, handler.replace("/", "."))


def _check_handler(path: Path, entries: Mapping[str, Any], cloud: str, queue: Queue, handler: str) -> None:
    """Nothing is refused of which the bundle does not know what it is."""
    kind = CALLED[cloud]
    fitting = [name for name, one in entries.items() if one == {"kind": kind, "queue": queue.name}]
    hint = f"; name {' or '.join(fitting)}" if fitting else ""
    if handler not in entries:
        _check_module(path, entries, cloud, handler, hint)
    elif (entry := entries[handler]) is None:
        return
    elif entry["kind"] != kind:
        raise ConfigError(
            f"handler={handler!r} is {_spelled(entry['kind'])}, and the function of queue {queue.name!r} needs"
            f" {_spelled(kind)}{hint}"
        )
    elif entry["queue"] not in {None, queue.name}:
        raise ConfigError(
            f"handler={handler!r} works on queue {entry['queue']!r}, and the function is that of {queue.name!r}{hint}"
        )


def _check_module(path: Path, entries: Mapping[str, Any], cloud: str, handler: str, hint: str) -> None:
    """A handler may be in a package of somebody else, such as a tracer that calls ours."""
    module, _, name = handler.rpartition(".")
    known = [one.rpartition(".") for one in entries]
    names = [name for outer, _, name in known if outer == module]
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
    place = "/" + module.replace(".", "/")
    return any(f"/{one}".partition(".")[0].endswith((place, f"{place}/__init__")) for one in files)


def _spelled(kind: str) -> str:
    return "the consumer itself" if kind == "consumer" else f"made by {kind}.bind"


def _manifest(path: Path) -> Any:
    with zipfile.ZipFile(path) as bundle:
        return json.loads(bundle.read(MANIFEST)) if MANIFEST in bundle.namelist() else None
