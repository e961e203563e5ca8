"""HTTP server that the emulators share: what no emulator's own tests send."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from cloudqueues.http1.messages import Malformed
from cloudqueues.http1.server import HttpServer, Limits, Reply, Request, encode

LIMITS = Limits(body=10)


async def echo(request: Request) -> Reply:
    text = f"{request.method} {request.path} {request.query} {len(request.body)} {request.is_too_large}"
    return Reply(body=text.encode())


def refuse(malformed: Malformed) -> Reply:
    return Reply(status=malformed.status, body=str(malformed).encode())


async def talk(
    data: bytes, limits: Limits = LIMITS, answer: Callable[[Request], Awaitable[Reply]] = echo, *, ends: bool = True
) -> bytes:
    """Return all that is answered to these bytes."""
    server = HttpServer(answer, refuse, limits)
    reader, writer = await asyncio.open_connection("127.0.0.1", await server.listen("127.0.0.1", 0))
    try:
        writer.write(data)
        if ends:
            writer.write_eof()
        return await asyncio.wait_for(reader.read(), 10)
    finally:
        writer.close()
        await server.close()


@pytest.mark.parametrize(
    ("version", "connection", "replies"),
    [
        ("1.1", "X: y", 2),
        ("1.1", "Connection: Close", 1),
        ("1.1", "Connection: TE, close", 1),
        ("1.1", "Connection: Upgrade, HTTP2-Settings", 2),
        ("1.0", "X: y", 1),
        ("1.0", "Connection: Keep-Alive", 2),
        ("1.0", "Connection: keep-alive, close", 1),
    ],
)
def test_a_connection_is_kept_as_its_client_says(version: str, connection: str, replies: int) -> None:
    answer = asyncio.run(talk(f"GET /a%20b?c=d HTTP/{version}\r\n{connection}\r\n\r\n".encode() * 2))
    assert answer.count(b"GET /a%20b c=d 0 False") == replies
    assert (b"Connection: close" in answer) == (replies == 1)
    assert (b"Connection: keep-alive" in answer) == (version == "1.0" and replies == 2)


def test_the_reply_to_a_head_has_no_body() -> None:
    answer = asyncio.run(talk(b"HEAD /a HTTP/1.1\r\n\r\nGET /b HTTP/1.1\r\n\r\n"))
    head, _, second = answer.partition(b"\r\n\r\n")
    assert head.endswith(b"Content-Length: 16")
    assert second.startswith(b"HTTP/1.1 200 ")
    assert second.endswith(b"GET /b  0 False")


def test_trailers_and_extensions_of_chunks_are_passed_over() -> None:
    data = b"PUT / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n3;a=b\r\n123\r\n0\r\nX: y\r\nZ: 1\r\n\r\n" * 2
    assert asyncio.run(talk(data)).count(b"PUT /  3 False") == 2


@pytest.mark.parametrize(
    "data",
    [
        b"X : y\r\n\r\n",
        b"X: y\r\n folded\r\n\r\n",
        b": y\r\n\r\n",
        b"Transfer-Encoding: chunked\r\n\r\n3\r\n1234\r\n0\r\n\r\n",
    ],
    ids=["a space after the name", "a folded line", "no name", "a chunk longer than its size"],
)
def test_a_malformed_request_ends_its_connection(data: bytes) -> None:
    answer = asyncio.run(talk(b"PUT / HTTP/1.1\r\n" + data + b"GET / HTTP/1.1\r\n\r\n"))
    assert answer.startswith(b"HTTP/1.1 400 ")
    assert answer.count(b"HTTP/1.1") == 1


@pytest.mark.parametrize("body", [b"Content-Length: 9\r\n\r\n123", b"Transfer-Encoding: chunked\r\n\r\n9\r\n123"])
def test_a_body_that_breaks_off_is_not_answered(body: bytes) -> None:
    assert asyncio.run(talk(b"PUT / HTTP/1.1\r\n" + body)) == b""


def test_the_last_coding_of_a_body_makes_it_chunked() -> None:
    data = b"PUT / HTTP/1.1\r\nTransfer-Encoding: gzip, Chunked\r\n\r\n3\r\n123\r\n0\r\n\r\n"
    assert asyncio.run(talk(data)).endswith(b"PUT /  3 False")


@pytest.mark.parametrize("size", [b"0x3", b"0X3", b"+3", b"-3", b"3_", b""])
def test_a_size_of_a_chunk_is_hexadecimal_digits(size: bytes) -> None:
    data = b"PUT / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n" + size + b"\r\n123\r\n0\r\n\r\n"
    assert asyncio.run(talk(data)).startswith(b"HTTP/1.1 400 ")


@pytest.mark.parametrize(
    "head", [b"Content-Length: " + b"9" * 5000, b"Transfer-Encoding: chunked\r\n\r\n1" + b"0" * 300]
)
def test_a_length_that_no_number_holds(head: bytes) -> None:
    for limits in (LIMITS, Limits(body=10, discards_excess=True)):
        answer = asyncio.run(talk(b"PUT / HTTP/1.1\r\n" + head + b"\r\n\r\n12", limits))
        assert not answer or answer.startswith(b"HTTP/1.1 4")
        assert answer or limits.discards_excess


@pytest.mark.parametrize("length", [b"Content-Length: 11", b"Transfer-Encoding: chunked\r\nContent-Length: 11"])
def test_a_body_that_is_refused_is_not_asked_for(length: bytes) -> None:
    chunked = b"chunked" in length
    data = b"PUT / HTTP/1.1\r\nExpect: 100-continue\r\n" + length + b"\r\n\r\n" + (b"b\r\n" if chunked else b"")
    answer = asyncio.run(talk(data))
    assert answer.startswith(b"HTTP/1.1 100 " if chunked else b"HTTP/1.1 413 ")
    assert answer.endswith(b"the body is too large")


@pytest.mark.parametrize(
    ("body", "answer"),
    [
        (b"Content-Length: 10\r\n\r\n" + b"x" * 10, b"10 False"),
        (b"Content-Length: 500000\r\n\r\n" + b"x" * 500_000, b" True"),
        (b"Transfer-Encoding: chunked\r\n\r\n8\r\n12345678\r\n3\r\n123\r\n0\r\n\r\n", b" True"),
    ],
)
def test_a_body_that_is_too_large_may_be_discarded(body: bytes, answer: bytes) -> None:
    limits = Limits(body=10, discards_excess=True)
    assert asyncio.run(talk(b"PUT / HTTP/1.1\r\n" + body, limits)).endswith(answer)


def test_an_answer_may_refuse() -> None:
    async def answer(request: Request) -> Reply:
        raise Malformed(f"no {request.path}")

    assert asyncio.run(talk(b"GET /q HTTP/1.1\r\n\r\n" * 2, answer=answer)).endswith(b"close\r\n\r\nno /q")


def test_a_status_without_a_phrase() -> None:
    assert encode(Reply(status=499)).startswith(b"HTTP/1.1 499 -\r\n")
    assert encode(Reply(phrase="Fine")).startswith(b"HTTP/1.1 200 Fine\r\n")


def test_a_stop_ends_a_request_that_is_being_answered(caplog: pytest.LogCaptureFixture) -> None:
    async def scenario() -> bytes:
        started = asyncio.Event()

        async def answer(_: Request) -> Reply:
            started.set()
            await asyncio.Event().wait()
            raise AssertionError

        server = HttpServer(answer, refuse, LIMITS)
        reader, writer = await asyncio.open_connection("127.0.0.1", await server.listen("127.0.0.1", 0))
        writer.write(b"GET / HTTP/1.1\r\n\r\n")
        await started.wait()
        await asyncio.wait_for(server.close(), 10)
        try:
            return await asyncio.wait_for(reader.read(), 10)
        except ConnectionError:
            return b""
        finally:
            writer.close()

    assert asyncio.run(scenario()) == b""
    assert not caplog.records


class StuckTransport:
    """Transport of a client that reads nothing, so that it never ends by itself."""

    is_aborted = False

    def get_extra_info(self, name: str) -> None:
        """Nothing is known of the client."""

    def is_closing(self) -> bool:
        return self.is_aborted

    def write(self, data: bytes) -> None:
        """Drop it."""

    def close(self) -> None:
        """Wait for the client."""

    def abort(self) -> None:
        self.is_aborted = True


def test_a_last_reply_that_is_never_read_is_given_up() -> None:
    async def scenario() -> bool:
        transport: Any = StuckTransport()
        server = HttpServer(echo, refuse, Limits(body=10, idle=0.05))
        connection = server.connection()
        connection.connection_made(transport)
        connection.data_received(b"GET / HTTP/1.1\r\nConnection: close\r\n\r\n")
        await asyncio.sleep(0)
        await asyncio.wait(server._open, timeout=5)
        return bool(transport.is_aborted)

    assert asyncio.run(scenario())


@pytest.mark.parametrize(
    "data", [b"", b"GET / HT", b"GET / HTTP/1.1\r\nContent-Length: 3\r\n\r\nx", b"GET / HTTP/1.1\r\n\r\n"]
)
def test_a_connection_that_is_reset_leaves_nothing_behind(data: bytes) -> None:
    """Neither a task nor an error in the log."""
    problems: list[Any] = []

    async def scenario() -> int:
        asyncio.get_running_loop().set_exception_handler(lambda _, context: problems.append(context))
        transport: Any = StuckTransport()
        server = HttpServer(echo, refuse, LIMITS)
        connection = server.connection()
        connection.connection_made(transport)
        if data:
            connection.data_received(data)
        connection.connection_lost(ConnectionResetError())
        for _ in range(20):
            await asyncio.sleep(0)
        assert transport.is_aborted
        return len(server._open)

    assert asyncio.run(scenario()) == 0
    assert not problems


def test_a_connection_that_begins_after_the_stop_is_broken_off() -> None:
    async def scenario() -> tuple[bool, int]:
        transport: Any = StuckTransport()
        server = HttpServer(echo, refuse, LIMITS)
        connection = server.connection()
        connection.connection_made(transport)
        await server.close()
        await asyncio.sleep(0)
        return transport.is_aborted, len(server._open)

    assert asyncio.run(scenario()) == (True, 0)
