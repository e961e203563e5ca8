"""Authorization rules of an entity. They are stored and returned, and have no effect on access.

https://learn.microsoft.com/azure/service-bus-messaging/service-bus-sas
"""

from __future__ import annotations

import base64
import secrets
from xml.etree import ElementTree as ET
from xml.sax.saxutils import quoteattr

from cloudqueues.servicebus.admin import atom
from cloudqueues.servicebus.admin.refusals import invalid

RIGHTS = ("Manage", "Send", "Listen")
MOST = 12
"""Maximum number of rules of an entity."""
_KEY_BYTES = 32


def read(rules: ET.Element) -> str:
    """Return the rules in the XML that clients get back. Raises Rejected."""
    if len(rules) > MOST:
        raise invalid(f"An entity has at most {MOST} authorization rules, and not {len(rules)}.")
    return "".join(_rule(rule) for rule in rules)


def _rule(rule: ET.Element) -> str:
    texts = {atom.local(child): child.text or "" for child in rule}
    name = texts.get("KeyName", "")
    if not name:
        raise invalid("An authorization rule needs a KeyName.")
    parts = [
        atom.element("ClaimType", "SharedAccessKey"),
        atom.element("ClaimValue", "None"),
        f"<Rights>{''.join(atom.element('AccessRights', right) for right in _rights(name, rule))}</Rights>",
        atom.element("KeyName", name),
        *(atom.element(key, texts.get(key) or _new_key()) for key in ("PrimaryKey", "SecondaryKey")),
    ]
    kind = quoteattr(atom.kind(rule) or "SharedAccessAuthorizationRule")
    return f"<AuthorizationRule i:type={kind}>{''.join(parts)}</AuthorizationRule>"


def _rights(name: str, rule: ET.Element) -> list[str]:
    rights = [right.text or "" for child in rule if atom.local(child) == "Rights" for right in child]
    if unknown := [right for right in rights if right not in RIGHTS]:
        raise invalid(f"The authorization rule {name!r} has the right {unknown[0]!r}; known are {', '.join(RIGHTS)}.")
    if "Manage" in rights and len(set(rights)) != len(RIGHTS):
        raise invalid(f"The authorization rule {name!r} has the right to manage: that includes Send and Listen.")
    return rights


def _new_key() -> str:
    return base64.b64encode(secrets.token_bytes(_KEY_BYTES)).decode()
