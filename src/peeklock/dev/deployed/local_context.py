"""Types and helpers shared by the runners of the three clouds."""

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
"""Resource of the engine's state: `urn`, `type`, `id`, `inputs`, `outputs`, secrets in plain text."""


def resources_of(resources: Sequence[Resource], type_: str) -> Iterator[Resource]:
    """Yield the resources of one type that the program made: neither looked up nor about to be deleted."""
    for resource in resources:
        if resource["type"] == type_ and not resource.get("external") and not resource.get("delete"):
            yield resource


def local_file(folder: Path, address: str) -> str:
    """Return the path of the file that replaces an address, without an ending and quoted for a URL. Functions with the same
    address share it."""
    parts = urlsplit(address)
    place = parts.netloc.rpartition("@")[2] + parts.path  # without a password
    return quote(str(folder / re.sub(r"[^A-Za-z0-9]+", "-", place).strip("-")))


@dataclass(frozen=True, slots=True, kw_only=True)
class Function:
    """A function as the program made it, and what is replaced on this machine."""

    name: str
    """Name on the platform."""
    entry: str
    """Handler, as the program names it."""
    environment: Mapping[str, str]
    """The program's own variables, unchanged."""
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
    """Local addresses, by the addresses that it is called by in the cloud."""
    target: str | None = None
    """Handler as `module:function`, to be imported and checked before it starts; None where it cannot be known."""
    search_path: tuple[Path, ...] = ()
    """Folders from which its runtime imports, besides the code's."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LocalContext:
    """Folders and listener of the functions that run on this machine."""

    code: Path
    """Folder of the functions' code, which they start in and import from first: a project, or an unzipped bundle."""
    state: Path
    """Folder for stores, dead letters and rendered files."""
    on_line: Callable[[str, str], None]
    """Called with the platform and each line that a function prints, in any thread."""

    def environment(self, base: Mapping[str, str], function: Function, *packages: Path) -> dict[str, str]:
        """Return the environment of a function's process: the program's, without what would lead away from this machine.
        Imports are from the code first, also from its `src`, then from `packages`."""
        code = self.code.resolve()
        folders = (code, code / "src", *packages)
        variables = {**base, **function.environment, **function.changed}
        path = [*(str(folder) for folder in folders if folder.is_dir()), variables.get("PYTHONPATH", "")]
        return {
            **variables,
            "PYTHONPATH": os.pathsep.join(filter(None, path)),
            **{name: value for name, value in base.items() if name in GUARDS},
        }


class CloudRunner(Protocol):
    """One cloud: its emulators, the stand-in for its Pulumi provider, and the processes of its functions."""

    platform: str

    def open(self) -> Cloud:
        """Start the emulators, and return what the engine needs of them."""
        ...

    def functions(self, resources: Sequence[Resource]) -> list[Function]:
        """Return the functions of the state, in the order of their names. Raises ConfigError for what cannot run here."""
        ...

    def serve(self, resources: Sequence[Resource], base: Mapping[str, str]) -> None:
        """Start or restart the functions of the state. `base` is the environment of each process before the program's, with no
        way to a cloud in it (`Engine.for_functions`). Raises PeeklockError; the functions that ran before then go on."""
        ...

    def variables(self) -> Mapping[str, str]:
        """Return what a client of the emulators needs, for `export`; the queues' addresses are outputs of the program."""
        ...

    def close(self) -> None:
        """Stop everything that was started. May be called twice."""
        ...
