"""The namespace itself."""

from __future__ import annotations

from cloudqueues.servicebus.admin import atom
from cloudqueues.servicebus.admin.atom import Entry
from cloudqueues.servicebus.tiers import PREMIUM, Tier

NAME = "sbemulatorns"
"""The name that Microsoft's emulator has for its one namespace."""
PATH = "$namespaceinfo"


def description(created: float, tier: Tier) -> Entry:
    """`created`: seconds since 1970."""
    is_premium = tier is PREMIUM
    parts = {
        "CreatedTime": atom.moment(created),
        "MessagingSKU": "Premium" if is_premium else "Standard",
        **({"MessagingUnits": "1"} if is_premium else {}),
        "ModifiedTime": atom.moment(created),
        "Name": NAME,
        "NamespaceType": "Messaging",
    }
    inner = "".join(atom.element(name, text) for name, text in parts.items())
    return Entry(
        path=PATH, title=NAME, created=created, updated=created, content=atom.described("NamespaceInfo", inner)
    )
