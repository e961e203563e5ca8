"""Service Bus and Functions (Flex Consumption): each number from the queue and the capacity."""

from peeklock.infra.settings.azure.described import described
from peeklock.infra.settings.azure.numbers import Settings, clock, host_json, iso, of

__all__ = ["Settings", "clock", "described", "host_json", "iso", "of"]
