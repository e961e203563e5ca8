"""Stores and senders by the scheme of their addresses. Modules are named by strings, so that none is loaded before it is used.

A new store is one module and one line here.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeVar, cast

from peeklock.errors import ConfigError
from peeklock.keywords import nearest
from peeklock.platform_registry import PLATFORMS, load_target, platforms
from peeklock.redaction import parameter_name, scheme_of, shown

if TYPE_CHECKING:
    from peeklock.idempotency.store import Store
    from peeklock.outgoing import Sender

T = TypeVar("T")


STORES: dict[str, str] = {
    "memory": "peeklock.stores.memory:from_url",
    "sqlite": "peeklock.stores.sqlite:from_url",
    "dynamodb": "peeklock.stores.dynamodb:from_url",
    "tables": "peeklock.stores.tables:from_url",
    "firestore": "peeklock.stores.firestore:from_url",
    "redis": "peeklock.stores.redis:from_url",
    "rediss": "peeklock.stores.redis:from_url",
}
"""`module:function` that makes a store from an address, by the address' scheme. A package of somebody else's adds one by the
entry point `peeklock.stores`, whose name is the scheme and whose value is the function."""

SENDERS: dict[str, str] = {
    "memory": "peeklock.sending.memory:from_url",
    "file": "peeklock.sending.file:from_url",
    **{scheme: target for platform in PLATFORMS.values() for scheme, target in platform.senders.items()},
}

SECRETS: dict[str, str] = {"arn": "peeklock.platforms.sqs.secrets:from_reference"}
"""`module:function` that reads a secret, by the beginning of its reference."""

_PARAMETERS: dict[str, Sequence[str] | None] = {
    "dynamodb": ("writes",),
    **dict.fromkeys(("memory", "sqlite", "file", "tables", "firestore"), ()),
    **{scheme: platform.parameters for platform in PLATFORMS.values() for scheme in platform.senders},
}
"""Parameters of an address, after its question mark, by scheme. redis-py checks its own."""

_UNWRITTEN = re.compile(r"[\x00-\x20\x7f#]")
"""Characters that no address holds as they are, such as the line's end that a file adds to a secret: https://www.rfc-editor.org/rfc/rfc3986"""

_EXTRAS = {"pydantic": "pydantic", "aws_lambda_powertools": "powertools", "redis": "redis"}
"""Extras that are no platform's, by the module that they bring."""


def missing(exc: ImportError, extra: str = "") -> ConfigError:
    """Return the error for an SDK that is not installed, with the command that installs it.

    `extra`: where the module's name does not say it, as several extras bring SDKs of the same cloud.
    """
    module = exc.name or ""
    extra = extra or _extra_of(module)
    fix = f"pip install 'peeklock[{extra}]'" if extra else f"pip install {module.partition('.')[0]}"
    return ConfigError(f"{exc.name or exc} is not installed: {fix}")


def _extra_of(module: str) -> str:
    """Return the extra that brings a module: the one which names most of its path."""
    brings = {sdk: platform.extra for platform in PLATFORMS.values() for sdk in platform.sdks} | _EXTRAS
    names = [sdk for sdk in brings if f"{module}.".startswith(f"{sdk}.")]
    return brings[max(names, key=len)] if names else ""


_stores: dict[str, Store] = {}
_senders: dict[str, Sender] = {}
# Filled with `setdefault`, so that threads which ask at once get the same one; `functools.cache` would give each its own.


def open_store(url: str) -> Store:
    """The store of a URL, one a process. Raises ConfigError for an unknown scheme or a missing extra."""
    opened = _stores.get(url)
    if opened is None:
        opened = _stores.setdefault(url, cast("Store", _open(url, check_store(url))))
    return opened


def open_sender(url: str) -> Sender:
    """The sender to the queue of a URL, one a process. Raises ConfigError as `open_store`."""
    opened = _senders.get(url)
    if opened is None:
        opened = _senders.setdefault(url, cast("Sender", _open(url, check_sender(url))))
    return opened


def from_variable(name: str, open_address: Callable[[str], T]) -> T | None:
    """Open the address that an environment variable holds; None where it is not set. An error names the variable."""
    address = os.environ.get(name)
    if not address:
        return None
    try:
        return open_address(address)
    except ConfigError as exc:
        raise ConfigError(f"{name}: {exc}") from exc


def check_store(url: str) -> str:
    """Return where the store of a URL is made, as `module:function`. Raises ConfigError for an unknown scheme."""
    scheme = scheme_of(url)
    stores = STORES if scheme in STORES or not scheme else STORES | _foreign_stores()
    return _checked(url, stores, "store", "sqlite:///var/lib/orders.db", _PARAMETERS.get(scheme))


def check_sender(url: str) -> str:
    """Return where the sender to the queue of a URL is made, as `check_store`."""
    scheme = scheme_of(url)
    senders, parameters = SENDERS, _PARAMETERS.get(scheme)
    if scheme and scheme not in SENDERS:
        for platform in platforms().values():
            senders = platform.senders | senders
            parameters = platform.parameters if scheme in platform.senders else parameters
    return _checked(url, senders, "queue", "https://sqs.eu-west-1.amazonaws.com/123456789012/orders", parameters)


def _foreign_stores() -> dict[str, str]:
    from importlib.metadata import entry_points

    return {entry.name: entry.value for entry in entry_points(group="peeklock.stores")}


def _checked(url: str, targets: Mapping[str, str], what: str, example: str, parameters: Sequence[str] | None) -> str:
    scheme = scheme_of(url)
    target = targets.get(scheme)
    if target is None:
        problem = f"unknown scheme {scheme!r}; {nearest(scheme, sorted(targets))}" if scheme else "it is no URL"
        raise ConfigError(f"{what} {shown(url)!r}: {problem}. Example: {example}")
    unwritten = _UNWRITTEN.search(url)
    if unwritten:
        code = f"%{ord(unwritten[0]):02X}"
        raise ConfigError(
            f"{what} {shown(url)!r}: it holds {unwritten[0]!r}; take it away, or write {code} if it is meant"
        )
    if parameters is not None:
        _check_parameters(f"{what} {shown(url)!r}", url.partition("?")[2], parameters)
    return target


def _check_parameters(address: str, query: str, parameters: Sequence[str]) -> None:
    """Raise ConfigError for a parameter that nobody would read. `address`: for the error, which shows no value."""
    for part in re.split("[&#]", query) if query else ():
        name = parameter_name(part)
        if name not in parameters:
            hint = nearest(name, parameters) if parameters else "it takes no parameters"
            raise ConfigError(f"{address}: {name} is unknown: {hint}. Within a value, write & as %26 and # as %23")


def _open(url: str, target: str) -> Any:
    make = load_target(target)
    try:
        return make(url)
    except ValueError:  # its text may quote the address
        raise ConfigError(f"{shown(url)!r} is no address: write special characters of a password as %XX") from None
