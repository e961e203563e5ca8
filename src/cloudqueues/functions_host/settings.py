"""What an app says about itself: `host.json`, and the bindings that the worker found in its functions."""

from __future__ import annotations

import json
import math
import os
import re
import zipfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cloudqueues.errors import ConfigError

# Defaults: https://learn.microsoft.com/azure/azure-functions/functions-bindings-service-bus#hostjson-settings
CALLS_PER_CORE = 16
SESSIONS = 8
BATCH = 1000
RENEW_FOR = 300.0
SESSION_IDLE = 60.0  # the client's tryTimeout

_SPAN = re.compile(r"(?:(\d+)\.)?(\d+):(\d\d):(\d\d(?:\.\d+)?)")
_APP_SETTING = re.compile(r"%([^%]+)%")


@dataclass(frozen=True, slots=True, kw_only=True)
class HostOptions:
    """`host.json`, as far as it matters here; times in seconds."""

    prefetch: int = 0
    auto_complete: bool = True
    renew_for: float = RENEW_FOR
    """How long a lock is renewed at most; locks of batches never are."""
    calls: int = CALLS_PER_CORE
    """Invocations of a function at a time, one message each."""
    sessions: int = SESSIONS
    """Sessions at a time."""
    calls_per_session: int = 1
    batch: int = BATCH
    """Messages a batch, at most."""
    session_idle: float = SESSION_IDLE
    """How long a session is kept that has no message."""
    timeout: float = math.inf
    """Of a function."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Trigger:
    """A function, and where its messages come from."""

    function: str
    argument: str
    queue: str | None
    topic: str | None
    subscription: str | None
    connection: str
    """The app setting that the binding names."""
    sessions: bool
    many: bool
    data_type: str
    """STRING, BINARY or UNDEFINED."""
    auto_complete: bool


def host_options(app: Path | zipfile.Path) -> HostOptions:
    """`app`: its folder, or its zip file. Raises ConfigError for a file that is no JSON, and for settings that are not
    emulated."""
    path = app / "host.json"
    try:
        whole: dict[str, Any] = json.loads(path.read_bytes()) if path.exists() else {}
    except ValueError as exc:
        raise ConfigError(f"{path} is no JSON: {exc}") from exc
    bus: dict[str, Any] = whole.get("extensions", {}).get("serviceBus", {})
    if bus.get("minMessageBatchSize", 1) > 1:
        raise ConfigError(f"{path}: minMessageBatchSize is not emulated; leave it out for a local run")
    return HostOptions(
        prefetch=bus.get("prefetchCount", 0),
        auto_complete=bus.get("autoCompleteMessages", True),
        renew_for=span(bus.get("maxAutoLockRenewalDuration"), RENEW_FOR),
        calls=bus.get("maxConcurrentCalls", CALLS_PER_CORE * (os.cpu_count() or 1)),
        sessions=bus.get("maxConcurrentSessions", SESSIONS),
        calls_per_session=bus.get("maxConcurrentCallsPerSession", 1),
        batch=bus.get("maxMessageBatchSize", BATCH),
        session_idle=span(bus.get("sessionIdleTimeout"), SESSION_IDLE),
        timeout=span(whole.get("functionTimeout"), math.inf),
    )


def span(value: str | None, default: float) -> float:
    """Seconds of a .NET `TimeSpan`; a negative one is no limit. Raises ConfigError."""
    if value is None:
        return default
    if value.startswith("-"):
        return math.inf
    found = _SPAN.fullmatch(value)
    if found is None:
        raise ConfigError(f"host.json: {value!r} is no time span such as 00:05:00")
    days, hours, minutes, seconds = found.groups("0")
    return ((int(days) * 24 + int(hours)) * 60 + int(minutes)) * 60 + float(seconds)


def triggers(
    functions: Iterable[Mapping[str, Any]], options: HostOptions, environ: Mapping[str, str]
) -> tuple[list[Trigger], list[str]]:
    """Those of Service Bus, and the names of the other functions. Raises ConfigError for bindings that are not emulated."""
    found: list[Trigger] = []
    others: list[str] = []
    for function in functions:
        bindings = [json.loads(raw) for raw in function["rawBindings"]]
        mine = [one for one in bindings if str(one["type"]).lower() == "servicebustrigger"]
        if not mine:
            others.append(function["name"])
            continue
        _check_rest(function["name"], bindings)
        found.append(_trigger(function["name"], mine[0], options, environ))
    return found, others


def _check_rest(function: str, bindings: list[Mapping[str, Any]]) -> None:
    rest = [one["type"] for one in bindings if str(one["type"]).lower() != "servicebustrigger"]
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
    """With the app settings in `%NAME%`. Raises ConfigError for one that is missing."""

    def value(found: re.Match[str]) -> str:
        name = found.group(1)
        if name not in environ:
            raise ConfigError(f"{text!r} names the app setting {name}, which is not there; give it in environ=")
        return environ[name]

    return _APP_SETTING.sub(value, text)
