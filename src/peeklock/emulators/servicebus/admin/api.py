"""What each address of the management API does.

https://learn.microsoft.com/rest/api/servicebus/
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from http import HTTPStatus
from typing import TypeVar

from peeklock.emulators.servicebus.admin import atom, descriptions, namespace
from peeklock.emulators.servicebus.admin.atom import Entry, Site
from peeklock.emulators.servicebus.admin.http import Reply, Request
from peeklock.emulators.servicebus.admin.paging import page
from peeklock.emulators.servicebus.admin.refusals import Rejected, invalid
from peeklock.emulators.servicebus.admin.resources import (
    EntityResource,
    Resource,
    RuleResource,
    SubscriptionResource,
)
from peeklock.emulators.servicebus.broker import Broker
from peeklock.emulators.servicebus.queue import Queue
from peeklock.emulators.servicebus.topic import Subscription, Topic

T = TypeVar("T")

_LISTS = {"$resources/queues": Queue, "$resources/topics": Topic}
_BELOW = re.compile(r"(.+?)/subscriptions(?:/(.*?)(?:/rules(?:/(.*))?)?)?", re.IGNORECASE)
"""A topic with the subscription and the rule that are asked for: a queue's or a topic's name may have slashes."""
ENTRY, FEED = "application/atom+xml;type=entry;charset=utf-8", "application/atom+xml;type=feed;charset=utf-8"
ERROR = "application/xml; charset=utf-8"


class Api:
    """Used in the broker's thread."""

    def __init__(self, broker: Broker) -> None:
        self._broker = broker
        self._created = broker.world.now()

    def answer(self, request: Request) -> Reply:
        """Never raises."""
        site = Site(host=request.headers.get("host", "localhost"), version=request.query.get("api-version", ""))
        try:
            return self._answer(request, site)
        except Rejected as rejected:
            return Reply(status=rejected.status, body=atom.error(rejected), headers={"Content-Type": ERROR})

    def _answer(self, request: Request, site: Site) -> Reply:
        path, below = request.path.lower(), _BELOW.fullmatch(request.path)
        if path in _LISTS:
            found = [one for one in self._broker.listed() if isinstance(one, _LISTS[path])]
            return _feed(request, site, found, lambda one: descriptions.entity(site, one))
        if path == namespace.PATH and request.method == "GET":
            created = self._created - self._broker.world.ahead
            return _one(HTTPStatus.OK, atom.entry(site, namespace.namespace(created)))
        if below is not None:
            return self._below(request, site, *below.groups())
        return _do(EntityResource(self._broker, site, request.path), request, site)

    def _below(self, request: Request, site: Site, topic: str, name: str | None, rule: str | None) -> Reply:
        if name is None:
            return self._subscriptions(request, site, EntityResource(self._broker, site, topic).topic())
        subscription = SubscriptionResource(self._broker, site, topic, name)
        if rule is not None:
            return _do(RuleResource(subscription, rule), request, site)
        if request.path.lower().endswith("/rules"):
            return self._rules(request, site, subscription.found())
        return _do(subscription, request, site)

    @staticmethod
    def _subscriptions(request: Request, site: Site, topic: Topic) -> Reply:
        found = [subscription.queue for _, subscription in sorted(topic.subscriptions.items())]
        return _feed(request, site, found, lambda one: descriptions.subscription(site, one))

    @staticmethod
    def _rules(request: Request, site: Site, subscription: Subscription) -> Reply:
        found = [rule for _, rule in sorted(subscription.rules.items())]
        return _feed(request, site, found, lambda rule: descriptions.rule(subscription.queue, rule))


def _do(resource: Resource, request: Request, site: Site) -> Reply:
    if request.method == "GET":
        found = resource.get()
        return _feed_reply(atom.nothing()) if found is None else _one(HTTPStatus.OK, atom.entry(site, found))
    if request.method == "PUT":
        replace = "if-match" in request.headers
        made = resource.put(request.body, replace=replace)
        return _one(HTTPStatus.OK if replace else HTTPStatus.CREATED, atom.entry(site, made))
    if request.method == "DELETE":
        resource.delete()
        return Reply()
    raise _wrong_method(request)


def _feed(request: Request, site: Site, found: Sequence[T], described: Callable[[T], Entry]) -> Reply:
    if request.method == "PUT":
        raise invalid("The name is empty.")
    if request.method != "GET":
        raise _wrong_method(request)
    chosen, following = page(request.query, found)
    entries = [described(one) for one in chosen]
    return _feed_reply(atom.feed(site, request.path, entries, following))


def _wrong_method(request: Request) -> Rejected:
    return Rejected(HTTPStatus.METHOD_NOT_ALLOWED, f"{request.method} is none of GET, PUT and DELETE.")


def _one(status: HTTPStatus, body: bytes) -> Reply:
    return Reply(status=status, body=body, headers={"Content-Type": ENTRY})


def _feed_reply(body: bytes) -> Reply:
    return Reply(body=body, headers={"Content-Type": FEED})
