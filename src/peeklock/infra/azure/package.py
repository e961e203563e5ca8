"""What an app runs: the bundle, and two files that follow from the consumer's declaration and capacity.

The trigger is rendered and not written by hand, so that a batch, a session or a number of threads in the code cannot differ
from those in host.json and in the queue.
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
"""The name that One Deploy asks for.
https://learn.microsoft.com/azure/azure-functions/functions-infrastructure-as-code#deployment-package"""

LONG_AGO = (1980, 1, 1, 0, 0, 0)
"""The first moment that a zip file can name: the same package has the same bytes on any day."""


def function_of(handler: str) -> str:
    """The function's name in the app. Raises ConfigError for a handler that names no function of a module."""
    return _split("handler", handler, "the consumer as module and function, such as 'orders.charge.charge'")[1]


def _split(argument: str, path: str, form: str) -> tuple[str, str]:
    """Module and name."""
    module, _, name = path.rpartition(".")
    if not module or not all(one.isidentifier() for one in path.split(".")):
        raise ConfigError(f"{argument}={path!r}: name {form}")
    return module, name


def function_app(queue: Queue, handler: str, settings: Settings, more: str | None = None) -> str:
    """function_app.py: the consumer, bound to its queue. `more`: a mapping with further arguments of `bind`."""
    name = function_of(handler)
    module = handler.rpartition(".")[0]
    options = {
        "app": "app",
        "name": repr(name),
        "batch": repr(settings.batch > 1),
        "sessions": repr(settings.sessions),
        "parallel": repr(settings.parallel),
    }
    told = "".join(f"    {option}={value},\n" for option, value in options.items())
    wanted = ""
    if more is not None:
        where, mapping = _split("options", more, "a mapping as module and name, such as 'orders.azure.OPTIONS'")
        told, wanted = f"{told}    **options,\n", f"from {where} import {mapping} as options\n"
    return (
        f'"""Rendered by peeklock.infra.azure for queue {queue.name}."""\n\n'
        "import azure.functions as func\n\n"
        f"from {module} import {name} as consumer\n{wanted}"
        "from peeklock import servicebus\n\n"
        "app = func.FunctionApp()\n\n"
        f"servicebus.bind(\n    consumer,\n{told})\n"
    )


def rendered(queue: Queue, handler: str, settings: Settings, more: str | None = None) -> dict[str, str]:
    """The files by name."""
    return {
        "function_app.py": function_app(queue, handler, settings, more),
        "host.json": json.dumps(host_json(settings), indent=2) + "\n",
    }


def contents(bundle: bytes, files: Mapping[str, str]) -> dict[str, tuple[int, bytes]]:
    """The bundle's files with these, in place of those of the same name: modes and bytes by name, sorted."""
    with zipfile.ZipFile(io.BytesIO(bundle)) as given:
        found = {one.filename: (one.external_attr, given.read(one)) for one in given.infolist() if not one.is_dir()}
    found |= {name: (0o100644 << 16, text.encode()) for name, text in files.items()}
    return dict(sorted(found.items()))


def digest(files: Mapping[str, tuple[int, bytes]]) -> str:
    """Of what is in a package, and not of its bytes: another zlib packs the same otherwise."""
    total = hashlib.sha256()
    for name, (mode, data) in files.items():
        total.update(f"{name}\0{mode}\0{len(data)}\0".encode() + data)
    return total.hexdigest()[:16]


def zipped(files: Mapping[str, tuple[int, bytes]]) -> bytes:
    """A zip file: the same bytes for the same contents."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as made:
        for name, (mode, data) in files.items():
            entry = zipfile.ZipInfo(name, LONG_AGO)
            entry.external_attr, entry.compress_type = mode, zipfile.ZIP_DEFLATED
            entry.create_system = 3  # else the machine's own is written
            made.writestr(entry, data)
    return out.getvalue()


def written(bundle: Path, queue: Queue, files: Mapping[str, str]) -> tuple[Path, str]:
    """Write the package beside the bundle; its path, and the digest of its contents."""
    packed = contents(bundle.read_bytes(), files)
    path = bundle.with_name(f"{bundle.stem}-{queue.name}.zip")
    scratch = path.with_suffix(f".{os.getpid()}")
    scratch.write_bytes(zipped(packed))
    scratch.replace(path)
    return path, digest(packed)
