"""Attach of a link: the client's request and the reply.

https://learn.microsoft.com/azure/service-bus-messaging/service-bus-amqp-protocol-guide
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote, urlsplit

from cloudqueues.servicebus.amqp import encode, frames
from cloudqueues.servicebus.amqp.decode import Described, listed, mapped
from cloudqueues.servicebus.amqp.scan import fields, skip
from cloudqueues.servicebus.errors import INVALID_FIELD, AmqpError, LinkError

SESSION_FILTER = "com.microsoft:session-filter"
SESSION_UNTIL = "com.microsoft:locked-until-utc"
TIMEOUT = "com.microsoft:timeout"
COORDINATOR = (0x30, "amqp:coordinator:list")
"""Descriptor of a transaction coordinator's target:
https://docs.oasis-open.org/amqp/core/v1.0/os/amqp-core-transactions-v1.0-os.html"""
_SETTLED = 1
_FILTER = 7
"""Position of the filter in a source."""
_TICKS_AT_1970 = 621_355_968_000_000_000
_TICKS_A_SECOND = 10_000_000
"""Ticks of .NET: units of 100 nanoseconds since the year 1."""


@dataclass(frozen=True, slots=True)
class Attach:
    """Attach of a client."""

    name: str
    handle: int
    receiving: bool
    """True if the client is the receiver."""
    settled: bool
    """True if deliveries are settled when they are sent (receive-and-delete)."""
    source: bytes
    target: bytes
    modes: tuple[bytes, bytes]
    address: str | None
    reply_address: str | None
    """Receiver's own address, to which requests ask the reply to be sent."""
    transactional: bool
    """True if the link is to the transaction coordinator."""
    filters: Mapping[str, Any]
    properties: Mapping[str, Any]

    @property
    def path(self) -> str:
        """Path of the entity, without the host and the outer slashes."""
        return entity_path(self.address or "")

    @property
    def wants_session(self) -> bool:
        return SESSION_FILTER in self.filters

    @property
    def session(self) -> str | None:
        """Requested session id, or None for any session. Raises LinkError for an id that is not a string."""
        wanted = self.filters[SESSION_FILTER]
        wanted = wanted.value if isinstance(wanted, Described) else wanted
        if wanted is not None and not isinstance(wanted, str):
            raise LinkError(INVALID_FIELD, f"The session filter {wanted!r} is not a string.")
        return wanted


def entity_path(address: str) -> str:
    """Return the path of the entity in an address, without the host and the outer slashes."""
    try:
        path = urlsplit(address).path if "://" in address else address
    except ValueError:  # brackets in the host without an IPv6 address
        path = address
    return unquote(path).strip("/")


def read(values: list[Any], encoded: bytes) -> Attach:
    """Return the attach in a frame. Raises AmqpError for a field of the wrong type."""
    name, handle, receiving, sender_mode = values[:4]
    if not isinstance(name, str) or not isinstance(handle, int) or not isinstance(receiving, bool):
        raise AmqpError(INVALID_FIELD, "an attach needs a name, a handle and a role")
    raw = fields(encoded)
    source, target = _terminus(values[5]), _terminus(values[6])
    filters = source[_FILTER] if len(source) > _FILTER else None
    return Attach(
        name=name,
        handle=handle,
        receiving=receiving,
        settled=sender_mode == _SETTLED,
        source=_at(raw, 5),
        target=_at(raw, 6),
        modes=(_at(raw, 3), _at(raw, 4)),
        address=_address(source if receiving else target),
        reply_address=_address(target),
        transactional=isinstance(values[6], Described) and values[6].descriptor in COORDINATOR,
        filters=mapped(filters),
        properties=mapped(values[13]),
    )


def _at(raw: list[bytes], position: int) -> bytes:
    return raw[position] if position < len(raw) else encode.NULL


def _terminus(value: object) -> list[Any]:
    return listed(value.value) if isinstance(value, Described) else []


def _address(terminus: list[Any]) -> str | None:
    return str(terminus[0]) if terminus and terminus[0] is not None else None


def reply(
    channel: int,
    attach_request: Attach,
    largest: int,
    *,
    session: str | None = None,
    properties: Mapping[str, bytes] | None = None,
) -> bytes:
    """Return the frame that confirms an attach. `largest` is the maximum message size in bytes, `session` the id of the
    session that was locked."""
    source = attach_request.source if session is None else _with_session(attach_request, session)
    pairs = ((encode.symbol(name), value) for name, value in (properties or {}).items())
    return frames.frame(
        channel,
        frames.ATTACH,
        *_who(attach_request),
        source,
        attach_request.target,
        encode.NULL,
        encode.NULL,
        encode.uint(0) if attach_request.receiving else encode.NULL,
        encode.ulong(largest),
        encode.NULL,
        encode.NULL,
        encode.map_(pairs) if properties else encode.NULL,
    )


def _who(attach_request: Attach) -> tuple[bytes, ...]:
    role = encode.boolean(not attach_request.receiving)
    return encode.string(attach_request.name), encode.uint(attach_request.handle), role, *attach_request.modes


def refusal(channel: int, attach_request: Attach, error: AmqpError) -> bytes:
    """Return the frames that refuse an attach: an attach without source and target, then a detach with the error."""
    count = encode.uint(0) if attach_request.receiving else encode.NULL
    attach = frames.frame(channel, frames.ATTACH, *_who(attach_request), *[encode.NULL] * 4, count)
    return attach + detach(channel, attach_request.handle, error)


def detach(channel: int, handle: int, error: AmqpError | None = None) -> bytes:
    why = encode.NULL if error is None else frames.error(error.condition, error.text)
    return frames.frame(channel, frames.DETACH, encode.uint(handle), encode.TRUE, why)


def _with_session(attach_request: Attach, session: str) -> bytes:
    """Return the source with the id of the locked session, in the form of the client's filter.

    The Go client accepts a described value only, as the specification has it; the others expect a bare string.
    """
    wanted, answer = attach_request.filters[SESSION_FILTER], encode.string(session)
    if isinstance(wanted, Described):
        answer = b"\x00" + _descriptor(wanted.descriptor) + answer
    parts = fields(attach_request.source, skip(attach_request.source, 1))
    parts[_FILTER] = encode.map_([(encode.symbol(SESSION_FILTER), answer)])
    return encode.described(frames.SOURCE, encode.list_(parts))


def _descriptor(code: object) -> bytes:
    return encode.ulong(code) if isinstance(code, int) else encode.symbol(str(code))


def ticks(seconds: float) -> bytes:
    """Return seconds since 1970 as ticks of .NET."""
    return encode.long(_TICKS_AT_1970 + round(seconds * _TICKS_A_SECOND))
