"""Azure from the same declaration: Service Bus, Functions (Flex Consumption), Tables, Application Insights."""

from __future__ import annotations

from typing import TYPE_CHECKING

from peeklock.infra.lazy_names import lazy_names

if TYPE_CHECKING:
    from peeklock.infra.azure.app import App
    from peeklock.infra.azure.consumer import Consumer
    from peeklock.infra.azure.identity import Grant
    from peeklock.infra.deployed import Deployed

__all__ = ["App", "Consumer", "Deployed", "Grant"]

__getattr__ = lazy_names(
    __name__,
    {
        "App": "azure.app",
        "Consumer": "azure.consumer",
        "Deployed": "deployed",
        "Grant": "azure.identity",
    },
)
