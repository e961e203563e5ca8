"""Redis's and Valkey's own: what goes wrong on the way to them, in them, and in a cluster of them."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from ipaddress import IPv4Address
from pathlib import Path
from typing import Any

import pytest

from peeklock import ConfigError, StoreError, consumer
from peeklock.idempotency.store import WON
from peeklock.outcome import Reason
from peeklock.registry import open_store
from peeklock.stores.redis import RedisStore, connect, from_url
from peeklock.stores.redis_script import BY_HASH
from peeklock.testing import deliver
from tests.contracts.stores import change, record
from tests.core.world import QUEUE, recording
from tests.stores import servers_redis as servers
from tests.stores.proxy import Mode, Proxy
from tests.stores.servers_redis import Server, store_on
from tests.support import ROOT
from tests.test_architecture import SDKS, loaded_by

BRIEFLY = "?socket_timeout=0.3&socket_connect_timeout=0.3"


@pytest.fixture(params=["valkey", pytest.param("redis", marks=pytest.mark.servers)])
def program(request):
    return {"valkey": servers.valkey_program(), "redis": "redis-server"}[request.param]


@pytest.fixture
def server(program):
    """One that a test may break."""
    redis_server = Server(program, "--appendonly", "no", "--repl-diskless-sync-delay", "0")
    yield redis_server
    redis_server.close()


@pytest.fixture
def shared():
    """One that a test leaves as it was."""
    with servers.valkey_server().client() as client:
        client.flushall()
    return servers.valkey_server()


@pytest.fixture
def proxy(shared):
    with Proxy("127.0.0.1", shared.port) as opened:
        yield opened


@contextmanager
def through(proxy: Proxy, parameters: str = BRIEFLY) -> Iterator[RedisStore]:
    with store_on(f"redis://{proxy.host}:{proxy.port}{parameters}") as store:
        yield store


def errors(answers: Any) -> list[str]:
    """The kind of each answer's error, as redis-py names it."""
    return [type(answer.error.__cause__).__name__ if answer.error else "" for answer in answers]


# -- what a call is


def test_a_call_is_one_trip(proxy):
    """However many changes it has; the script's text goes out once."""
    with through(proxy) as store:
        store.swap([change("first", None, record(1))])
        before = proxy.requests
        assert all(answer.won for answer in store.swap([change(f"k-{n}", None, record(1)) for n in range(10)]))
        assert (proxy.requests - before, proxy.connections) == (1, 1)


def test_the_server_removes_a_record_a_day_after_its_end(shared):
    """Long after it counts as absent; and a new record has a new end."""
    ends = datetime(2100, 1, 1, 12, tzinfo=UTC)
    with store_on(shared.url) as store, shared.client() as client:
        for n, end in enumerate((ends, ends + timedelta(days=3)), 1):
            assert store.swap([change("k", n - 1 or None, record(n, expires_at=end))]) == [WON]
            left = timedelta(milliseconds=client.pttl("peeklock:k"))
            assert abs(datetime.now(UTC) + left - (end + timedelta(days=1))) < timedelta(seconds=5)


def test_a_record_whose_end_is_long_past(shared):
    """Is gone at once, and counts as absent anyway."""
    past = datetime.now(UTC) - timedelta(days=2)
    with store_on(shared.url) as store:
        assert store.swap([change("k", None, record(1, expires_at=past))]) == [WON]
        assert store.swap([change("k", None, record(2))]) == [WON]


def test_versions_are_compared_exactly(shared):
    """Lua's numbers would take these two for one."""
    large = 2**62
    with store_on(shared.url) as store:
        store.swap([change("k", None, record(large))])
        (lost,) = store.swap([change("k", large + 1, record(5))])
        assert lost.record == record(large)


@pytest.mark.parametrize("value", ["{", "", " ", "1", "7 ", "7 {}", "none", "\udcff", '7 {"state":"new"}'])
def test_a_value_that_cannot_be_read(shared, value):
    """Fails its own key only, and is never overwritten by who expects none."""
    with store_on(shared.url) as store, shared.client() as client:
        client.set("peeklock:bad", value.encode("utf-8", "surrogateescape"))
        bad, good = store.swap([change("bad", None, record(1)), change("good", None, record(1))])
        if value:
            assert (bad.won, str(bad.error)[:30]) == (False, "a record that cannot be read: ")
            assert client.get("peeklock:bad") == value.encode("utf-8", "surrogateescape")
        else:
            assert bad == WON, "an empty value is what no store writes, and as good as none"
        assert good == WON


def test_a_key_of_another_kind(shared):
    """Is that key's error."""
    with store_on(shared.url) as store, shared.client() as client:
        client.rpush("peeklock:list", "x")
        bad, good = store.swap([change("list", None, record(1)), change("good", None, record(1))])
        assert (bad.won, good) == (False, WON)
        assert "WRONGTYPE" in str(bad.error)


# -- on the way


def test_connections_that_the_server_closed_while_they_were_idle(shared):
    """Are replaced, and nobody hears of it."""
    with store_on(shared.url) as store, shared.client() as client:
        assert store.swap([change("a", None, record(1))]) == [WON]
        assert client.client_kill_filter(_type="normal", skipme=True) >= 1
        assert store.swap([change("b", None, record(1))]) == [WON]


def test_connections_that_something_between_cut(proxy):
    """A load balancer or a NAT may cut idle connections."""
    with through(proxy) as store:
        assert store.swap([change("a", None, record(1))]) == [WON]
        assert proxy.cut() == 1
        assert store.swap([change("b", None, record(1))]) == [WON]
    assert proxy.connections == 2


def test_a_lost_answer(proxy):
    """The result is unknown; sent again, a change that was made has won. Only the engine retries."""
    changes = [change("a", None, record(1)), change("b", None, record(1))]
    with through(proxy) as store:
        store.swap([change("first", None, record(1))])
        proxy.go(Mode.DROP_ANSWER, times=1)
        assert errors(store.swap(changes)) == ["ConnectionError"] * 2
        assert (proxy.faults, store.swap(changes)) == (1, [WON, WON])
        (lost,) = store.swap([change("a", None, record(2, owner="another"))])
        assert lost.record == record(1)


@pytest.mark.parametrize("mode", [Mode.REFUSE, Mode.STALL])
def test_a_server_that_cannot_be_reached(proxy, mode):
    """Is not known within the time-out, and works again afterwards."""
    with through(proxy) as store:
        proxy.go(mode)
        kinds = errors(store.swap([change("a", None, record(1))]))
        assert kinds == ["ConnectionError" if mode is Mode.REFUSE else "TimeoutError"]
        assert proxy.requests <= 1, "a request is not made twice"
        proxy.go(Mode.PASS)
        assert store.swap([change("a", None, record(2))]) == [WON]


def test_a_port_that_nobody_listens_at():
    """And a name that nobody has."""
    with store_on(f"redis://127.0.0.1:{servers.free_port()}") as store:
        assert errors(store.swap([change("a", None, record(1))])) == ["ConnectionError"]
    with store_on("redis://nobody.invalid") as store:
        (unknown,) = store.swap([change("a", None, record(1))])
        assert "nobody.invalid" in str(unknown.error)


# -- in the server


def test_a_server_without_room(server):
    """Each change stands alone: what takes no room is made, the others are not."""
    with store_on(server.url) as store, server.client() as client:
        store.swap([change(key, None, record(1)) for key in ("same", "removed", "other")])
        client.config_set("maxmemory-policy", "noeviction")
        client.config_set("maxmemory", 1)
        answers = store.swap(
            [
                change("new", None, record(1)),
                change("same", None, record(1)),
                change("removed", 1, None),
                change("other", None, record(2)),
            ]
        )
        assert errors(answers) == ["OutOfMemoryError", "", "", ""]
        assert [answer.won for answer in answers] == [False, True, True, False]
        assert answers[3].record == record(1)
        client.config_set("maxmemory", 0)
        assert store.swap([change("new", None, record(1))]) == [WON]


def test_a_server_that_only_reads(server, program):
    """A replica refuses each write, as the old master does after a failover, and still says what is there."""
    replica = Server(program, "--appendonly", "no", "--replicaof", f"127.0.0.1 {server.port}")
    try:
        with store_on(server.url) as store, server.client() as client:
            store.swap([change("k", None, record(1))])
            client.set("and", "a write of the client that waits")
            assert client.wait(1, 10_000) == 1
        with store_on(replica.url) as store:
            answers = store.swap([change("new", None, record(1)), change("k", 1, record(2)), change("k2", 7, None)])
            assert errors(answers) == ["ReadOnlyError", "ReadOnlyError", ""]
            (lost,) = store.swap([change("k", None, record(3))])
            assert lost.record == record(1)
    finally:
        replica.close()


@pytest.mark.parametrize("kept", [True, False])
def test_a_server_that_is_killed_and_started_again(program, kept):
    """With `appendonly yes` and `appendfsync always` it knows every record; without, it has forgotten them all."""
    options = ("--appendonly", "yes", "--appendfsync", "always") if kept else ("--appendonly", "no")
    server = Server(program, *options)
    try:
        with store_on(server.url) as store:
            assert store.swap([change("k", None, record(1))]) == [WON]
            server.stop()
            assert errors(store.swap([change("k", 1, record(2))])) == ["ConnectionError"]
            server.start()
            (again,) = store.swap([change("k", None, record(3))])
            assert again.record == (record(1) if kept else None)
            assert again.won is not kept
    finally:
        server.close()


def test_a_server_that_still_reads_its_files(program):
    """Is not known, and soon is."""
    server = Server(program, "--key-load-delay", "2000", "--loading-process-events-interval-bytes", "1024")
    try:
        with store_on(server.url + BRIEFLY) as store, server.client() as client:
            store.swap([change(f"k-{n}", None, record(1)) for n in range(300)])
            client.save()
            server.stop()
            server.spawn()
            while (kind := errors(store.swap([change("k-1", None, record(2))]))[0]) == "ConnectionError":
                pass  # it does not listen yet
            assert kind == "BusyLoadingError"
            server.start()
            assert store.swap([change("k-1", None, record(2))])[0].record == record(1)
    finally:
        server.close()


def test_a_server_that_has_forgotten_the_script(shared):
    """Is given it again, within the call."""
    with store_on(shared.url) as store, shared.client() as client:
        store.swap([change("a", None, record(1))])
        client.script_flush()
        assert store.swap([change("b", None, record(1)), change("c", None, record(1))]) == [WON, WON]
        assert client.script_exists(BY_HASH[1]) == [True]


def test_a_server_that_is_busy(server):
    """With somebody's endless script: each change says so."""
    with store_on(server.url + "?socket_timeout=5") as store, server.client() as client:
        client.config_set("busy-reply-threshold", 1)
        endless = threading.Thread(target=run_for_ever, args=(server,))
        endless.start()
        while (answer := store.swap([change("k", None, record(1))])[0]).won or not answer.error:
            pass  # it has not begun yet
        assert "BUSY" in str(answer.error)
        client.script_kill()
        endless.join(20)


def run_for_ever(server: Server) -> None:
    import redis

    with server.client() as client, pytest.raises(redis.ResponseError, match="killed"):
        client.eval("while true do end", 0)


def test_a_password(server):
    """In the address, with its special characters as %XX; without it each change is refused."""
    with server.client() as client:
        needed = ["+evalsha", "+eval", "+get", "+set", "+del", "+pexpireat"]
        client.acl_setuser("peeklock", enabled=True, passwords=["+p@ss/w:rd"], keys=["peeklock:*"], commands=needed)
        client.config_set("requirepass", "secret")
    host = server.url.removeprefix("redis://")
    for user in ("peeklock:p%40ss%2Fw%3Ard@", ":secret@"):
        with store_on(f"redis://{user}{host}") as store:
            for old, new in ((None, record(1)), (1, record(2)), (2, None)):
                assert store.swap([change(user, old, new)]) == [WON]
    for user in ("peeklock:wrong@", ""):
        with store_on(f"redis://{user}{host}") as store:
            (refused,) = store.swap([change("k", None, record(1))])
            assert type(refused.error.__cause__).__name__ == "AuthenticationError"
            assert "wrong" not in str(refused.error).lower().replace("wrongpass", "")


def test_databases(shared):
    """Each number has its own records."""
    with store_on(shared.url + "/1") as first, store_on(shared.url + "/2") as two:
        assert first.swap([change("k", None, record(1))]) == [WON]
        assert two.swap([change("k", None, record(2))]) == [WON]


FORKING = """
import os, sys
sys.path.insert(0, sys.argv[2])
from tests.stores.test_redis import WON, change, from_url, record
store = from_url(sys.argv[1])
store.swap([change("k", None, record(1))])
child = os.fork()
mine = "parent" if child else "child"
right = True
for n in range(200):
    (lost,) = store.swap([change(f"{mine}-{n}", 5, record(n + 1))])
    right &= not lost.won and lost.record is None
    right &= store.swap([change(f"{mine}-{n}", None, record(n + 1, owner=mine))]) == [WON]
if not child:
    os._exit(not right)
print(right, os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system")
def test_a_fork(shared):
    """Parent and child have connections of their own: neither reads the other's answers."""
    command = [sys.executable, "-c", FORKING, shared.url, str(ROOT)]
    run = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    assert run.stdout == "True 0\n"
    with shared.client() as client:
        assert client.dbsize() == 401


# -- through the engine


def test_down_at_the_claim(proxy):
    """The handler does not run, and the delivery is not an attempt."""
    handler, seen = recording()
    with through(proxy) as store:
        proxy.go(Mode.REFUSE)
        down = deliver(handler, {"a": 1}, store=store, attempt=3)
        proxy.go(Mode.PASS)
        up = deliver(handler, {"a": 1}, store=store, attempt=3)
    assert (down.reason, down.finished, down.attempt) == (Reason.UNAVAILABLE, False, 3)
    assert (up.reason, up.attempt, len(seen)) == (Reason.DONE, 3, 1)


def test_down_for_a_moment(proxy):
    """Only the engine retries."""
    handler, seen = recording()
    with through(proxy) as store:
        proxy.go(Mode.REFUSE, times=2)
        assert deliver(handler, {"a": 1}, store=store).reason is Reason.DONE
    assert (proxy.faults, len(seen)) == (2, 1)


@pytest.mark.parametrize("mode", [Mode.DROP_ANSWER, Mode.STALL])
def test_the_claim_s_answer_is_lost(proxy, mode):
    """Asked again the claim has won, and the handler runs once."""
    handler, seen = recording()
    with through(proxy) as store:
        store.swap([change("first", None, record(1))])
        proxy.go(mode, times=1)
        assert deliver(handler, {"a": 1}, store=store).reason is Reason.DONE
        assert deliver(handler, {"a": 1}, store=store).reason is Reason.DUPLICATE
    assert (proxy.faults, len(seen)) == (1, 1)


def test_down_at_the_record(proxy, caplog):
    """The effect has happened: complete, and say so. A second delivery finds a lease and is held back, not run."""
    ran = []

    @consumer(QUEUE)
    def handler(payload: dict) -> None:  # type: ignore[type-arg] # as in a user's code
        ran.append(payload)
        proxy.go(Mode.REFUSE)

    with through(proxy) as store:
        first = deliver(handler, {"a": 1}, store=store)
        proxy.go(Mode.PASS)
        second = deliver(handler, {"a": 1}, store=store)
    assert (first.reason, first.finished) == (Reason.DONE, True)
    assert "peeklock.unrecorded" in caplog.text
    assert (second.reason, second.finished, len(ran)) == (Reason.BUSY, False, 1)


def test_the_record_s_answer_is_lost(proxy, caplog):
    """Asked again it has won: done, recorded once."""

    @consumer(QUEUE)
    def handler(payload: dict) -> None:  # type: ignore[type-arg] # as above
        proxy.go(Mode.DROP_ANSWER, times=1)

    with through(proxy) as store:
        assert deliver(handler, {"a": 1}, store=store).reason is Reason.DONE
        assert deliver(handler, {"a": 1}, store=store).reason is Reason.DUPLICATE
    assert proxy.faults == 1
    assert "peeklock.unrecorded" not in caplog.text


# -- an address


@pytest.mark.parametrize(
    ("url", "plain", "cluster"),
    [
        ("redis://h", "redis://h", False),
        ("redis://h:7/2", "redis://h:7/2", False),
        ("rediss://u:p%40@h/0?cluster=true", "rediss://u:p%40@h/0", True),
        ("redis://h?cluster=false&socket_timeout=9", "redis://h?socket_timeout=9", False),
        ("redis://h?client_name=a%20b&max_connections=4", "redis://h?client_name=a+b&max_connections=4", False),
    ],
)
def test_addresses(url, plain, cluster):
    """Parameters that peeklock does not know are passed to redis-py."""
    store: Any = open_store(url)
    assert (store.url, store.cluster) == (plain, cluster)


@pytest.mark.parametrize(
    ("url", "fix"),
    [
        ("redis://", r"must be redis://\[user:password@\]host"),
        ("redis:///2", "must be redis://"),
        ("redis://u:se/cret@h", "as %XX"),
        ("redis://[h", "must be"),
        ("redis://h/orders", "a database is a number, as in /2"),
        ("redis://h/2?cluster=true", "a cluster has only /0"),
        ("redis://h?cluster=yes", "cluster= is neither true nor false"),
        ("redis://h?retries=3", "the store on h: retries is no parameter"),
        ("redis://h?socket_timeout=soon", "the store on h: .*socket_timeout"),
        ("redis://h?protocol=4", "the store on h: protocol must be either 2 or 3"),
    ],
)
def test_an_address_that_cannot_be(url, fix):
    """Says what would be right, and nothing of a password."""
    with pytest.raises(ConfigError, match=fix) as raised:
        from_url(url)
    assert "cret" not in str(raised.value)


def test_without_the_package(monkeypatch):
    """The error is the command that installs it."""
    monkeypatch.setitem(sys.modules, "redis", None)
    with pytest.raises(ConfigError, match=r"pip install 'peeklock\[redis\]'"):
        from_url("redis://h")


def test_the_module_loads_no_sdk():
    """Until an address is opened."""
    assert not {name.partition(".")[0] for name in loaded_by("peeklock.stores.redis")} & SDKS


@pytest.mark.servers
def test_with_tls(tmp_path):
    """The server's certificate is checked."""
    certificate, key = self_signed(tmp_path)
    port = servers.free_port()
    options = f"--tls-port {port} --tls-cert-file {certificate} --tls-key-file {key} --tls-ca-cert-file {certificate}"
    server = Server("redis-server", *options.split(), "--tls-auth-clients", "no")
    try:
        with store_on(f"rediss://127.0.0.1:{port}?ssl_ca_certs={certificate}") as store:
            assert store.swap([change("k", None, record(1))]) == [WON]
        with store_on(f"rediss://127.0.0.1:{port}") as store:
            (refused,) = store.swap([change("k", None, record(1))])
            assert "certificate" in str(refused.error).lower()
    finally:
        server.close()


def self_signed(folder: Path) -> tuple[Path, Path]:
    """A certificate of 127.0.0.1 and its key."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key, name = ec.generate_private_key(ec.SECP256R1()), x509.Name([])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number(), now, now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(IPv4Address("127.0.0.1"))]), critical=True)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    files = folder / "server.pem", folder / "server.key"
    files[0].write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    pkcs8 = (serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    files[1].write_bytes(key.private_bytes(*pkcs8))
    return files


# -- in a cluster


@pytest.fixture
def cluster():
    servers.cluster().flush()
    return servers.cluster()


def keys_by_node(store: RedisStore, count: int) -> dict[int, list[str]]:
    """So many keys, by the port of their node."""
    client: Any = connect(store.url, cluster=True)
    names: dict[int, list[str]] = {}
    for n in range(count):
        names.setdefault(client.get_node_from_key(f"peeklock:k-{n}").port, []).append(f"k-{n}")
    return names


@pytest.mark.servers
def test_a_slot_that_moves(cluster):
    """While it does, and after it has: asked where it went, within the call."""
    with store_on(cluster.url) as store:
        keys = keys_by_node(store, 30)
        old, new = cluster.nodes[0], cluster.nodes[1]
        key = keys[old.port][0]
        claims = [change(name, None, record(1)) for names in keys.values() for name in names if name != key]
        with old.client() as source, new.client() as target:
            slot = source.execute_command("CLUSTER", "KEYSLOT", f"peeklock:{key}")
            ids = [client.execute_command("CLUSTER", "MYID").decode() for client in (source, target)]
            target.execute_command("CLUSTER", "SETSLOT", slot, "IMPORTING", ids[0])
            source.execute_command("CLUSTER", "SETSLOT", slot, "MIGRATING", ids[1])
            assert store.swap([change(key, None, record(1)), *claims]) == [WON] * 30
            assert target.execute_command("CLUSTER", "COUNTKEYSINSLOT", slot) == 1
            for client in (target, source):
                client.execute_command("CLUSTER", "SETSLOT", slot, "NODE", ids[1])
            assert store.swap([change(key, 1, record(2)), *claims]) == [WON] * 30
            for client in (source, target):  # as it was, for other tests
                client.execute_command("FLUSHALL")
            for client in (source, target):
                client.execute_command("CLUSTER", "SETSLOT", slot, "NODE", ids[0])


@pytest.mark.servers
@pytest.mark.parametrize("signals", [(signal.SIGSTOP, signal.SIGCONT), (signal.SIGKILL, None)])
def test_a_node_that_does_not_answer(cluster, signals):
    """Fails its own changes, all in one time-out; those of the others are made."""
    stop, go_on = signals
    with store_on(cluster.url + "&socket_timeout=0.3&socket_connect_timeout=0.3") as store:
        keys = keys_by_node(store, 60)
        node = cluster.nodes[1]
        try:
            node.process.send_signal(stop)
            begun = time.monotonic()
            answers = store.swap([change(f"k-{n}", None, record(1)) for n in range(60)])
            assert time.monotonic() - begun < 3
            failed = [f"k-{n}" for n, answer in enumerate(answers) if answer.error]
            assert failed == sorted(keys[node.port], key=lambda name: int(name[2:]))
            assert all(answer.won for answer in answers if not answer.error)
        finally:
            if go_on is None:
                node.stop()
                node.start()
            else:
                node.process.send_signal(go_on)
            cluster.wait()
        end = time.monotonic() + 20  # a node that comes back finds out first whether it still belongs to the cluster
        while store.swap([change(f"k-{n}", None, record(1)) for n in range(60)]) != [WON] * 60:
            assert time.monotonic() < end


@pytest.mark.servers
def test_a_cluster_with_a_gap(cluster):
    """Each change says so, also in a process that has seen it in no other state."""
    holder = cluster.nodes[2]
    slot = 16383
    try:
        with holder.client() as client, store_on(cluster.url) as store:
            mapped: Any = connect(store.url, cluster=True)
            gap = next(f"k-{n}" for n in range(10**6) if mapped.keyslot(f"peeklock:k-{n}") == slot)
            assert store.swap([change(gap, None, record(1))]) == [WON]
            client.execute_command("CLUSTER", "DELSLOTS", slot)
            while client.execute_command("CLUSTER INFO")["cluster_state"] == "ok":
                pass
            assert errors(store.swap([change(gap, None, record(1))])) == ["ClusterDownError"]
        with store_on(holder.url + "?cluster=true") as store:
            mine = keys_by_node(store, 30)[holder.port][0]
            answers = store.swap([change(gap, None, record(1)), change(mine, None, record(1))])
            assert errors(answers) == ["SlotNotCoveredError", "ClusterDownError"]
    finally:
        with holder.client() as client:
            client.execute_command("CLUSTER", "ADDSLOTS", slot)
        cluster.wait()


def test_a_cluster_that_nobody_is_in():
    """Nothing is known of any change."""
    store = from_url(f"redis://127.0.0.1:{servers.free_port()}?cluster=true")
    with pytest.raises(StoreError, match=r"RedisClusterException: .* cannot be connected"):
        store.swap([change("k", None, record(1))])
