"""Import a project's entry points and print what they are bound to, in a process of its own, so that changed code is read anew:

    python -m peeklock.dev.describe ROOT '{"entries": {"sqs": ["app.aws:handler"], "servicebus": ["/shop/azure"]}}'
    python -m peeklock.dev.describe ROOT '{"deployed": {"function": "shop-orders", "platform": "sqs", "target": "app.aws:handler"}}'

It prints one line of JSON, with `error` for code that does not load; what the project's modules print goes to standard error,
and so does what their child processes and exit handlers print.
"""

from __future__ import annotations

import importlib
import json
import os
import re
import sys
import sysconfig
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any, TextIO

import peeklock
from peeklock.binding.bind import binding_of
from peeklock.consuming.declaration import declaration
from peeklock.dev.project import support_of
from peeklock.errors import ConfigError
from peeklock.keywords import nearest
from peeklock.platform_registry import load_target
from peeklock.queue import Queue
from peeklock.replay.problems import explained

INSTALLED = {
    *(Path(sysconfig.get_path(name)) for name in ("stdlib", "platstdlib", "purelib", "platlib")),
    Path(peeklock.__file__).parent,
}
"""Folders of installed modules, which do not change while `peeklock dev` runs."""

OWN_QUEUE = re.compile(r"PEEKLOCK_\w+_FINGERPRINT")
"""Variable that `peeklock.infra` gives a function for the queue that it consumes, and for no other."""


def describe(root: Path, request: dict[str, Any]) -> dict[str, Any]:
    """Return the handlers of each platform, and every queue that the project declares. Raises ConfigError for an entry that is
    not bound."""
    entries = request.get("entries", {})
    handlers = {
        name: list(load_target(support_of(name).describe)(name, entries[name]))
        for name in sorted(
            entries, key=lambda name: support_of(name).app_file
        )  # apps last: their folder comes first in sys.path
    }
    if "deployed" in request:
        _check_deployed(**request["deployed"])
    modules = list(_own(root))
    files = [str(Path(str(module.__file__)).resolve()) for module in modules]
    return {"handlers": handlers, "queues": [_queue(queue) for queue in _declared(modules)], "files": files}


def bound_entries(platform: str, targets: Sequence[str]) -> list[dict[str, Any]]:
    """Return the bound functions `module:function`: the fields of a `peeklock.dev.discovery.Entry`."""
    return [_entry(target, platform) for target in targets]


def _entry(target: str, platform: str) -> dict[str, Any]:
    module_name, _, name = target.partition(":")
    module = _imported(module_name, target)
    binding = binding_of(_member(module, name, target))
    if binding is None or binding.platform != platform:
        raise ConfigError(f"{target} is not made by {platform}.bind(...)")
    return {
        "module": module_name,
        "name": name,
        "file": str(module.__file__),
        "queue": binding.queue.name,
    }


def _imported(name: str, target: str) -> ModuleType:
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as exc:
        if exc.name is None or not f"{name}.".startswith(f"{exc.name}."):
            raise
        raise ConfigError(f"{target}: there is no module {exc.name}") from None


def _member(module: ModuleType, name: str, target: str) -> Any:
    if not hasattr(module, name):
        names = sorted(each for each in vars(module) if not each.startswith("_"))
        raise ConfigError(f"{target}: {module.__name__} has no {name!r}; {nearest(name, names)}")
    return getattr(module, name)


def _check_deployed(function: str, platform: str, target: str) -> None:
    """Raise ConfigError where a function of a Pulumi program has a handler that cannot work: missing, not bound to the
    platform, or of another queue than the program says. Objects that peeklock does not know, such as a tracer's wrapper, pass."""
    module_name, _, name = target.partition(":")
    handler = _member(_imported(module_name, f"function {function}"), name, f"function {function}")
    binding, is_consumer = binding_of(handler), _is_consumer(handler)
    wants_consumer = bool(support_of(platform).app_file)  # `peeklock.infra` renders the app around the consumer
    if binding is None and not is_consumer:
        return
    if (binding is None) != wants_consumer or (binding is not None and binding.platform != platform):
        needed = "the consumer itself" if wants_consumer else f"what {platform}.bind(...) returned"
        raise ConfigError(f"function {function}: {target} is not {needed}; correct handler= in the program")
    queue = declaration(handler).queue if binding is None else binding.queue
    own = sorted(filter(OWN_QUEUE.fullmatch, os.environ))
    if own and queue.variable("FINGERPRINT") not in own:
        names = " and ".join(variable.removeprefix("PEEKLOCK_").removesuffix("_FINGERPRINT") for variable in own)
        raise ConfigError(
            f"function {function}: {target} consumes queue {queue.name!r}, and the program made the function for queue"
            f" {names}; correct handler= in the program"
        )


def _is_consumer(handler: Any) -> bool:
    try:
        declaration(handler)
    except ConfigError:
        return False
    return True


def _own(root: Path) -> Iterator[ModuleType]:
    """Yield the modules that are not installed: those below the project's folder, and those that PYTHONPATH adds."""
    for module in list(sys.modules.values()):
        file = getattr(module, "__file__", None)
        if file and not _is_installed(Path(file), root):
            yield module


def _is_installed(file: Path, root: Path) -> bool:
    if {"site-packages", "dist-packages"} & set(file.parts):
        return True
    return not file.is_relative_to(root) and any(file.is_relative_to(folder) for folder in INSTALLED)


def _declared(modules: Sequence[ModuleType]) -> list[Queue]:
    """Return the queues in the project's own modules, also those that it only sends to."""
    queues: dict[str, Queue] = {}
    for module in modules:
        queues.update({value.name: value for value in vars(module).values() if isinstance(value, Queue)})
    return sorted(queues.values(), key=lambda queue: queue.name)


def _queue(queue: Queue) -> dict[str, Any]:
    return {
        "name": queue.name,
        "max_attempts": queue.max_attempts,
        "timeout": queue.timeout.total_seconds(),
        "fifo": queue.fifo,
    }


def main(argv: list[str]) -> int:
    root, request = Path(argv[0]), json.loads(argv[1])
    sys.path.insert(0, str(root))
    with _own_output() as output:
        try:
            answer = describe(root, request)
        except (Exception, SystemExit) as exc:  # noqa: BLE001 - the project's code may raise anything when it is imported
            answer = {"error": explained(exc, root), "config": isinstance(exc, ConfigError)}
        output.write(json.dumps(answer) + "\n")
    return 0


def _own_output() -> TextIO:
    """Return the standard output, and let all else that is written to it go to standard error."""
    output = os.fdopen(os.dup(sys.stdout.fileno()), "w", encoding="ascii")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    return output


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
