"""Importing the handlers of a program's functions before they start, each in a process with its function's environment."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from peeklock.dev.cross_platform import unconsumed
from peeklock.dev.deployed.local_context import Function, LocalContext
from peeklock.dev.discovery import describe
from peeklock.queue import Queue

URL, FINGERPRINT = "_URL", "_FINGERPRINT"
"""Suffixes of the variables that `peeklock.infra` gives a function: addresses of the queues it knows, and the contract of the
queue that it consumes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Imported:
    """The code of a program's functions."""

    files: frozenset[Path] = frozenset()
    """Files that were loaded, without installed packages."""
    queues: Mapping[str, str] = field(default_factory=dict)
    """Names of the queues that these declare, by the variable of their address."""

    def __or__(self, other: Imported) -> Imported:
        return Imported(files=self.files | other.files, queues={**self.queues, **other.queues})


def import_handlers(
    platform: str, functions: Sequence[Function], local: LocalContext, base: Mapping[str, str]
) -> Imported:
    """Import the handlers of one cloud. Raises CodeError for code that does not load, and ConfigError for a handler that is
    missing, not bound to the platform, or of another queue than its function."""
    importable = [function for function in functions if function.consuming and function.target]
    with ThreadPoolExecutor(max(len(importable), 1)) as pool:
        answers = list(pool.map(partial(_import, platform, local, base), importable))
    return Imported(
        files=frozenset(Path(file) for answer in answers for file in answer["files"]),
        queues={
            Queue(queue["name"]).variable("URL"): queue["name"] for answer in answers for queue in answer["queues"]
        },
    )


def _import(platform: str, local: LocalContext, base: Mapping[str, str], function: Function) -> dict[str, Any]:
    request = {"deployed": {"function": function.name, "platform": platform, "target": function.target}}
    environment = local.environment(base, function, *function.search_path)
    return describe(local.code.resolve(), request, environment)


def idle_queues(functions: Sequence[Function], outputs: Mapping[str, str], imported: Imported) -> Iterator[str]:
    """Yield a line about the queues of a program that none of its functions consumes, if there are any."""
    variables = {name for variables in (outputs, *_environments(functions)) for name in variables}
    addressed = {name.removesuffix(URL) for name in variables if name.startswith("PEEKLOCK_") and name.endswith(URL)}
    consumed = {
        name.removesuffix(FINGERPRINT)
        for function in functions
        if function.consuming
        for name in function.environment
        if name.endswith(FINGERPRINT)
    }
    if consumed:  # else the program is not one of peeklock.infra
        yield from unconsumed(imported.queues.get(name + URL, name + URL) for name in addressed - consumed)


def _environments(functions: Sequence[Function]) -> Iterator[Mapping[str, str]]:
    return (function.environment for function in functions)


def addresses(functions: Sequence[Function], suffix: str) -> dict[str, str]:
    """Return the variables of functions that end in `_URL` or `_DEAD_LETTER`, with the addresses on this machine."""
    return {
        name: value
        for function in functions
        for name, value in {**function.environment, **function.changed}.items()
        if name.startswith("PEEKLOCK_") and name.endswith(suffix)
    }
