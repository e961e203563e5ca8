"""Checks of a binding's options: their names, and the values that they take."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Collection, Mapping
from typing import Any

from peeklock.errors import ConfigError
from peeklock.keywords import refuse_unknown
from peeklock.platform_registry import platforms
from peeklock.redaction import shown
from peeklock.registry import check_sender, check_store
from peeklock.timing.delays import seconds
from peeklock.unwrap import BY_NAME, Unwrap, composed

_METHODS: dict[str, tuple[str, ...]] = {
    "store": ("swap",),
    "dead_letter": ("send",),
    "queue": ("send",),
    "outbox": ("send",),
    "dead_letters": ("send",),
    "observer": ("running", "settled"),
    "clock": ("now", "monotonic"),
    "random": ("uniform",),
}
"""Methods that an option's value must have."""

_ADDRESSES: dict[str, Callable[[str], object]] = {
    "store": check_store,
    "dead_letter": check_sender,
    "queue": check_sender,
}
"""Options that take a URL as well, each with its check of the URL."""


def check_options(options: Mapping[str, Any], declared: Collection[str], platform: str) -> None:
    """Raise ConfigError for unknown options and wrong values. `declared`: the names of the options of every platform."""
    if not options.keys() <= set(declared):
        refuse_unknown(options, {*declared, *_of_platform(platform)}, "bind()")
    for name, value in options.items():
        if value is not None and name in _METHODS:
            _check_value(name, value)
    _check_parallel(options.get("parallel", 1))
    _check_lock(options.get("lock"))
    unwrap_of(options.get("unwrap"))


def _of_platform(platform: str) -> Collection[str]:
    """Return the keywords of a platform's own `bind`."""
    entry = platforms().get(platform)
    if entry is None:
        return ()
    import inspect

    parameters = inspect.signature(importlib.import_module(entry.module).bind).parameters.values()
    return [parameter.name for parameter in parameters if parameter.kind is parameter.KEYWORD_ONLY]


def _check_value(name: str, value: object) -> None:
    address = _ADDRESSES.get(name)
    if address is not None and isinstance(value, str):
        address(value)
        return
    methods = _METHODS[name]
    if isinstance(value, type) or not all(callable(getattr(value, method, None)) for method in methods):
        kind = shown(value) if isinstance(value, str) else type(value).__name__
        url = ", or a URL" if address else ""
        raise ConfigError(
            f"{name}={kind}: give an object with {' and '.join(f'{method}()' for method in methods)}{url}"
        )


def _check_parallel(parallel: object) -> None:
    if isinstance(parallel, bool) or not isinstance(parallel, int) or parallel < 1:
        raise ConfigError(f"parallel={parallel!r}: give the number of handlers that run concurrently, 1 or more")


def _check_lock(lock: Any) -> None:
    if lock is None:
        return
    try:
        seconds(lock, "lock=")
    except (TypeError, ValueError) as exc:
        raise ConfigError(str(exc)) from exc


def unwrap_of(option: Any) -> Unwrap | None:
    """Return the value of `unwrap=` as one function. Raises ConfigError for anything but a function or several in order."""
    if option is None or callable(option):
        unwrap: Unwrap | None = option
        return unwrap
    several = option if isinstance(option, (tuple, list)) else ()
    if not several or not all(callable(unwrap) for unwrap in several):
        names = ", ".join(BY_NAME)
        raise ConfigError(
            f"unwrap={option!r}: give a function of peeklock.unwrap ({names}), or several with the outermost first, such"
            " as unwrap=(sns, s3)"
        )
    return composed(several)
