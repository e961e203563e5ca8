"""Service Bus triggers of a project's function app, read by importing it."""

from __future__ import annotations

import importlib
import os
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from peeklock.binding.bind import Binding, binding_of
from peeklock.errors import ConfigError


def triggers(platform: str, folders: Sequence[str]) -> Iterator[dict[str, Any]]:
    """Yield the triggers that peeklock has bound, of the app in a folder: the fields of a `peeklock.dev.servicebus.Trigger`."""
    del platform
    (folder,) = folders
    sys.path.insert(0, folder)
    module = importlib.import_module("function_app")
    # The class itself may be there too, and an app under two names.
    apps = {id(value): value for value in vars(module).values() if _is_app(value)}
    if not apps:
        raise ConfigError(f"{folder}/function_app.py has no func.FunctionApp")
    for function in (function for app in apps.values() for function in app.get_functions()):
        trigger = function.get_trigger().get_dict_repr()
        binding = binding_of(function.get_user_function())
        if binding is None or trigger.get("type") != "serviceBusTrigger":
            continue
        yield _trigger(trigger, binding, function.get_function_name())


def _is_app(value: Any) -> bool:
    return not isinstance(value, type) and callable(getattr(value, "get_functions", None))


def _trigger(trigger: Mapping[str, Any], binding: Binding, name: str) -> dict[str, Any]:
    return {
        "function": name,
        "queue": binding.queue.name,
        "queue_name": _setting(trigger.get("queueName")),
        "topic_name": _setting(trigger.get("topicName")),
        "subscription_name": _setting(trigger.get("subscriptionName")),
        "sessions": bool(trigger.get("isSessionsEnabled")),
    }


def _setting(value: str | None) -> str | None:
    """Fill in app settings, `%NAME%`: https://learn.microsoft.com/azure/azure-functions/functions-bindings-expressions-patterns"""
    return value and re.sub("%([^%]+)%", lambda name: os.environ.get(name[1], name[0]), value)
