"""Routes of the management API.

https://learn.microsoft.com/rest/api/servicebus/
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from http import HTTPStatus
from typing import TypeVar

from cloudqueues.http1.server import Reply
from cloudqueues.servicebus.admin import atom, descriptions
from cloudqueues.servicebus.admin.access import denied, denied_below, may_manage
from cloudqueues.servicebus.admin.atom import Entry, Site
from cloudqueues.servicebus.admin.descriptions import Descriptions
from cloudqueues.servicebus.admin.http import Request
from cloudqueues.servicebus.admin.namespace import PATH, description
from cloudqueues.servicebus.admin.paging import page
from cloudqueues.servicebus.admin.paths import TopicPath, split
from cloudqueues.servicebus.admin.properties import Properties
from cloudqueues.servicebus.admin.refusals import Rejected, invalid
from cloudqueues.servicebus.admin.resources import (
    EntityResource,
    Namespace,
    Resource,
    RuleResource,
    SubscriptionResource,
)
from cloudqueues.servicebus.broker import Broker
from cloudqueues.servicebus.queue import Queue
from cloudqueues.servicebus.topic import Topic

T = TypeVar("T")

_LISTS = {"$resources/queues": Queue, "$resources/topics": Topic}
ENTRY, FEED = "application/atom+xml;type=entry;charset=utf-8", "application/atom+xml;type=feed;charset=utf-8"
ERROR = "application/xml; charset=utf-8"


class Api:
    """Dispatcher of requests to the management API. Use it in the broker's thread."""

    def __init__(self, broker: Broker) -> None:
        self._broker = broker
        self._created = broker.context.now()
        self._properties = Properties(broker.context.tier)

    def answer(self, request: Request) -> Reply:
        """Answer a request. Never raises."""
        site = Site(host=request.headers.get("host", "localhost"), version=request.query.get("api-version", ""))
        try:
            return self._answer(request, site)
        except Rejected as rejected:
            headers = {"Content-Type": ERROR}
            return Reply(status=rejected.status, phrase=rejected.phrase, body=atom.error(rejected), headers=headers)

    def _answer(self, request: Request, site: Site) -> Reply:
        path, below = request.path.lower(), split(request.path)
        described = Descriptions(site, self._properties)
        namespace = Namespace(broker=self._broker, properties=self._properties, descriptions=described)
        if not may_manage(self._broker.context.policies, request):
            return _denied(request, namespace, below)
        if path in _LISTS:
            entities = [entity for entity in self._broker.listed() if isinstance(entity, _LISTS[path])]
            return _feed(request, site, entities, described.entity)
        if path == PATH and request.method == "GET":
            return self._itself(site)
        if below is not None:
            return _below(request, site, namespace, below)
        return _do(EntityResource(namespace, request.path), request, site)

    def _itself(self, site: Site) -> Reply:
        context = self._broker.context
        return _one(HTTPStatus.OK, atom.entry(site, description(self._created - context.clock_offset, context.tier)))


def _denied(request: Request, namespace: Namespace, below: TopicPath | None) -> Reply:
    """Refuse a request. A queue or topic that does not exist is answered with an empty feed, as for everybody. Raises
    Rejected."""
    if below is not None:
        raise denied_below(request.method, below)
    is_entity = request.method == "GET" and not request.path.startswith("$")
    if is_entity and EntityResource(namespace, request.path).get() is None:
        return _feed_reply(atom.nothing())
    raise denied(request.method)


def _below(request: Request, site: Site, namespace: Namespace, path: TopicPath) -> Reply:
    """Answer a request for subscriptions or rules."""
    if path.subscription is None:
        subscriptions = EntityResource(namespace, path.topic).topic().subscriptions
        queues = [subscription.queue for _, subscription in sorted(subscriptions.items())]
        return _feed(request, site, queues, namespace.descriptions.subscription)
    resource = SubscriptionResource(namespace, path.topic, path.subscription)
    if path.rule is not None:
        return _do(RuleResource(resource, path.rule), request, site)
    if path.is_of_rules:
        subscription = resource.existing()
        rules = [rule for _, rule in sorted(subscription.rules.items())]
        return _feed(request, site, rules, lambda rule: descriptions.rule(subscription, rule))
    return _do(resource, request, site)


def _do(resource: Resource, request: Request, site: Site) -> Reply:
    if request.method == "GET":
        entry = resource.get()
        return _feed_reply(atom.nothing()) if entry is None else _one(HTTPStatus.OK, atom.entry(site, entry))
    if request.method == "PUT":
        replace = "if-match" in request.headers
        entry = resource.put(request.body, replace=replace)
        return _one(HTTPStatus.OK if replace else HTTPStatus.CREATED, atom.entry(site, entry))
    if request.method == "DELETE":
        resource.delete()
        return Reply()
    raise _wrong_method(request)


def _feed(request: Request, site: Site, items: Sequence[T], described: Callable[[T], Entry]) -> Reply:
    if request.method == "PUT":
        raise invalid("The name is empty.")
    if request.method != "GET":
        raise _wrong_method(request)
    chosen, following = page(request.query, items)
    entries = [described(item) for item in chosen]
    return _feed_reply(atom.feed(site, request.path, entries, following))


def _wrong_method(request: Request) -> Rejected:
    return Rejected(HTTPStatus.METHOD_NOT_ALLOWED, f"{request.method} is not one of GET, PUT and DELETE.")


def _one(status: HTTPStatus, body: bytes) -> Reply:
    return Reply(status=status, body=body, headers={"Content-Type": ENTRY})


def _feed_reply(body: bytes) -> Reply:
    return Reply(body=body, headers={"Content-Type": FEED})
