"""Fitting messages into their destination's limits, so that a dead letter never fails for its size or form.

The steps, in order: shorten the detail, fold all attributes into the body, compress the body, leave out the reason, leave out
the lineage. Every platform's `receive` undoes folding and compression, so that a redriven message is the original.
"""

from __future__ import annotations

import base64
import json
import zlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, Protocol

from peeklock.errors import SendError
from peeklock.message import LINEAGE, Lineage, Message
from peeklock.outgoing import DETAIL, OutgoingMessage, Sender, cut, from_json, to_json
from peeklock.quotas.google import PUBLISH_BYTES

FORM = "peeklock-form"
"""Attribute with the encodings of the body, such as `envelope+zlib`, to be undone from the last to the first."""

ENVELOPE, ZLIB, BASE64 = "envelope", "zlib", "base64"

_FORMS = frozenset({BASE64, ENVELOPE, f"{ENVELOPE}+{BASE64}", f"{ENVELOPE}+{ZLIB}", f"{ENVELOPE}+{ZLIB}+{BASE64}"})

SHORT_DETAIL = 256
"""Bytes to which a detail is cut that does not fit whole."""

HEADROOM = 256
"""Bytes that `send` reserves for lineage and reason. The dead letter of a message that fills its queue would lack them."""

MAX_UNFOLDED = 2 * PUBLISH_BYTES
"""Largest size of a decompressed body, in bytes: twice the largest body of Pub/Sub."""


class Limited(Sender, Protocol):
    """Sender that knows its queue's limits. `accepts` and `weigh` do no I/O."""

    limit: int
    """Largest size of a whole message in bytes, attributes included."""

    def accepts(self, outgoing: OutgoingMessage, /) -> bool:
        """Return whether the queue takes a message in this form."""
        ...

    def weigh(self, outgoing: OutgoingMessage, /) -> int:
        """Return the bytes of a message as the queue counts them."""
        ...


def fit(outgoing: OutgoingMessage, sender: Sender) -> OutgoingMessage | None:
    """Return the first form of a message that its queue accepts; None where no form fits.

    A dead letter that does not fit in any form is returned as it came, since its message must not be completed without it.
    """
    accepts = getattr(sender, "accepts", None)
    if accepts is None or accepts(outgoing):
        return outgoing
    if FORM in outgoing.attributes or outgoing.bare:  # fitted already, by a caller who can fit the original again
        return outgoing if outgoing.dead_letter else None
    return next(filter(accepts, _forms(outgoing)), _as_it_came(outgoing) if outgoing.dead_letter else None)


def prepare(outgoing: OutgoingMessage, sender: Limited) -> OutgoingMessage | SendError:
    """Return a message in the form to send, or the SendError that refuses it.

    A new message must leave room for the reason of its dead letter. The lineage is left out only where the caller has left it
    out, since the caller must record that.
    """
    fitted = fit(outgoing, sender)
    if outgoing.dead_letter:
        return fitted if fitted is not None and fitted.bare == outgoing.bare else outgoing
    if fitted is not None and (not outgoing.is_new or sender.accepts(_padded(fitted))):
        return fitted
    reserved = f" of which {HEADROOM} are reserved for a dead letter's reason;" if outgoing.is_new else ""
    return SendError(
        f"the message does not fit: it takes {sender.weigh(outgoing):,} bytes with its {len(outgoing.attributes)} attributes,"
        f" and the queue takes {sender.limit:,} bytes,{reserved} send a reference to the data instead"
    )


def _padded(outgoing: OutgoingMessage) -> OutgoingMessage:
    return replace(outgoing, body=outgoing.body + b" " * HEADROOM)


def _forms(outgoing: OutgoingMessage) -> Iterator[OutgoingMessage]:
    """Return the forms of a message, each smaller than the last."""
    yield from _shapes(_shortened(outgoing), compress=not outgoing.is_new)
    if outgoing.dead_letter:
        came = _as_it_came(outgoing)
        yield from _shapes([replace(came, bare=False)])
        yield from _shapes([came])


def _as_it_came(dead_letter: OutgoingMessage) -> OutgoingMessage:
    """Return a dead letter with the message's own attributes only."""
    origin = dead_letter.origin
    return (
        dead_letter
        if origin is None
        else replace(dead_letter, attributes=origin.attributes, unexplained=True, bare=True)
    )


def _shapes(outgoing_messages: list[OutgoingMessage], *, compress: bool = True) -> Iterator[OutgoingMessage]:
    yield from outgoing_messages
    envelopes = [folded(outgoing) for outgoing in outgoing_messages]
    yield from envelopes
    if compress:
        yield from filter(None, map(compressed, envelopes))


def _shortened(outgoing: OutgoingMessage) -> list[OutgoingMessage]:
    """Return a message with its detail whole, cut, and left out."""
    detail = outgoing.attributes.get(DETAIL)
    if not isinstance(detail, str):
        return [outgoing]
    without = {name: value for name, value in outgoing.attributes.items() if name != DETAIL}
    short = {**without, DETAIL: cut(detail, SHORT_DETAIL)}
    return [outgoing, replace(outgoing, attributes=short), replace(outgoing, attributes=without)]


def folded(outgoing: OutgoingMessage) -> OutgoingMessage:
    """Return a message with its attributes inside the body: one line of JSON, which every queue takes, then the body."""
    head = {
        "lineage": "" if outgoing.bare else outgoing.lineage.dump(),
        "attributes": {name: to_json(value) for name, value in outgoing.attributes.items()},
        "types": dict(outgoing.types),
        "content_type": outgoing.content_type,
    }
    line = json.dumps(head, separators=(",", ":")).encode()
    body = b"%b\n%b" % (line, outgoing.body)
    return replace(outgoing, body=body, attributes={FORM: ENVELOPE}, types={}, content_type=None)


def compressed(outgoing: OutgoingMessage) -> OutgoingMessage | None:
    """Return a folded message compressed; None where it is too large for `unfold`."""
    if len(outgoing.body) > MAX_UNFOLDED:
        return None
    return replace(outgoing, body=zlib.compress(outgoing.body), attributes={FORM: f"{ENVELOPE}+{ZLIB}"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Contents:
    """Body and attributes from an envelope."""

    body: bytes
    attributes: Mapping[str, str | bytes]
    types: Mapping[str, str]
    content_type: str | None
    lineage: Lineage | None


_UNREADABLE = (ValueError, KeyError, TypeError, AttributeError, RecursionError, zlib.error)


def contents(body: bytes, form: object) -> bytes | Contents:
    """Return a body as it was before `fit`: the bytes, where it was only encoded, or the contents of its envelope. Raises
    ValueError for one that `fit` did not write, such as a decompression bomb."""
    if form not in _FORMS:
        raise ValueError("not a form that peeklock writes")
    try:
        for coding in reversed(str(form).split("+")):
            if coding == ENVELOPE:
                return _opened(body)
            body = _DECODERS[coding](body)
    except _UNREADABLE as exc:
        raise ValueError(f"a body that is not {form!r}: {type(exc).__name__}") from exc
    return body


def _opened(body: bytes) -> Contents:
    line, newline, inner = body.partition(b"\n")
    head: dict[str, Any] = json.loads(line) if newline else {}
    content_type = head["content_type"]
    return Contents(
        body=inner,
        attributes={name: from_json(value) for name, value in head["attributes"].items()},
        types={name: str(value) for name, value in head["types"].items()},
        content_type=content_type if isinstance(content_type, str) else None,
        lineage=Lineage.load(head["lineage"]),
    )


def _inflated(body: bytes) -> bytes:
    reader = zlib.decompressobj()
    inflated = reader.decompress(body, MAX_UNFOLDED)
    if not reader.eof:
        raise ValueError("cut, or longer than anything that peeklock compresses")
    return inflated


_DECODERS: dict[str, Callable[[bytes], bytes]] = {
    ZLIB: _inflated,
    BASE64: lambda body: base64.b64decode(body, validate=True),
}


def unfold(message: Message, form: object) -> None:
    """Undo what `fit` did to an arriving message. A body that is not of the claimed form stays as it is."""
    if not isinstance(form, str):
        return
    try:
        inner = contents(message.body, form)
    except ValueError:
        return
    if isinstance(inner, bytes):
        message.body = inner
        return
    message.body = inner.body
    producers = {name: value for name, value in inner.attributes.items() if not name.startswith(LINEAGE)}
    message.attributes = {**message.attributes, **producers}
    message.types = inner.types
    message.content_type = inner.content_type
    if message.lineage is None and inner.lineage is not None:
        message.lineage, message.id = inner.lineage, inner.lineage.id
        message.attempt = message.delivery + inner.lineage.attempts


def unfolded(outgoing: OutgoingMessage) -> OutgoingMessage:
    """Return a message from a file as it was before `fit`, including its reason."""
    form = outgoing.attributes.get(FORM)
    if form is None:
        return outgoing
    rest = {name: value for name, value in outgoing.attributes.items() if name != FORM}
    try:
        inner = contents(outgoing.body, form)
    except ValueError:
        return outgoing
    if isinstance(inner, bytes):
        return replace(outgoing, body=inner, attributes=rest)
    return replace(
        outgoing,
        body=inner.body,
        attributes={**rest, **inner.attributes},
        types=inner.types,
        content_type=inner.content_type,
    )
