"""ATOM documents: entries and feeds for answers, and the description inside an entry that a client sends.

Written by hand, since the JavaScript client finds elements by their prefixes and an XML library chooses its own.
https://www.rfc-editor.org/rfc/rfc4287
"""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from urllib.parse import quote, urlencode
from xml.etree import ElementTree as ET
from xml.parsers import expat
from xml.sax.saxutils import escape, quoteattr

from cloudqueues.servicebus.admin.refusals import Rejected, invalid

ATOM = "http://www.w3.org/2005/Atom"
SERVICEBUS = "http://schemas.microsoft.com/netservices/2010/10/servicebus/connect"
INSTANCE = "http://www.w3.org/2001/XMLSchema-instance"
COUNTS = "http://schemas.microsoft.com/netservices/2011/06/servicebus"
SCHEMA = "http://www.w3.org/2001/XMLSchema"

NEVER = "0001-01-01T00:00:00"
"""Access time of an entity that was never accessed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """Entity with its `path` in the namespace and its description in XML."""

    path: str
    title: str
    created: float
    updated: float
    content: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Site:
    """Address by which the client reached the emulator, and its version of the API."""

    host: str
    """Host and port, as in the client's Host header."""
    version: str
    """The client's `api-version`; empty where it sent none."""

    def address(self, path: str, **query: object) -> str:
        versioned = {"api-version": self.version, **query} if self.version else query
        tail = f"?{urlencode(versioned, safe='$')}" if versioned else ""
        return f"https://{self.host}/{quote(path, safe='/$')}{tail}"


def element(name: str, text: object) -> str:
    return f"<{name}>{escape(str(text))}</{name}>"


def described(name: str, inner: str) -> str:
    """Return a description that declares the namespaces of its elements."""
    return f'<{name} xmlns="{SERVICEBUS}" xmlns:i="{INSTANCE}">{inner}</{name}>'


def moment(seconds: float) -> str:
    """Return a time since 1970 as .NET writes it: UTC with seven decimals."""
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%S.%f}0Z"


def entry(site: Site, item: Entry) -> bytes:
    return _entry(site, item, f' xmlns="{ATOM}"').encode()


def _entry(site: Site, item: Entry, space: str) -> str:
    address = escape(site.address(item.path))
    return (
        f'<entry{space}><id>{address}</id><title type="text">{escape(item.title)}</title>'
        f"<published>{_second(item.created)}</published><updated>{_second(item.updated)}</updated>"
        f'<author><name>{escape(site.host)}</name></author><link rel="self" href="{address}"/>'
        f'<content type="application/xml">{item.content}</content></entry>'
    )


def _second(seconds: float) -> str:
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%SZ}"


def feed(site: Site, path: str, entries: Sequence[Entry], following: tuple[int, int] | None) -> bytes:
    """Return one page of a feed. `following` holds the skip and the top of the next page, if there is one."""
    links = f'<link rel="self" href={quoteattr(site.address(path))}/>'
    if following is not None:
        skip, top = following
        links += f'<link rel="next" href={quoteattr(site.address(path, **{"$skip": skip, "$top": top}))}/>'
    return (
        f'<feed xmlns="{ATOM}"><title type="text">{escape(path)}</title><id>{escape(site.address(path))}</id>'
        f"<updated>{_second(datetime.now(UTC).timestamp())}</updated>{links}"
        f"{''.join(_entry(site, item, '') for item in entries)}</feed>"
    ).encode()


def nothing() -> bytes:
    """Return the feed that the service answers, with status 200, for a queue or topic that does not exist.

    azservicebus' `deserializeBody` recognises its title; azure-servicebus treats an entry without content as missing.
    """
    updated = _second(datetime.now(UTC).timestamp())
    return (
        f'<feed xmlns="{ATOM}"><title type="text">Publicly Listed Services</title>'
        '<subtitle type="text">This is the list of publicly-listed services currently available.</subtitle>'
        f"<id>uuid:{uuid.uuid4()};id=1</id><updated>{updated}</updated><generator>Service Bus 1.1</generator></feed>"
    ).encode()


def error(rejected: Rejected) -> bytes:
    tracked = f"TrackingId:{uuid.uuid4()}_G0, Timestamp:{datetime.now(UTC):%Y-%m-%dT%H:%M:%S}"
    detail = f"{rejected.text} {tracked}"
    return f"<Error>{element('Code', int(rejected.status))}{element('Detail', detail)}</Error>".encode()


def description(body: bytes) -> ET.Element:
    """Return the description inside the content of an entry. Raises Rejected."""
    try:
        _refuse_document_type(body)
        root = ET.fromstring(body)  # noqa: S314 - without a document type there are no entities to expand
    except (expat.ExpatError, ET.ParseError) as exc:
        raise invalid(f"The body is not XML: {exc}.") from exc
    content = root.find(f"{{{ATOM}}}content")
    if content is None or len(content) != 1:
        raise invalid("The body is not an ATOM entry whose content is one description.")
    return content[0]


def _refuse_document_type(body: bytes) -> None:
    """Raise Rejected for a document type, in whatever encoding, before any of its entities is expanded."""

    def refuse(*_: object) -> None:
        raise invalid("The body has a document type; it needs none.")

    parser = expat.ParserCreate()
    parser.StartDoctypeDeclHandler = refuse
    parser.Parse(body, True)


def local(element: ET.Element) -> str:
    """Return an element's name without its namespace."""
    return element.tag.rpartition("}")[2]


def kind(element: ET.Element) -> str:
    """Return the `xsi:type` of an element without its prefix, or an empty string."""
    return element.get(f"{{{INSTANCE}}}type", "").rpartition(":")[2]
