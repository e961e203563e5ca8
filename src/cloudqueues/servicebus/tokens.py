"""Node that clients send their tokens to, one token for each entity that they use.

https://learn.microsoft.com/azure/service-bus-messaging/service-bus-amqp-protocol-guide#claims-based-authorization
"""

from __future__ import annotations

from cloudqueues.servicebus.amqp import encode
from cloudqueues.servicebus.amqp.attach import entity_path
from cloudqueues.servicebus.amqp.connection import Connection
from cloudqueues.servicebus.broker import Broker
from cloudqueues.servicebus.errors import NOT_FOUND, UNAUTHORIZED, Refused
from cloudqueues.servicebus.message_encoding import Request
from cloudqueues.servicebus.requests import ACCEPTED, Reply

NODE = "$cbs"
MANAGEMENT = "/$management"


def entity_of(path: str) -> str:
    """Return the path of the entity that a management node belongs to, or the path as it is."""
    return path[: -len(MANAGEMENT)] if path.lower().endswith(MANAGEMENT) else path


def need(connection: Connection, path: str, right: str | None) -> None:
    """Raise Refused where no token of the connection gives a right to an entity; None stands for any right."""
    if connection.context.policies is None:
        return
    rights = connection.rights.get(path.lower(), connection.rights.get("", frozenset()))
    if not rights or (right is not None and right not in rights):
        # The service's words: https://github.com/Azure/azure-sdk-for-java/issues/27831
        text = (
            f"Unauthorized access. '{right or 'Manage,Send,Listen'}' claim(s) are required to perform this operation."
        )
        raise Refused(UNAUTHORIZED, f"{text} Resource: '{path}'.")


class Tokens:
    """Handler of the tokens of one connection. Without policies any token is accepted."""

    def __init__(self, broker: Broker, connection: Connection) -> None:
        self._broker = broker
        self._connection = connection

    def handle(self, request: Request) -> Reply:
        """Check a token and store its rights. Raises Refused for an invalid token, and then, as in the service, for an
        entity that does not exist."""
        audience = str(request.application.get("name") or "")
        entity = entity_of(entity_path(audience))
        if (policies := self._connection.context.policies) is not None:
            self._connection.rights[entity.lower()] = policies.rights(str(request.body), audience)
        if entity and not self._broker.has(entity):
            # The service's words: https://github.com/Azure/azure-service-bus/issues/451
            text = f"The messaging entity '{audience}' could not be found."
            raise Refused(NOT_FOUND, f"{text} To know more visit https://aka.ms/sbResourceMgrExceptions.")
        return Reply(ACCEPTED, encode.NULL)
