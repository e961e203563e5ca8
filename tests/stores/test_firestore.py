"""Firestore's own: addresses, the writes of a call, and what the service answers to each."""

from __future__ import annotations

import re
import subprocess
import sys
import time
from datetime import timedelta

import pytest

from peeklock import ConfigError
from peeklock.idempotency.store import WON
from peeklock.stores import firestore
from peeklock.stores.etag_store import Write
from peeklock.stores.record_json import dump
from tests.contracts.stores import change, record
from tests.stores import servers_cloud as servers
from tests.stores.fronts import Fault, grpc_front
from tests.support import ROOT, environment

on_emulator = pytest.mark.servers

LEASES = "projects/contoso-prod/databases/(default)/documents/leases"


@pytest.fixture
def collection():
    return firestore.Collection(LEASES, lambda: None)


@pytest.mark.parametrize(
    ("url", "path"),
    [
        ("firestore://contoso-prod/leases", LEASES),
        ("firestore://contoso-prod/orders/leases/", LEASES.replace("(default)", "orders")),
        ("firestore://contoso-prod/(default)/leases", LEASES),
    ],
)
def test_an_address(url, path):
    """Names the project, the collection, and a database that is not the default one."""
    database = firestore.from_url(url).database
    assert (database.path, database.database) == (path, path.removesuffix("/documents/leases"))


@pytest.mark.parametrize(
    "url",
    ["firestore://contoso-prod", "firestore:///leases", "firestore://contoso-prod//leases", "firestore://p/d/c/x"],
)
def test_what_is_no_address(url):
    """The error says how one looks."""
    with pytest.raises(ConfigError, match="such as firestore://contoso-prod/leases"):
        firestore.from_url(url)


def test_a_claim(collection):
    """Only where there is no document. The TTL policy's field is a day past the record's end."""
    kept = record(7)
    write = collection.write_of(Write(key="orders/" + "ä" * 2000, record=kept, etag=None))
    assert write["current_document"] == {"exists": False}
    assert re.fullmatch(re.escape(LEASES) + "/[0-9a-f]{64}", write["update"]["name"])
    assert write["update"]["fields"] == {
        "key": {"string_value": ("orders/" + "ä" * 2000)[: firestore.MAX_KEY]},
        "r": {"string_value": dump(kept)},
        "expires_at": {"timestamp_value": kept.expires_at + timedelta(days=1)},
    }


def test_a_record_and_a_removal(collection):
    """Only where the document has not changed."""
    write = collection.write_of(Write(key="k", record=record(7), etag="then"))
    assert write["current_document"] == {"update_time": "then"}
    removal = collection.write_of(Write(key="k", record=None, etag="then"))
    assert removal == {"delete": write["update"]["name"], "current_document": {"update_time": "then"}}


WITHOUT = """
import sys
sys.modules[sys.argv[1]] = None
from peeklock.stores import firestore
firestore.from_url("firestore://contoso-prod/leases").database.client()
"""


@pytest.mark.parametrize("module", ["grpc", "google.cloud.firestore_v1.services.firestore"])
def test_without_the_sdk(module):
    """The error says what to install."""
    command = [sys.executable, "-W", "ignore", "-c", WITHOUT, module]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert f"{module} is not installed: pip install 'peeklock[firestore]'" in done.stderr


def test_the_service_itself():
    """Without an emulator the channel is Google's, with the credentials of the environment."""
    from google.auth.exceptions import DefaultCredentialsError

    absent = {"GOOGLE_APPLICATION_CREDENTIALS": "/nowhere/key.json"}
    with environment(**absent), pytest.raises(DefaultCredentialsError):
        firestore.client(None)


class TestOnTheEmulator:
    pytestmark = on_emulator

    def test_one_trip_for_a_call(self):
        """Also for its lost changes together; a larger one is several."""
        with grpc_front(servers.emulator()) as front, servers.firestore_at(front.port, "trips") as store:
            asked = [change(f"k{n}", None, record(n + 1)) for n in range(firestore.KEYS_PER_CALL)]
            assert set(map(id, store.swap(asked))) == {id(WON)}
            assert front.requests == ["write"]
            store.swap([change(f"k{n}", None, record(n + 1000)) for n in range(firestore.KEYS_PER_CALL)])
            assert front.requests == ["write", "write", "read"]
            store.swap([change(f"j{n}", None, record(n + 1)) for n in range(firestore.KEYS_PER_CALL + 1)])
            assert front.requests == ["write", "write", "read", "write", "write"]

    def test_a_status_of_each(self):
        """One write of a call is throttled: its change is not known, and the error says why."""
        with grpc_front(servers.emulator()) as front, servers.firestore_at(front.port, "statuses") as store:
            front.faults.append(Fault.PART)
            answers = store.swap([change(key, None, record(1)) for key in "ab"])
            assert str(answers[0].error) == "Firestore: Too many writes (status 8)"
            assert answers[1] == WON

    def test_what_is_held(self):
        """Google's high-level client finds the document under its key's hash."""
        from google.cloud.firestore import Client

        with servers.on_emulator(ROOT) as store:
            store.swap([change("orders/o-1", None, record(1))])
            people = Client(project=servers.PROJECT)
            (document,) = people.collection(store.database.path.rpartition("/")[2]).stream()
            assert document.reference.path.endswith(store.database.name("orders/o-1").rpartition("/")[2])
            assert document.to_dict()["key"] == "orders/o-1"
            assert document.to_dict()["r"] == dump(record(1))
            assert document.to_dict()["expires_at"] == record(1).expires_at + firestore.GARBAGE
            people.close()

    def test_back_again(self):
        """A service that was away is found by the same client, soon."""
        port, asked = servers.free_port(), [change("k", None, record(1))]
        with servers.firestore_at(port, f"again{time.time_ns()}") as store:
            assert "ServiceUnavailable" in str(store.swap(asked)[0].error)
            with grpc_front(servers.emulator(), port):
                end = time.monotonic() + 10
                while store.swap(asked) != [WON]:
                    assert time.monotonic() < end
                    time.sleep(0.1)

    def test_a_fork(self):
        """A child has a channel of its own."""
        collection = "fork"
        with environment(FIRESTORE_EMULATOR_HOST=f"127.0.0.1:{servers.emulator()}"):
            command = [sys.executable, "-W", "ignore", "-c", FORKING, str(ROOT), collection]
            run = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
        assert run.stdout == "0\n"


FORKING = """
import os, sys, uuid
sys.path.insert(0, sys.argv[1])
from tests.contracts.stores import change, record
from peeklock.registry import open_store
store = open_store(f"firestore://peeklock-test/{sys.argv[2]}{uuid.uuid4().hex}")
def work(who):
    return all(a.won for n in range(20) for a in store.swap([change(f"{who}-{n}", None, record(n + 1))]))
assert store.swap([change("first", None, record(1))])[0].won
child = os.fork()
if child == 0:
    os._exit(0 if work("child") else 1)
assert work("parent")
print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""
