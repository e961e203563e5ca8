"""Package of a function app: the bundle, and two files that follow from the consumer's declaration and capacity.

The trigger is rendered, not written by hand, so that batch, sessions and threads in the code cannot differ from those in
host.json and in the queue.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import zipfile
from collections.abc import Mapping
from pathlib import Path

from peeklock.errors import ConfigError
from peeklock.infra.settings.azure import Settings, host_json
from peeklock.queue import Queue

PACKAGE = "released-package.zip"
"""Name of the package that One Deploy requires.
https://learn.microsoft.com/azure/azure-functions/functions-infrastructure-as-code#deployment-package"""

FIRST_TIME = (1980, 1, 1, 0, 0, 0)
"""Earliest time that a zip file can record, used for every file: the same contents make the same bytes on any day."""


def function_of(handler: str) -> str:
    """Return the function's name in the app. Raises ConfigError for a handler that does not name a function of a module."""
    return _split("handler", handler, "the consumer as module and function, such as 'orders.charge.charge'")[1]


def _split(argument: str, path: str, form: str) -> tuple[str, str]:
    """Return module and name."""
    module, _, name = path.rpartition(".")
    if not module or not all(word.isidentifier() for word in path.split(".")):
        raise ConfigError(f"{argument}={path!r}: name {form}")
    return module, name


def function_app(queue: Queue, handler: str, settings: Settings, more: str | None = None) -> str:
    """Return function_app.py, which binds the consumer to its queue. `more`: a mapping with further arguments of `bind`."""
    name = function_of(handler)
    module = handler.rpartition(".")[0]
    options = {
        "app": "app",
        "name": repr(name),
        "batch": repr(settings.batch > 1),
        "sessions": repr(settings.sessions),
        "parallel": repr(settings.parallel),
    }
    arguments = "".join(f"    {option}={value},\n" for option, value in options.items())
    options_import = ""
    if more is not None:
        options_module, mapping = _split(
            "options", more, "a mapping as module and name, such as 'orders.azure.OPTIONS'"
        )
        arguments += "    **options,\n"
        options_import = f"from {options_module} import {mapping} as options\n"
    return (
        f'"""Rendered by peeklock.infra.azure for queue {queue.name}."""\n\n'
        "import azure.functions as func\n\n"
        f"from {module} import {name} as consumer\n{options_import}"
        "from peeklock import servicebus\n\n"
        "app = func.FunctionApp()\n\n"
        f"servicebus.bind(\n    consumer,\n{arguments})\n"
    )


def rendered(queue: Queue, handler: str, settings: Settings, more: str | None = None) -> dict[str, str]:
    """Return the rendered files by name."""
    return {
        "function_app.py": function_app(queue, handler, settings, more),
        "host.json": json.dumps(host_json(settings), indent=2) + "\n",
    }


def contents(bundle: bytes, files: Mapping[str, str]) -> dict[str, tuple[int, bytes]]:
    """Return the bundle's files and `files`, which replace those of the same name: modes and bytes by name, sorted."""
    with zipfile.ZipFile(io.BytesIO(bundle)) as archive:
        members = {
            entry.filename: (entry.external_attr, archive.read(entry))
            for entry in archive.infolist()
            if not entry.is_dir()
        }
    members |= {name: (0o100644 << 16, text.encode()) for name, text in files.items()}
    return dict(sorted(members.items()))


def digest(files: Mapping[str, tuple[int, bytes]]) -> str:
    """Return a digest of a package's contents, not of its bytes: another zlib compresses the same contents differently."""
    total = hashlib.sha256()
    for name, (mode, data) in files.items():
        total.update(f"{name}\0{mode}\0{len(data)}\0".encode() + data)
    return total.hexdigest()[:16]


def zipped(files: Mapping[str, tuple[int, bytes]]) -> bytes:
    """Return a zip file: the same bytes for the same contents."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, (mode, data) in files.items():
            entry = zipfile.ZipInfo(name, FIRST_TIME)
            entry.external_attr, entry.compress_type = mode, zipfile.ZIP_DEFLATED
            entry.create_system = 3  # else that of this machine
            archive.writestr(entry, data)
    return out.getvalue()


def written(bundle: Path, queue: Queue, files: Mapping[str, str]) -> tuple[Path, str]:
    """Write the package beside the bundle. Returns its path and the digest of its contents."""
    packed = contents(bundle.read_bytes(), files)
    path = bundle.with_name(f"{bundle.stem}-{queue.name}.zip")
    scratch = path.with_suffix(f".{os.getpid()}")
    scratch.write_bytes(zipped(packed))
    scratch.replace(path)
    return path, digest(packed)
