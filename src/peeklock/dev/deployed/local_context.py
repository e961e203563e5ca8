"""What the three clouds share."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import quote, urlsplit

from cloudqueues.pulumi.environment import GUARDS
from cloudqueues.pulumi.resources import Cloud

Resource = Mapping[str, Any]
"""One of the engine's state: `urn`, `type`, `id`, `inputs`, `outputs`, secrets in plain text."""


def made(resources: Sequence[Resource], type_: str) -> Iterator[Resource]:
    """Those of one type that the program made: neither looked up nor about to be deleted."""
    for one in resources:
        if one["type"] == type_ and not one.get("external") and not one.get("delete"):
            yield one


def file(folder: Path, address: str) -> str:
    """One for each address, which several functions may share; as an address has it, without an ending."""
    parts = urlsplit(address)
    place = parts.netloc.rpartition("@")[2] + parts.path  # without a password
    return quote(str(folder / re.sub(r"[^A-Za-z0-9]+", "-", place).strip("-")))


@dataclass(frozen=True, slots=True, kw_only=True)
class Function:
    """What the program asks for, and what is said instead on this machine."""

    name: str
    """As the platform has it."""
    entry: str
    """As the program names it."""
    environment: Mapping[str, str]
    """The program's own, unchanged."""
    timeout: float
    """Seconds of one invocation."""
    batch: int
    """Messages of one invocation, at most."""
    concurrency: int
    """Messages (batches, where there are some) under way at once, at most."""
    consuming: bool = True
    changed: Mapping[str, str] = field(default_factory=dict)
    """Variables that lead to this machine instead, or are added for it: the process gets `environment | changed`."""
    reached: Mapping[str, str] = field(default_factory=dict)
    """Where it is called, by the addresses that it has in the cloud."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LocalContext:
    """Where the functions run."""

    code: Path
    """The folder of their code, which they start in and import from first: a project, or an unzipped bundle."""
    state: Path
    """A folder for stores, letters and what is rendered."""
    on_line: Callable[[str, str], None]
    """Hears each line that a function prints: its platform, and the line. Called in any thread."""

    def environment(self, base: Mapping[str, str], function: Function, *packages: Path) -> dict[str, str]:
        """Of a function's process: the program's, but for what would lead away from this machine. Imports are from the code
        first, also from its `src`, then from `packages`."""
        code = self.code.resolve()
        folders = (code, code / "src", *packages)
        told = {**base, **function.environment, **function.changed}
        path = [*(str(one) for one in folders if one.is_dir()), told.get("PYTHONPATH", "")]
        return {
            **told,
            "PYTHONPATH": os.pathsep.join(filter(None, path)),
            **{name: value for name, value in base.items() if name in GUARDS},
        }


class CloudRunner(Protocol):
    """One cloud: its emulators, the stand-in for its provider, and the processes of its functions."""

    platform: str

    def open(self) -> Cloud:
        """Start the emulators; what the engine is to have."""
        ...

    def functions(self, resources: Sequence[Resource]) -> list[Function]:
        """Those that the state asks for, in the order of their names. Raises ConfigError for what cannot run here."""
        ...

    def serve(self, resources: Sequence[Resource], base: Mapping[str, str]) -> None:
        """(Re)start the functions of the state. `base` is the environment of each process before the program's, with no
        way to a cloud in it (`Engine.for_functions`). Raises PeeklockError, and then none runs."""
        ...

    def variables(self) -> Mapping[str, str]:
        """What a client of the emulators needs, for `export`; the queues' addresses are the program's outputs."""
        ...

    def close(self) -> None:
        """End all that was started. Also a second time."""
        ...
