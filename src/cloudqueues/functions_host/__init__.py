"""Azure Functions host without Azure: the real Python worker, fed from a Service Bus.

with FunctionsHost("handlers/azure_servicebus", servicebus=bus.connection_string) as host:
    ...                                  # send with the real SDK
    host.wait_count(1)
    host.invocations[-1].outcome         # ok, failed, killed
"""

from __future__ import annotations

from cloudqueues.functions_host.history import Invocation
from cloudqueues.functions_host.host import FunctionsHost

__all__ = ["FunctionsHost", "Invocation"]
