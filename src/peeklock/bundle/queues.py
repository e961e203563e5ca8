"""The queues that a bundle declares, with their fingerprints."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from peeklock.bundle.contents import Entries
from peeklock.errors import ConfigError

_ASK = """\
import importlib, json, sys
folder, *modules = sys.argv[1:]
sys.path.insert(0, folder)
from peeklock import Queue
found = {}
for module in modules:
    for value in vars(importlib.import_module(module)).values():
        if isinstance(value, Queue):
            found[value.name] = value.fingerprint
print(json.dumps(found))
"""


def fingerprints(entries: Entries, modules: Sequence[str]) -> dict[str, str]:
    """Return the fingerprint of each queue that the modules declare, by name. They are imported in a process of their own from
    the bundle's files alone, without the packages that are installed here. Raises ConfigError for a module that cannot be
    imported, and where there is no queue."""
    with tempfile.TemporaryDirectory() as folder:
        for path, entry in entries.items():
            place = Path(folder, path)
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_bytes(entry.data)
        ran = subprocess.run(  # noqa: S603 - our own Python, with a text of ours
            [sys.executable, "-I", "-S", "-B", "-c", _ASK, folder, *modules],
            capture_output=True,
            text=True,
            check=False,
        )
    if ran.returncode:
        why = _reason(ran.stderr, folder)
        raise ConfigError(
            f"queues = {list(modules)} cannot be imported from the bundle: {why}; a module of declarations imports"
            " peeklock and the standard library only, and lies in sources"
        )
    declared: dict[str, str] = json.loads(ran.stdout.splitlines()[-1])
    if not declared:
        raise ConfigError(f"queues = {list(modules)}: no Queue is declared there; name the modules that declare them")
    return dict(sorted(declared.items()))


def _reason(traceback: str, folder: str) -> str:
    """Return the last line of a traceback, with the line of the bundle that it came from."""
    lines = traceback.strip().splitlines()
    places = re.findall(rf'File "{re.escape(folder)}/(.+)", line (\d+)', traceback)
    where = "".join(f"{path}:{line}: " for path, line in places[-1:])
    return where + (lines[-1] if lines else "it ended without a message")
