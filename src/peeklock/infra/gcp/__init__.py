"""Google Cloud from the same declaration: Cloud Tasks, Cloud Run functions, Pub/Sub for dead letters, Firestore."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from peeklock.infra.deployed import Deployed
    from peeklock.infra.gcp.app import App
    from peeklock.infra.gcp.consumer import Consumer
    from peeklock.infra.gcp.extra_grants import Grant

_HOMES = {
    "App": "gcp.app",
    "Consumer": "gcp.consumer",
    "Deployed": "deployed",
    "Grant": "gcp.extra_grants",
}
"""Module that defines each name, loaded on first use: settings, alarms and permissions are pure, and work without Pulumi's SDK."""

__all__ = ["App", "Consumer", "Deployed", "Grant"]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"peeklock.infra.{_HOMES[name]}"), name)
