"""Azure from the same declaration: Service Bus, Functions (Flex Consumption), Tables, Application Insights."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from peeklock.infra.azure.app import App
    from peeklock.infra.azure.consumer import Consumer
    from peeklock.infra.azure.identity import Grant
    from peeklock.infra.deployed import Deployed

_HOMES = {
    "App": "azure.app",
    "Consumer": "azure.consumer",
    "Deployed": "deployed",
    "Grant": "azure.identity",
}
"""Module that defines each name, loaded on first use: settings, alarms and permissions are pure, and work without Pulumi's SDK."""

__all__ = ["App", "Consumer", "Deployed", "Grant"]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"peeklock.infra.{_HOMES[name]}"), name)
