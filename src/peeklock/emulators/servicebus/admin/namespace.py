"""The namespace itself."""

from __future__ import annotations

from peeklock.emulators.servicebus.admin import atom
from peeklock.emulators.servicebus.admin.atom import Entry

NAME = "sbemulatorns"
"""The name that Microsoft's emulator has for its one namespace."""
SKU = "Standard"
PATH = "$namespaceinfo"


def namespace(created: float) -> Entry:
    """`created`: seconds since 1970."""
    parts = {
        "CreatedTime": atom.moment(created),
        "MessagingSKU": SKU,
        "ModifiedTime": atom.moment(created),
        "Name": NAME,
        "NamespaceType": "Messaging",
    }
    inner = "".join(atom.element(name, text) for name, text in parts.items())
    return Entry(
        path=PATH, title=NAME, created=created, updated=created, content=atom.described("NamespaceInfo", inner)
    )
