"""Description of the namespace."""

from __future__ import annotations

from cloudqueues.servicebus.admin import atom
from cloudqueues.servicebus.admin.atom import Entry
from cloudqueues.servicebus.tiers import PREMIUM, Tier

NAME = "sbemulatorns"
"""Name of the one namespace in Microsoft's emulator."""
PATH = "$namespaceinfo"


def description(created: float, tier: Tier) -> Entry:
    """Return the entry of the namespace, which was created `created` seconds after 1970."""
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
