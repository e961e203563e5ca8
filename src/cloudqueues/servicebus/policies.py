"""Shared access policies: keys that sign clients' tokens, and the rights that they give.

https://learn.microsoft.com/azure/service-bus-messaging/service-bus-sas
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
import time
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from urllib.parse import unquote_plus

from cloudqueues.errors import ConfigError
from cloudqueues.servicebus.amqp.attach import entity_path
from cloudqueues.servicebus.errors import UNAUTHORIZED, Refused

MANAGE, SEND, LISTEN = "Manage", "Send", "Listen"
RIGHTS = frozenset((MANAGE, SEND, LISTEN))
"""All rights. The right to manage includes the other two."""
SCHEME = "SharedAccessSignature "
_MOMENT = re.compile(r"[0-9]{1,18}")
"""Seconds since 1970, in ASCII digits."""


@dataclass(frozen=True, slots=True)
class Policy:
    """Key with its rights. Raises ConfigError for an unknown right."""

    key: str
    rights: Collection[str] = RIGHTS

    def __post_init__(self) -> None:
        if unknown := set(self.rights) - RIGHTS:
            raise ConfigError(f"unknown right {min(unknown)!r} of a policy: use some of {', '.join(sorted(RIGHTS))}")


class Policies:
    """Policies of a namespace by name."""

    def __init__(self, policies: Mapping[str, Policy]) -> None:
        self._known = dict(policies)

    def rights(self, token: str, audience: str) -> frozenset[str]:
        """Return the rights that a token gives on the entity of `audience`.

        A token of another kind, such as Azure AD's, cannot be checked here and gives all rights. Raises Refused for an
        invalid token.
        """
        if not token.startswith(SCHEME):
            return RIGHTS
        fields = dict(part.partition("=")[::2] for part in token.removeprefix(SCHEME).split("&"))
        policy = self._known.get(unquote_plus(fields.get("skn", "")))
        signature = unquote_plus(fields.get("sig", "")).encode()
        if policy is None or not hmac.compare_digest(_signature(policy.key, fields), signature):
            raise Refused(UNAUTHORIZED, "InvalidSignature: The token has an invalid signature.")
        if not _MOMENT.fullmatch(fields.get("se", "")) or int(fields["se"]) < time.time():
            raise Refused(UNAUTHORIZED, f"ExpiredToken: The token is expired. Expiration time: {fields.get('se', '')}")
        if not _covers(unquote_plus(fields.get("sr", "")), audience):
            raise Refused(UNAUTHORIZED, "InvalidAudience: The token is for another entity.")
        return RIGHTS if MANAGE in policy.rights else frozenset(policy.rights)


def _signature(key: str, fields: Mapping[str, str]) -> bytes:
    signed = f"{fields.get('sr', '')}\n{fields.get('se', '')}"
    return base64.b64encode(hmac.digest(key.encode(), signed.encode(), hashlib.sha256))


def _covers(resource: str, audience: str) -> bool:
    """Return whether a resource is the audience or contains it. A resource without a scheme begins with the host, as
    azservicebus writes it in a signature of its own."""
    whole = entity_path(resource if "://" in resource else f"sb://{resource}").lower()
    part = entity_path(audience).lower()
    return not whole or part == whole or part.startswith(f"{whole}/")
