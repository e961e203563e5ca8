"""Settings of the host: `host.json`, and the application settings that override it.

https://learn.microsoft.com/azure/azure-functions/functions-host-json
"""

from __future__ import annotations

import math
import os
import re
import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn, cast

from cloudqueues.errors import ConfigError
from cloudqueues.functions_host.app_settings import read_object

# Defaults: https://learn.microsoft.com/azure/azure-functions/functions-bindings-service-bus#hostjson-settings
CALLS_PER_CORE = 16
SESSIONS = 8
BATCH = 1000
RENEW_FOR = 300.0
SESSION_IDLE = 60.0  # the client's tryTimeout

VERSION = "2.0"
OVERRIDE = "AzureFunctionsJobHost__"
"""Prefix of an application setting that overrides `host.json`.
https://learn.microsoft.com/azure/azure-functions/functions-host-json#override-hostjson-values"""

_PAGE = "https://learn.microsoft.com/azure/azure-functions/functions-host-json"
_BUNDLES = "https://learn.microsoft.com/azure/azure-functions/extension-bundles"
_BUS = "extensions.serviceBus."
_SPAN = re.compile(r"(?:(\d+)\.)?(\d+):(\d\d):(\d\d(?:\.\d+)?)")


@dataclass(frozen=True, slots=True, kw_only=True)
class HostOptions:
    """Settings of `host.json` that the host reads; times in seconds."""

    prefetch: int = 0
    auto_complete: bool = True
    renew_for: float = RENEW_FOR
    """Longest time for which a lock is renewed; locks of batches never are."""
    calls: int = CALLS_PER_CORE
    """Invocations of a function at a time, one message each."""
    sessions: int = SESSIONS
    """Sessions at a time."""
    calls_per_session: int = 1
    batch: int = BATCH
    """Messages in a batch, at most."""
    session_idle: float = SESSION_IDLE
    """Time for which a session without messages is kept."""
    timeout: float = math.inf
    """Longest duration of an invocation."""


def host_options(app: Path | zipfile.Path, environ: Mapping[str, str] | None = None) -> HostOptions:
    """Read `host.json` from an app's folder or zip file, with the overrides in its application settings.

    Raises ConfigError for a file that the real host refuses, and for settings that are not emulated.
    """
    path = app / "host.json"
    content = _content(path)
    _check_required(content, app, path)
    settings = _Settings(content, environ or {}, str(path))
    if settings.number(f"{_BUS}minMessageBatchSize", 1, least=1) > 1:
        raise ConfigError(f"{path}: minMessageBatchSize is not emulated; leave it out for a local run")
    return HostOptions(
        prefetch=settings.number(f"{_BUS}prefetchCount", 0, least=0),
        auto_complete=settings.flag(f"{_BUS}autoCompleteMessages", default=True),
        renew_for=settings.span(f"{_BUS}maxAutoLockRenewalDuration", RENEW_FOR),
        calls=settings.number(f"{_BUS}maxConcurrentCalls", CALLS_PER_CORE * (os.cpu_count() or 1), least=1),
        sessions=settings.number(f"{_BUS}maxConcurrentSessions", SESSIONS, least=1),
        calls_per_session=settings.number(f"{_BUS}maxConcurrentCallsPerSession", 1, least=1),
        batch=settings.number(f"{_BUS}maxMessageBatchSize", BATCH, least=1),
        session_idle=settings.span(f"{_BUS}sessionIdleTimeout", SESSION_IDLE),
        timeout=settings.span("functionTimeout", math.inf),
    )


def _content(path: Path | zipfile.Path) -> dict[str, Any]:
    if not path.exists():
        raise ConfigError(
            f'{path} is missing: every function app has one, at least {{"version": "{VERSION}"}} ({_PAGE})'
        )
    return read_object(path, _PAGE)


def _check_required(content: Mapping[str, Any], app: Path | zipfile.Path, path: Path | zipfile.Path) -> None:
    """Raise ConfigError for a file without its version, or without the bundle that holds the Service Bus extension."""
    if content.get("version") != VERSION:
        raise ConfigError(
            f'{path}: write "version": "{VERSION}", as a string; it is {content.get("version")!r} ({_PAGE})'
        )
    installed = app / "bin" / "extensions.json"  # written by `func extensions install`, the way without a bundle
    if not isinstance(content.get("extensionBundle"), dict) and not installed.exists():
        raise ConfigError(
            f"{path}: there is no extensionBundle, which brings the Service Bus trigger to a Python app; add"
            ' "extensionBundle": {"id": "Microsoft.Azure.Functions.ExtensionBundle", "version": "[4.*, 5.0.0)"}'
            f" ({_BUNDLES})"
        )


class _Settings:
    """Values of `host.json` and of the application settings that override them, by their paths, whatever their case."""

    def __init__(self, content: Mapping[str, Any], environ: Mapping[str, str], path: str) -> None:
        self._file = dict(_flat(content, ""))
        self._path = path
        self._overrides = {
            name[len(OVERRIDE) :].replace("__", ".").lower(): (name, value)
            for name, value in environ.items()
            if name.lower().startswith(OVERRIDE.lower())
        }

    def number(self, setting: str, default: int, *, least: int) -> int:
        value = self._value(setting, default)
        is_digits = self._is_override(setting) and value.isascii() and value.isdigit()
        number = int(value) if is_digits else value
        if isinstance(number, bool) or not isinstance(number, int) or number < least:
            self._refuse(setting, value, f"a whole number from {least}, without quotation marks in host.json")
        return number

    def flag(self, setting: str, *, default: bool) -> bool:
        value = self._value(setting, default)
        if self._is_override(setting):
            value = {"true": True, "false": False}.get(str(value).lower(), value)
        if not isinstance(value, bool):
            self._refuse(setting, value, "true or false, without quotation marks in host.json")
        return value

    def span(self, setting: str, default: float) -> float:
        value = self._value(setting, None)
        seconds = default if value is None else _seconds(value)
        if seconds is None:
            self._refuse(setting, value, "a time span such as 00:05:00")
        return seconds

    def _value(self, setting: str, default: Any) -> Any:
        if self._is_override(setting):
            return self._overrides[setting.lower()][1]
        value = self._file.get(setting.lower())
        return default if value is None else value

    def _is_override(self, setting: str) -> bool:
        return setting.lower() in self._overrides

    def _refuse(self, setting: str, value: object, expected: str) -> NoReturn:
        where = self._overrides[setting.lower()][0] if self._is_override(setting) else f"{self._path}: {setting}"
        raise ConfigError(f"{where} is {value!r}; it must be {expected} ({_PAGE})")


def _flat(content: Mapping[str, Any], prefix: str) -> Iterator[tuple[str, Any]]:
    """Yield the values below each other as paths: the names of .NET's configuration know no case."""
    for name, value in content.items():
        path = f"{prefix}{name}".lower()
        if isinstance(value, dict):
            yield from _flat(cast("dict[str, Any]", value), f"{path}.")
        else:
            yield path, value


def _seconds(value: object) -> float | None:
    """Return the seconds of a .NET `TimeSpan`, where a negative one is no limit; None for what is not one."""
    text = value if isinstance(value, str) else ""
    if text.startswith("-"):
        return math.inf
    match = _SPAN.fullmatch(text)
    if match is None:
        return None
    days, hours, minutes, seconds = match.groups("0")
    return ((int(days) * 24 + int(hours)) * 60 + int(minutes)) * 60 + float(seconds)
