"""Azure Service Bus emulator in a background thread: queues, topics and sessions over AMQP 1.0, for the unmodified
SDKs.

with ServiceBusEmulator() as bus:
    bus.add_queue("orders", lock_duration=5, max_delivery_count=3)
    client = ServiceBusClient.from_connection_string(bus.connection_string)
    ...
    bus.advance(5)                       # the locks have ended
    bus.messages("orders/$DeadLetterQueue")

One port accepts AMQP, plain and inside WebSockets; with `tls=True` it accepts both over TLS only. Another port serves the
management API, for the SDKs' administration clients (`admin_connection_string`). `tier` sets the limits on messages. Any
token is accepted, unless `policies` are given. Nothing is kept after `stop`. Not implemented: transactions, partitions,
JMS, quotas on entities, and the deletion of idle entities.
"""

from __future__ import annotations

from cloudqueues.servicebus.emulator import ServiceBusEmulator
from cloudqueues.servicebus.message import StoredMessage
from cloudqueues.servicebus.policies import Policy
from cloudqueues.servicebus.rules import Rule
from cloudqueues.servicebus.sql import FilterError

__all__ = ["FilterError", "Policy", "Rule", "ServiceBusEmulator", "StoredMessage"]
