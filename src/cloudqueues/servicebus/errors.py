"""AMQP errors, by what they end.

AmqpError            the connection is closed
└── LinkError        the link is detached
    └── Refused      this one request, message or settlement is turned down
"""

from __future__ import annotations

DECODE = "amqp:decode-error"
INVALID_FIELD = "amqp:invalid-field"
NOT_ALLOWED = "amqp:not-allowed"
NOT_FOUND = "amqp:not-found"
UNAUTHORIZED = "amqp:unauthorized-access"
NOT_IMPLEMENTED = "amqp:not-implemented"
INTERNAL = "amqp:internal-error"
FRAMING = "amqp:connection:framing-error"
FORCED = "amqp:connection:forced"
HANDLE_IN_USE = "amqp:session:handle-in-use"
UNATTACHED = "amqp:session:unattached-handle"
TOO_LARGE = "amqp:link:message-size-exceeded"
LOCK_LOST = "com.microsoft:message-lock-lost"
SESSION_LOST = "com.microsoft:session-lock-lost"
SESSION_TAKEN = "com.microsoft:session-cannot-be-locked"
TIMEOUT = "com.microsoft:timeout"
BUSY = "com.microsoft:server-busy"
NO_MESSAGE = "com.microsoft:message-not-found"
DISABLED = "com.microsoft:entity-disabled"
EXISTS = "com.microsoft:entity-already-exists"
ARGUMENT = "com.microsoft:argument-error"


class AmqpError(Exception):
    """AMQP error condition with a readable text."""

    def __init__(self, condition: str, text: str) -> None:
        super().__init__(f"{condition}: {text}")
        self.condition = condition
        self.text = text


class LinkError(AmqpError):
    """Error that ends a link, but not its connection."""


class Refused(LinkError):
    """Error that ends one request, message or settlement, but not its link."""


def not_found(path: str) -> Refused:
    return Refused(NOT_FOUND, f"The messaging entity '{path}' could not be found.")


def disabled(path: str) -> Refused:
    """Return the error for a disabled entity: https://learn.microsoft.com/azure/service-bus-messaging/entity-suspend"""
    return Refused(DISABLED, f"Messaging entity '{path}' is currently disabled.")
