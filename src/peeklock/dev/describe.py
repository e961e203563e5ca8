"""What a project's entry points are bound to. It runs in a process of its own, so that changed code is read anew:

    python -m peeklock.dev.describe ROOT '{"sqs": ["app.aws:handler"], "servicebus": "azure", "cloudtasks": []}'

It prints one line of JSON, with `error` for code that does not load; what the project's modules print goes to standard error.
"""

from __future__ import annotations

import contextlib
import importlib
import json
import os
import re
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

from peeklock.binding.bind import Binding, binding_of
from peeklock.errors import ConfigError
from peeklock.queue import Queue
from peeklock.replay.problems import explained


def describe(root: Path, told: dict[str, Any]) -> dict[str, Any]:
    """Entries, triggers, and every queue that the project declares. Raises ConfigError for an entry that is none."""
    found: dict[str, Any] = {
        "sqs": [_entry(target, "sqs") for target in told.get("sqs", ())],
        "cloudtasks": [_entry(target, "cloudtasks") for target in told.get("cloudtasks", ())],
        "servicebus": list(_triggers(Path(told["servicebus"]))) if told.get("servicebus") else [],
    }
    modules = list(_own(root))
    files = [str(Path(str(one.__file__)).resolve()) for one in modules]
    return {**found, "queues": [_queue(one) for one in _declared(modules)], "files": files}


def _entry(target: str, platform: str) -> dict[str, Any]:
    module_name, _, name = target.partition(":")
    try:
        module = importlib.import_module(module_name)
    except ModuleNotFoundError as exc:
        if exc.name is None or not f"{module_name}.".startswith(f"{exc.name}."):
            raise
        raise ConfigError(f"{target}: there is no module {exc.name}") from None
    binding = binding_of(getattr(module, name, None))
    if binding is None or binding.platform != platform:
        raise ConfigError(f"{target} is not made by {platform}.bind(...)")
    return {
        "module": module_name,
        "name": name,
        "file": str(module.__file__),
        "queue": binding.queue.name,
    }


def _triggers(folder: Path) -> Iterator[dict[str, Any]]:
    """The Service Bus triggers of a function app, and what peeklock bound to them."""
    sys.path.insert(0, str(folder))
    module = importlib.import_module("function_app")
    apps = [one for one in vars(module).values() if callable(getattr(one, "get_functions", None))]
    if not apps:
        raise ConfigError(f"{folder}/function_app.py has no func.FunctionApp")
    for function in (one for app in apps for one in app.get_functions()):
        trigger = function.get_trigger().get_dict_repr()
        binding = binding_of(function.get_user_function())
        if binding is None or trigger.get("type") != "serviceBusTrigger":
            continue
        yield _trigger(trigger, binding, function.get_function_name())


def _trigger(trigger: dict[str, Any], binding: Binding, name: str) -> dict[str, Any]:
    return {
        "function": name,
        "queue": binding.queue.name,
        "queue_name": _setting(trigger.get("queueName")),
        "topic_name": _setting(trigger.get("topicName")),
        "subscription_name": _setting(trigger.get("subscriptionName")),
        "sessions": bool(trigger.get("isSessionsEnabled")),
    }


def _setting(value: str | None) -> str | None:
    """With app settings, `%NAME%`, put in: https://learn.microsoft.com/azure/azure-functions/functions-bindings-expressions-patterns"""
    return value and re.sub("%([^%]+)%", lambda found: os.environ.get(found[1], found[0]), value)


def _own(root: Path) -> Iterator[ModuleType]:
    """The project's own modules."""
    for module in list(sys.modules.values()):
        file = getattr(module, "__file__", None)
        if file and Path(file).is_relative_to(root) and "site-packages" not in Path(file).parts:
            yield module


def _declared(modules: Sequence[ModuleType]) -> list[Queue]:
    """The queues in the project's own modules, also those that it only sends to."""
    queues: dict[str, Queue] = {}
    for module in modules:
        queues.update({one.name: one for one in vars(module).values() if isinstance(one, Queue)})
    return sorted(queues.values(), key=lambda queue: queue.name)


def _queue(queue: Queue) -> dict[str, Any]:
    return {
        "name": queue.name,
        "max_attempts": queue.max_attempts,
        "timeout": queue.timeout.total_seconds(),
        "fifo": queue.fifo,
    }


def main(argv: list[str]) -> int:
    root, told = Path(argv[0]), json.loads(argv[1])
    sys.path.insert(0, str(root))
    try:
        with contextlib.redirect_stdout(sys.stderr):
            found = describe(root, told)
    except (Exception, SystemExit) as exc:  # noqa: BLE001 - whatever the project's code does when it is imported
        found = {"error": explained(exc, root), "config": isinstance(exc, ConfigError)}
    sys.stdout.write(json.dumps(found) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
