"""TLS on an accepted connection, so that one port serves both TLS and plain clients."""

from __future__ import annotations

import asyncio
import contextlib
import ssl

HELLO = 0x16
"""First byte of a TLS handshake: https://www.rfc-editor.org/rfc/rfc8446#section-5.1"""
_PIECE = 64 * 1024


class TlsTransport(asyncio.Protocol):
    """TLS layer between a transport and the protocol `inner`, which uses it as its transport."""

    inner: asyncio.Protocol

    def __init__(self, transport: asyncio.Transport, context: ssl.SSLContext) -> None:
        self._transport = transport
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._session = context.wrap_bio(self._incoming, self._outgoing, server_side=True)
        self._is_open = False

    # -- asyncio protocol

    def data_received(self, data: bytes) -> None:
        self._incoming.write(data)
        try:
            self._read()
        except ssl.SSLWantReadError:
            self._flush()
        except ssl.SSLError:  # such as a client that does not trust the certificate
            self._flush()
            self._transport.close()

    def pause_writing(self) -> None:
        self.inner.pause_writing()

    def resume_writing(self) -> None:
        self.inner.resume_writing()

    def _read(self) -> None:
        """Pass decrypted data to `inner`. Raises SSLWantReadError when there is no more, SSLError when the client has
        ended."""
        if not self._is_open:
            self._session.do_handshake()
            self._is_open = True
        while piece := self._session.read(_PIECE):
            self.inner.data_received(piece)
        raise ssl.SSLZeroReturnError

    def _flush(self) -> None:
        if (data := self._outgoing.read()) and not self._transport.is_closing():
            self._transport.write(data)

    # -- transport of `inner`

    def write(self, data: bytes) -> None:
        self._session.write(data)
        self._flush()

    def pause_reading(self) -> None:
        self._transport.pause_reading()

    def resume_reading(self) -> None:
        self._transport.resume_reading()

    def is_closing(self) -> bool:
        return self._transport.is_closing()

    def close(self) -> None:
        with contextlib.suppress(ssl.SSLError):  # unwrap would wait for the client's close_notify, which may never come
            self._session.unwrap()
        self._flush()
        self._transport.close()
