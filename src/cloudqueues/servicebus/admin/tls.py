"""TLS on an accepted connection, so that one port serves both TLS and plain clients."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections.abc import Callable
from typing import cast

HELLO = 0x16
"""First byte of a TLS handshake: https://www.rfc-editor.org/rfc/rfc8446#section-5.1"""
_PIECE = 64 * 1024


class TlsOrPlainTransport(asyncio.Protocol, asyncio.Transport):
    """Layer between a transport and the protocol `inner`, which uses it as its transport: TLS for a client that begins
    with a TLS handshake, and nothing for others. `context` is called for the first client that uses TLS."""

    def __init__(self, inner: asyncio.Protocol, context: Callable[[], ssl.SSLContext]) -> None:
        super().__init__()
        self._inner = inner
        self._context = context
        self._transport: asyncio.Transport
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._session: ssl.SSLObject | None = None
        self._receive: Callable[[bytes], None] = self._choose
        self._is_open = False

    # -- asyncio protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._inner.connection_made(self)

    def data_received(self, data: bytes) -> None:
        self._receive(data)

    def pause_writing(self) -> None:
        self._inner.pause_writing()

    def resume_writing(self) -> None:
        self._inner.resume_writing()

    def eof_received(self) -> bool:
        """Keep a plain connection open, as for a client that sends all and then reads. TLS ends with its transport."""
        self._inner.eof_received()
        return self._session is None

    def connection_lost(self, exc: Exception | None) -> None:
        self._inner.connection_lost(exc)

    # -- input

    def _choose(self, data: bytes) -> None:
        self._receive = self._inner.data_received
        if data[0] == HELLO:
            self._session = self._context().wrap_bio(self._incoming, self._outgoing, server_side=True)
            self._receive = self._decrypt
        self._receive(data)

    def _decrypt(self, data: bytes) -> None:
        self._incoming.write(data)
        try:
            self._read()
        except ssl.SSLWantReadError:
            self._flush()
        except ssl.SSLError:  # such as a client that does not trust the certificate
            self._flush()
            self._transport.close()

    def _read(self) -> None:
        """Pass decrypted data to `inner`. Raises SSLWantReadError when there is no more, SSLError when the client has
        ended."""
        assert self._session is not None
        if not self._is_open:
            self._session.do_handshake()
            self._is_open = True
        while piece := self._session.read(_PIECE):
            self._inner.data_received(piece)
        raise ssl.SSLZeroReturnError

    # -- transport of `inner`

    def write(self, data: bytes | bytearray | memoryview) -> None:
        if self._session is None:
            self._transport.write(data)
        else:
            self._session.write(data)
            self._flush()

    def _flush(self) -> None:
        if (data := self._outgoing.read()) and not self._transport.is_closing():
            self._transport.write(data)

    def pause_reading(self) -> None:
        self._transport.pause_reading()

    def resume_reading(self) -> None:
        self._transport.resume_reading()

    def is_closing(self) -> bool:
        return self._transport.is_closing()

    def close(self) -> None:
        if self._session is not None:
            with contextlib.suppress(
                ssl.SSLError
            ):  # unwrap would wait for the client's close_notify, which may never come
                self._session.unwrap()
            self._flush()
        self._transport.close()

    def abort(self) -> None:
        self._transport.abort()
