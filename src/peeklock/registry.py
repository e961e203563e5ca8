"""Names of everything that can be plugged in. Strings only, so that nothing is loaded before it is used.

A new platform, store or sender is one module and one line here.
"""

from __future__ import annotations

import importlib
import os
import re
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeVar, cast

from peeklock.errors import ConfigError
from peeklock.keywords import nearest
from peeklock.redaction import parameter_name, scheme_of, shown

if TYPE_CHECKING:
    from peeklock.idempotency.store import Store
    from peeklock.outgoing import Sender

T = TypeVar("T")

PLATFORMS: dict[str, str] = {
    "sqs": "peeklock.platforms.sqs.bind",
    "servicebus": "peeklock.platforms.servicebus.bind",
    "cloudtasks": "peeklock.platforms.cloudtasks.bind",
    "pubsub": "peeklock.platforms.pubsub.bind",
}

STORES: dict[str, str] = {
    "memory": "peeklock.stores.memory:from_url",
    "sqlite": "peeklock.stores.sqlite:from_url",
    "dynamodb": "peeklock.stores.dynamodb:from_url",
    "tables": "peeklock.stores.tables:from_url",
    "firestore": "peeklock.stores.firestore:from_url",
    "redis": "peeklock.stores.redis:from_url",
    "rediss": "peeklock.stores.redis:from_url",
}

SENDERS: dict[str, str] = {
    "memory": "peeklock.sending.memory:from_url",
    "file": "peeklock.sending.file:from_url",
    "https": "peeklock.platforms.sqs.sender:from_url",
    "http": "peeklock.platforms.sqs.sender:from_url",
    "sb": "peeklock.platforms.servicebus.sender:from_url",
    "cloudtasks": "peeklock.platforms.cloudtasks.address:from_url",
    "pubsub": "peeklock.platforms.pubsub.sender:from_url",
}

_PARAMETERS: dict[str, tuple[str, ...]] = {
    "cloudtasks": ("target", "service_account", "audience", "deadline"),
    "dynamodb": ("writes",),
    **dict.fromkeys(("memory", "sqlite", "file", "https", "http", "sb", "pubsub", "tables", "firestore"), ()),
}
"""What an address takes after its question mark, by scheme. redis-py checks its own."""

_UNWRITTEN = re.compile(r"[\x00-\x20\x7f#]")
"""What no address holds as it is, and what a file adds to a secret that is read from it: https://www.rfc-editor.org/rfc/rfc3986"""

_EXTRAS = {
    "boto3": "sqs",
    "azure": "servicebus",
    "google": "cloudtasks",
    "grpc": "cloudtasks",
    "pydantic": "pydantic",
    "flask": "cloudtasks",
    "functions_framework": "cloudtasks",
    "aws_lambda_powertools": "powertools",
    "redis": "redis",
}


def missing(exc: ImportError, extra: str = "") -> ConfigError:
    """The error for an SDK that is not installed, with the command that installs it. `extra`: where the module's name
    does not tell, as several of our extras have SDKs of the same cloud."""
    module = (exc.name or "").split(".")
    known = "pubsub" if module[:3] == ["google", "cloud", "pubsub_v1"] else _EXTRAS.get(module[0], "")
    extra = extra or known
    fix = f"pip install 'peeklock[{extra}]'" if extra else f"pip install {module[0]}"
    return ConfigError(f"{exc.name or exc} is not installed: {fix}")


_stores: dict[str, Store] = {}
_senders: dict[str, Sender] = {}
# Filled with `setdefault`, so that threads which ask at once get the same one; `functools.cache` would give each its own.


def open_store(url: str) -> Store:
    """The store of a URL, one a process. Raises ConfigError for an unknown scheme or a missing extra."""
    found = _stores.get(url)
    if found is None:
        found = _stores.setdefault(url, cast("Store", _open(url, check_store(url))))
    return found


def open_sender(url: str) -> Sender:
    """The sender to the queue of a URL, one a process. Raises ConfigError as `open_store`."""
    found = _senders.get(url)
    if found is None:
        found = _senders.setdefault(url, cast("Sender", _open(url, check_sender(url))))
    return found


def from_variable(name: str, open_address: Callable[[str], T]) -> T | None:
    """What an environment variable holds the address of; None where it is not set. An error names the variable."""
    address = os.environ.get(name)
    if not address:
        return None
    try:
        return open_address(address)
    except ConfigError as exc:
        raise ConfigError(f"{name}: {exc}") from exc


def check_store(url: str) -> str:
    """Where the store of a URL is made, as `module:function`. Raises ConfigError for an unknown scheme."""
    return _target(url, STORES, "store", "sqlite:///var/lib/orders.db")


def check_sender(url: str) -> str:
    """Where the sender to the queue of a URL is made, as `check_store`."""
    return _target(url, SENDERS, "queue", "https://sqs.eu-west-1.amazonaws.com/123456789012/orders")


def _target(url: str, known: Mapping[str, str], what: str, example: str) -> str:
    scheme = scheme_of(url)
    target = known.get(scheme)
    if target is None:
        problem = f"unknown scheme {scheme!r}; {nearest(scheme, sorted(known))}" if scheme else "it is no URL"
        raise ConfigError(f"{what} {shown(url)!r}: {problem}. Example: {example}")
    unwritten = _UNWRITTEN.search(url)
    if unwritten:
        code = f"%{ord(unwritten[0]):02X}"
        raise ConfigError(
            f"{what} {shown(url)!r}: it holds {unwritten[0]!r}; take it away, or write {code} if it is meant"
        )
    known_parameters = _PARAMETERS.get(scheme)
    if known_parameters is not None:
        _check_parameters(f"{what} {shown(url)!r}", url.partition("?")[2], known_parameters)
    return target


def _check_parameters(address: str, query: str, known: Sequence[str]) -> None:
    """Raise ConfigError for a parameter that nobody would read. `address`: for the error, which shows no value."""
    for part in re.split("[&#]", query) if query else ():
        name = parameter_name(part)
        if name not in known:
            hint = nearest(name, known) if known else "it takes no parameters"
            raise ConfigError(f"{address}: {name} is unknown: {hint}. Within a value, write & as %26 and # as %23")


def _open(url: str, target: str) -> Any:
    module, _, name = target.partition(":")
    make = getattr(importlib.import_module(module), name)
    try:
        return make(url)
    except ValueError:  # its text may quote the address
        raise ConfigError(f"{shown(url)!r} is no address: write special characters of a password as %XX") from None
