"""A Service Bus in a thread: queues, topics and sessions over AMQP 1.0, for the unmodified SDKs.

with ServiceBusEmulator() as bus:
    bus.add_queue("orders", lock_duration=5, max_delivery_count=3)
    client = ServiceBusClient.from_connection_string(bus.connection_string)
    ...
    bus.advance(5)                       # the locks have ended
    bus.messages("orders/$DeadLetterQueue")

What it does not have: transactions, partitions, JMS, quotas on entities, and deletion of idle ones. The management API is
on a port of its own (`admin_connection_string`), for the administration clients of the SDKs. It takes any key, and nothing is
kept after `stop`.
"""

from __future__ import annotations

from peeklock.emulators.servicebus.emulator import ServiceBusEmulator
from peeklock.emulators.servicebus.message import StoredMessage
from peeklock.emulators.servicebus.rulebook import Rule
from peeklock.emulators.servicebus.sql import FilterError

__all__ = ["FilterError", "Rule", "ServiceBusEmulator", "StoredMessage"]
