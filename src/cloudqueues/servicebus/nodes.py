"""AMQP nodes that links attach to: entities, their management nodes, and the node for tokens."""

from __future__ import annotations

from cloudqueues.servicebus.amqp import attach
from cloudqueues.servicebus.amqp.attach import Attach
from cloudqueues.servicebus.amqp.link import ReceivingLink, SendingLink, Sink
from cloudqueues.servicebus.amqp.session import Session
from cloudqueues.servicebus.broker import Broker
from cloudqueues.servicebus.errors import NOT_ALLOWED, NOT_IMPLEMENTED, LinkError, Refused, disabled
from cloudqueues.servicebus.management import Management
from cloudqueues.servicebus.policies import LISTEN, SEND
from cloudqueues.servicebus.queue import Queue
from cloudqueues.servicebus.receiver import Receiver
from cloudqueues.servicebus.requests import RequestNode, Responder
from cloudqueues.servicebus.sender import Sender
from cloudqueues.servicebus.tokens import MANAGEMENT, NODE, Tokens, entity_of, need
from cloudqueues.servicebus.topic import Topic

WAIT = 65.0
"""Seconds that a client waits for a session unless it says otherwise: `create_receive_client` in azure-servicebus."""


class Nodes:
    """AMQP nodes of one broker."""

    def __init__(self, broker: Broker) -> None:
        self._broker = broker

    def attach(self, session: Session, attach_request: Attach) -> None:
        """Create the link of an attach. Raises LinkError to refuse it."""
        path = attach_request.path
        if attach_request.transactional:
            text = "Transactions are not implemented by this emulator: send and settle without one."
            raise LinkError(NOT_IMPLEMENTED, text)
        if path.lower() == NODE:
            self._requests(
                session,
                attach_request,
                RequestNode(session, path, Tokens(self._broker, session.connection).handle, gives_tokens=True),
            )
        elif path.lower().endswith(MANAGEMENT):
            need(session.connection, entity_of(path), None)
            entity = self._broker.find(entity_of(path))
            self._requests(session, attach_request, RequestNode(session, path, Management(self._broker, entity).handle))
        elif attach_request.receiving:
            need(session.connection, path, LISTEN)
            self._receiver(session, attach_request, self._broker.find(path))
        else:
            need(session.connection, path, SEND)
            self._receive(session, attach_request, Sender(session.connection, sendable(self._broker.target(path))))

    def _requests(self, session: Session, attach_request: Attach, node: RequestNode) -> None:
        """Create a link of a request node: one for requests, or one for replies."""
        if attach_request.receiving:
            link = SendingLink(session, attach_request)
            link.source = Responder(link)
            session.links[attach_request.handle] = link
            link.answer()
        else:
            self._receive(session, attach_request, node)

    @staticmethod
    def _receive(session: Session, attach_request: Attach, sink: Sink) -> None:
        link = ReceivingLink(session, attach_request, sink)
        session.links[attach_request.handle] = link
        link.answer()

    @staticmethod
    def _receiver(session: Session, attach_request: Attach, entity: Queue | Topic) -> None:
        queue = receivable(entity, attach_request)
        link = SendingLink(session, attach_request)
        receiver = Receiver(link, queue)
        link.source = receiver
        session.links[attach_request.handle] = link
        if attach_request.wants_session:
            wait = attach_request.properties.get(attach.TIMEOUT)
            receiver.accept(attach_request.session, wait / 1000 if isinstance(wait, int) else WAIT)
        else:
            link.answer()


def sendable(entity: Queue | Topic) -> Queue | Topic:
    """Return the entity. Raises Refused while it is disabled for sending."""
    if not entity.settings.is_sendable:
        raise disabled(entity.path)
    return entity


def receivable(entity: Queue | Topic, attach_request: Attach) -> Queue:
    """Return the queue to receive from. Raises Refused where this client cannot receive."""
    if isinstance(entity, Topic):
        raise Refused(NOT_ALLOWED, f"'{entity.path}' is a topic: messages are received from its subscriptions.")
    if entity.settings.forward_to is not None and entity.dead_letters is not None:
        raise Refused(NOT_ALLOWED, f"'{entity.path}' forwards its messages: they cannot be received from it.")
    if not entity.settings.is_receivable:
        raise disabled(entity.path)
    if attach_request.wants_session and entity.sessions is None:
        raise Refused(
            NOT_ALLOWED,
            "A sessionful message receiver cannot be created on an entity that does not require sessions. Ensure"
            " RequiresSession is set to true when creating a Queue or Subscription to enable sessionful behavior.",
        )
    if entity.sessions is not None and not attach_request.wants_session:
        text = "It is not possible for an entity that requires sessions to create a non-sessionful message receiver."
        raise Refused(NOT_ALLOWED, text)
    return entity
