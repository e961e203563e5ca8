"""Access to the management API, which needs a token with the right to manage.

The error texts are the service's, as azservicebus' live tests have them (`TestAdminClient_LackPermissions_...`).
https://learn.microsoft.com/azure/service-bus-messaging/service-bus-sas#rights-required-for-service-bus-operations
"""

from __future__ import annotations

from http import HTTPStatus

from cloudqueues.servicebus.admin.http import Request
from cloudqueues.servicebus.admin.paths import TopicPath
from cloudqueues.servicebus.admin.refusals import Rejected
from cloudqueues.servicebus.errors import Refused
from cloudqueues.servicebus.policies import MANAGE, Policies

_ENTITY = {
    "GET": "Manage,EntityRead claims required for this operation.",
    "PUT": "Authorization failed for specified action: Manage,EntityWrite.",
    "DELETE": "Authorization failed for specified action: Manage,EntityDelete.",
}
_BELOW = {"GET": "Get", "PUT": "CreateOrUpdate", "DELETE": "Delete"}


def may_manage(policies: Policies | None, request: Request) -> bool:
    """Return whether the request's token gives the right to manage. Raises Rejected for an invalid token."""
    if policies is None:
        return True
    token = request.headers.get("authorization")
    if token is None:
        raise Rejected(HTTPStatus.UNAUTHORIZED, "MissingToken: The authorization header was not found.")
    try:
        return MANAGE in policies.rights(token, f"sb://{request.headers.get('host', '')}/{request.path}")
    except Refused as refused:
        raise Rejected(HTTPStatus.UNAUTHORIZED, refused.text) from refused


def denied(method: str) -> Rejected:
    """Return the refusal for a queue, a topic, a list of them, or the namespace."""
    return Rejected(HTTPStatus.UNAUTHORIZED, _ENTITY.get(method, _ENTITY["GET"]))


def denied_below(method: str, path: TopicPath) -> Rejected:
    """Return the refusal for subscriptions or rules."""
    kind, name = ("Rule", path.rule) if path.is_of_rules else ("Subscription", path.subscription)
    operation = f"Enumerate{kind}s" if name is None else f"{_BELOW.get(method, 'Get')}{kind}"
    text = f"SubCode=40100: Unauthorized : Unauthorized access for '{operation}' operation."
    return Rejected(HTTPStatus.UNAUTHORIZED, text, phrase=text)
