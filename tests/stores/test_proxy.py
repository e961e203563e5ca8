"""The proxy itself, before any store relies on it."""

from __future__ import annotations

import socket
import threading

import pytest

from tests.stores.proxy import Mode, Proxy


class Echo:
    """A server that answers each request with itself, and remembers them."""

    def __init__(self) -> None:
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.heard: list[bytes] = []
        self.threads = [threading.Thread(target=self.accept, daemon=True)]
        self.threads[0].start()

    def accept(self) -> None:
        while True:
            try:
                client, _ = self.listener.accept()
            except OSError:
                return
            self.threads.append(threading.Thread(target=self.serve, args=(client,), daemon=True))
            self.threads[-1].start()

    def serve(self, client: socket.socket) -> None:
        with client:
            while data := client.recv(1 << 16):
                self.heard.append(data)
                client.sendall(data)

    def close(self) -> None:
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        for thread in self.threads:
            thread.join(10)


@pytest.fixture
def echo():
    server = Echo()
    yield server
    server.close()


@pytest.fixture
def proxy(echo):
    with Proxy("127.0.0.1", echo.port) as opened:
        yield opened


def dial(proxy: Proxy, wait: float = 5.0) -> socket.socket:
    return socket.create_connection((proxy.host, proxy.port), timeout=wait)


def ask(client: socket.socket, data: bytes) -> bytes:
    """The answer; nothing where the connection ends."""
    try:
        client.sendall(data)
        return client.recv(1 << 16)
    except ConnectionError:
        return b""


def ask_anew(proxy: Proxy, data: bytes) -> bytes:
    """Send a request as `ask` does, on a new connection: a reset may come before or after it is made."""
    try:
        with dial(proxy) as client:
            return ask(client, data)
    except ConnectionError:
        return b""


def test_it_passes_and_counts(proxy):
    """Connections and requests."""
    with dial(proxy) as first, dial(proxy) as two:
        assert [ask(first, b"a"), ask(two, b"b"), ask(first, b"c")] == [b"a", b"b", b"c"]
    assert (proxy.connections, proxy.requests, proxy.faults) == (2, 3, 0)


def test_it_refuses(proxy, echo):
    """The open ones are cut, new ones end at once, and it can be told to pass again."""
    with dial(proxy) as client:
        assert ask(client, b"a") == b"a"
        proxy.go(Mode.REFUSE)
        assert ask(client, b"b") == b""
    assert ask_anew(proxy, b"c") == b""
    proxy.go(Mode.PASS)
    assert ask_anew(proxy, b"d") == b"d"
    assert (echo.heard, proxy.faults) == ([b"a", b"d"], 1)


def test_it_stalls(proxy, echo):
    """Bytes are swallowed, also those sent after it passes again: something of the stream is missing."""
    proxy.go(Mode.STALL, times=1)
    with dial(proxy, wait=0.1) as client:
        for data in (b"a", b"b"):
            client.sendall(data)
            with pytest.raises(TimeoutError):
                client.recv(1)
    assert ask_anew(proxy, b"c") == b"c"
    assert (echo.heard, proxy.faults) == ([b"c"], 1)


def test_it_drops_an_answer(proxy, echo):
    """The server has the request; the connection ends; the next one works."""
    with dial(proxy) as client:
        assert ask(client, b"a") == b"a"
        proxy.go(Mode.DROP_ANSWER, times=1)
        assert ask(client, b"b") == b""
    assert proxy.faulted.wait(5)
    assert ask_anew(proxy, b"c") == b"c"
    assert (echo.heard, proxy.faults, proxy.requests) == ([b"a", b"b", b"c"], 1, 3)


def test_much_at_once(proxy):
    """A large request is one, however many packets it takes."""
    data = b"x" * 3_000_000
    with dial(proxy, wait=20) as client:
        sender = threading.Thread(target=client.sendall, args=(data,))
        sender.start()
        back = 0
        while back < len(data):
            back += len(client.recv(1 << 16))
        sender.join(20)
    assert back == len(data)


def test_without_a_server():
    """A connection ends as if there were no proxy."""
    with socket.create_server(("127.0.0.1", 0)) as gone:
        port = gone.getsockname()[1]
    with Proxy("127.0.0.1", port) as proxy:
        assert ask_anew(proxy, b"a") == b""
