"""Service Bus triggers, from the bindings that the worker finds in an app's functions."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from cloudqueues.errors import ConfigError
from cloudqueues.functions_host.settings import HostOptions

_APP_SETTING = re.compile(r"%([^%]+)%")


@dataclass(frozen=True, slots=True, kw_only=True)
class Trigger:
    """Function, and the entity that its messages come from."""

    function: str
    argument: str
    queue: str | None
    topic: str | None
    subscription: str | None
    connection: str
    """Application setting that the binding names."""
    sessions: bool
    many: bool
    data_type: str
    """STRING, BINARY or UNDEFINED."""
    auto_complete: bool


def triggers(
    functions: Iterable[Mapping[str, Any]], options: HostOptions, environ: Mapping[str, str]
) -> tuple[list[Trigger], list[str]]:
    """Return the Service Bus triggers, and the names of the functions without one.

    Raises ConfigError for bindings that are not emulated.
    """
    service_bus: list[Trigger] = []
    rest: list[str] = []
    for function in functions:
        bindings = [json.loads(raw) for raw in function["rawBindings"]]
        matching = [binding for binding in bindings if _is_service_bus(binding)]
        if not matching:
            rest.append(function["name"])
            continue
        _check_bindings(function["name"], bindings)
        service_bus.append(_trigger(function["name"], matching[0], options, environ))
    return service_bus, rest


def _is_service_bus(binding: Mapping[str, Any]) -> bool:
    return str(binding["type"]).lower() == "servicebustrigger"


def _check_bindings(function: str, bindings: list[Mapping[str, Any]]) -> None:
    rest = [binding["type"] for binding in bindings if not _is_service_bus(binding)]
    if rest:
        raise ConfigError(f"function {function!r}: the bindings {', '.join(rest)} are not emulated; send with an SDK")


def _trigger(function: str, binding: Mapping[str, Any], options: HostOptions, environ: Mapping[str, str]) -> Trigger:
    if binding.get("properties", {}).get("SupportsDeferredBinding") in {True, "True", "true"}:
        raise ConfigError(
            f"function {function!r}: SDK types as arguments are not emulated; annotate with func.ServiceBusMessage"
        )

    def setting(key: str) -> str | None:
        value = binding.get(key)
        return None if value is None else _resolved(value, environ)

    return Trigger(
        function=function,
        argument=binding["name"],
        queue=setting("queueName"),
        topic=setting("topicName"),
        subscription=setting("subscriptionName"),
        connection=binding.get("connection") or "",
        sessions=bool(binding.get("isSessionsEnabled", False)),
        many=str(binding.get("cardinality", "one")).lower() == "many",
        data_type=str(binding.get("dataType", "UNDEFINED")).upper(),
        auto_complete=bool(binding.get("autoCompleteMessages", options.auto_complete)),
    )


def _resolved(text: str, environ: Mapping[str, str]) -> str:
    """Replace each `%NAME%` by its application setting. Raises ConfigError for one that is missing."""

    def value(match: re.Match[str]) -> str:
        name = match.group(1)
        if name not in environ:
            raise ConfigError(f"{text!r} names the app setting {name}, which is missing; give it in environ=")
        return environ[name]

    return _APP_SETTING.sub(value, text)
