"""Azure Service Bus emulator in a background thread: queues, topics and sessions over AMQP 1.0, for the unmodified
SDKs.

with ServiceBusEmulator() as bus:
    bus.add_queue("orders", lock_duration=5, max_delivery_count=3)
    client = ServiceBusClient.from_connection_string(bus.connection_string)
    ...
    bus.advance(5)                       # the locks have ended
    bus.messages("orders/$DeadLetterQueue")

One port takes AMQP as such and inside WebSockets; with `tls=True` it takes both in TLS, and nothing else. Another one has the
management API, for the administration clients of the SDKs (`admin_connection_string`). Messages are bounded as those of
`tier`. What it does not have: transactions, partitions, JMS, quotas on entities, and deletion of idle ones. It takes any key,
unless `policies` are named. Nothing is kept after `stop`.
"""

from __future__ import annotations

from cloudqueues.servicebus.emulator import ServiceBusEmulator
from cloudqueues.servicebus.message import StoredMessage
from cloudqueues.servicebus.policies import Policy
from cloudqueues.servicebus.rules import Rule
from cloudqueues.servicebus.sql import FilterError

__all__ = ["FilterError", "Policy", "Rule", "ServiceBusEmulator", "StoredMessage"]
