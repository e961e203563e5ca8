"""Requests and replies: a client sends a message to a node, and receives the reply on another link."""

from __future__ import annotations

import uuid
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from cloudqueues.servicebus import message_encoding
from cloudqueues.servicebus.amqp import encode
from cloudqueues.servicebus.amqp.link import DeliveryResponse, SendingLink
from cloudqueues.servicebus.amqp.session import Session
from cloudqueues.servicebus.errors import (
    ARGUMENT,
    BUSY,
    EXISTS,
    LOCK_LOST,
    NO_MESSAGE,
    NOT_FOUND,
    NOT_IMPLEMENTED,
    SESSION_LOST,
    UNAUTHORIZED,
    Refused,
)  # fmt: skip
from cloudqueues.servicebus.message_encoding import Request
from cloudqueues.servicebus.sender import BUSY_TEXT

STATUSES = {
    LOCK_LOST: 410, SESSION_LOST: 410, NO_MESSAGE: 404, NOT_FOUND: 404, EXISTS: 409, BUSY: 503, NOT_IMPLEMENTED: 501,
    ARGUMENT: 400, UNAUTHORIZED: 401,
}  # fmt: skip
OK, ACCEPTED, NO_CONTENT, BAD_REQUEST = 200, 202, 204, 400


@dataclass(frozen=True, slots=True)
class Reply:
    status: int = OK
    body: bytes = field(default=encode.map_([]))


class Responder:
    """Source of the link that a client receives replies on."""

    def __init__(self, link: SendingLink) -> None:
        self._link = link
        self._waiting: deque[bytes] = deque()

    def respond(self, message: bytes) -> None:
        self._waiting.append(message)
        self.on_credit()

    def on_credit(self) -> None:
        while self._waiting and self._link.can_send():
            self._link.send(self._waiting.popleft(), uuid.uuid4().bytes, settled=True)

    def settle(self, tag: bytes, state: Any, respond: Callable[[bytes], None]) -> None:
        """Ignore the state: replies are sent settled."""

    def close(self) -> None:
        self._waiting.clear()


class RequestNode:
    """Node that answers the requests of one link.

    The node for tokens (`gives_tokens`) has other names for the status fields, and no faults.
    """

    def __init__(
        self, session: Session, path: str, do: Callable[[Request], Reply], *, gives_tokens: bool = False
    ) -> None:
        self._gives_tokens = gives_tokens
        self._session = session
        self._path = path.lower()
        self._do = do

    def take(self, data: bytes, message_format: int, response: DeliveryResponse) -> None:
        """Answer a request. Raises Refused for an invalid request, and where no link receives the reply."""
        request = message_encoding.request(data, message_format)
        responder = self._responder(request.reply_to)
        response.accept()
        reply, error = self._answer(request)
        message = _message(request, reply, error, tokens=self._gives_tokens)
        if self._gives_tokens:
            responder.respond(message)
        else:
            what = ("manage", str(request.application.get("operation")), request.id.hex())
            self._session.connection.respond(what, lambda: responder.respond(message))

    def _answer(self, request: Request) -> tuple[Reply, Refused | None]:
        operation = str(request.application.get("operation"))
        if not self._gives_tokens and self._session.connection.context.hits("refuse", operation, request.id.hex()):
            return Reply(STATUSES[BUSY], encode.NULL), Refused(BUSY, BUSY_TEXT)
        try:
            return self._do(request), None
        except Refused as refused:
            return Reply(STATUSES.get(refused.condition, BAD_REQUEST), encode.NULL), refused

    def _responder(self, reply_to: str | None) -> Responder:
        """Return the responder for the request's reply address, or else the last one on this node."""
        responder: Responder | None = None
        for link in self._session.links.values():
            if isinstance(link, SendingLink) and isinstance(link.source, Responder) and self._mine(link):
                responder = link.source
                if reply_to is not None and link.attach_request.reply_address == reply_to:
                    break
        if responder is None:
            raise Refused(NOT_FOUND, f"no link receives from '{self._path}': the reply has no destination.")
        return responder

    def _mine(self, link: SendingLink) -> bool:
        return link.attach_request.path.lower() == self._path

    def close(self) -> None:
        """Keep nothing."""


def _message(request: Request, reply: Reply, error: Refused | None, *, tokens: bool) -> bytes:
    code, description = ("status-code", "status-description") if tokens else ("statusCode", "statusDescription")
    fields = {code: encode.integer(reply.status), description: encode.string(error.text if error else "OK")}
    if error is not None:
        fields["errorCondition"] = encode.symbol(error.condition)
    return message_encoding.response(request.id, fields, reply.body)
