"""Names of everything that can be plugged in. Strings only, so that nothing is loaded before it is used.

A new platform, store or sender is one module and one line here.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, cast

from peeklock.errors import ConfigError

if TYPE_CHECKING:
    from peeklock.parcel import Sender
    from peeklock.store import Store

PLATFORMS: dict[str, str] = {
    "sqs": "peeklock.sqs",
    "servicebus": "peeklock.servicebus",
    "cloudtasks": "peeklock.cloudtasks",
    "pubsub": "peeklock.pubsub",
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
    "memory": "peeklock.senders.memory:from_url",
    "file": "peeklock.senders.file:from_url",
    "https": "peeklock.sqs:from_url",
    "http": "peeklock.sqs:from_url",
    "sb": "peeklock.servicebus:from_url",
    "cloudtasks": "peeklock.cloudtasks:from_url",
    "pubsub": "peeklock.pubsub:from_url",
}

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
        found = _stores.setdefault(url, cast("Store", _open(url, STORES, "store", "sqlite:///var/lib/orders.db")))
    return found


def open_sender(url: str) -> Sender:
    """The sender to the queue of a URL, one a process. Raises ConfigError as `open_store`."""
    found = _senders.get(url)
    if found is None:
        example = "https://sqs.eu-west-1.amazonaws.com/123456789012/orders"
        found = _senders.setdefault(url, cast("Sender", _open(url, SENDERS, "queue", example)))
    return found


def _open(url: str, known: Mapping[str, str], what: str, example: str) -> Any:
    scheme = url.partition(":")[0].lower()
    target = known.get(scheme)
    if target is None:
        import difflib

        near = difflib.get_close_matches(scheme, known, 1)
        hint = f"; did you mean {near[0]!r}?" if near else ""
        listed = ", ".join(sorted(known))
        raise ConfigError(f"{what} URL {url!r}: unknown scheme {scheme!r}{hint} Known: {listed}. Example: {example}")
    module, _, name = target.partition(":")
    return getattr(importlib.import_module(module), name)(url)
