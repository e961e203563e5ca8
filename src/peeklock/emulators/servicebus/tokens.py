"""The node that clients give their tokens to, one for each entity that they want to use.

https://learn.microsoft.com/azure/service-bus-messaging/service-bus-amqp-protocol-guide#claims-based-authorization
"""

from __future__ import annotations

from peeklock.emulators.servicebus.amqp import encode
from peeklock.emulators.servicebus.amqp.attach import entity_path
from peeklock.emulators.servicebus.broker import Broker
from peeklock.emulators.servicebus.errors import NOT_FOUND, Refused
from peeklock.emulators.servicebus.requests import ACCEPTED, Reply
from peeklock.emulators.servicebus.wire import Request

NODE = "$cbs"
MANAGEMENT = "/$management"


class Tokens:
    """Any token is good: nobody is kept out, and no secret is needed."""

    def __init__(self, broker: Broker) -> None:
        self._broker = broker

    def do(self, request: Request) -> Reply:
        """Raise Refused for an entity that does not exist, which the service looks for once the token is good."""
        audience = str(request.application.get("name") or "")
        path = entity_path(audience)
        entity = path[: -len(MANAGEMENT)] if path.lower().endswith(MANAGEMENT) else path
        if entity and not self._broker.has(entity):
            # The service's words: https://github.com/Azure/azure-service-bus/issues/451
            text = f"The messaging entity '{audience}' could not be found."
            raise Refused(NOT_FOUND, f"{text} To know more visit https://aka.ms/sbResourceMgrExceptions.")
        return Reply(ACCEPTED, encode.NULL)
