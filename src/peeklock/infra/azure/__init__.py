"""Azure from the same declaration: Service Bus, Functions (Flex Consumption), Tables, Application Insights."""

from peeklock.infra.azure.app import App
from peeklock.infra.azure.consumer import Consumer

__all__ = ["App", "Consumer"]
