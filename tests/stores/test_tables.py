"""Azure Tables' own: addresses, the client's settings, rows, and errors that name the fix."""

from __future__ import annotations

import logging
import re
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import pytest

from peeklock import ConfigError
from peeklock.consuming.results import MAX_RESULT
from peeklock.idempotency.record import State
from peeklock.idempotency.store import WON
from peeklock.outgoing import MAX_DETAIL
from peeklock.stores import tables, tables_client
from peeklock.stores.etag_store import Write
from peeklock.stores.parallel import CONNECTIONS
from peeklock.stores.record_json import dump
from tests.contracts.stores import change, record
from tests.stores import servers_cloud as servers
from tests.stores.fronts import Fault, http_front
from tests.support import ROOT, environment

on_azurite = pytest.mark.servers


@pytest.fixture
def table():
    with servers.new_table() as name, servers.table_client(servers.azurite(), name) as client:
        yield client


def store_of(client):
    return tables.from_url("tables://devstoreaccount1/leases", lambda *_: client)


def test_an_address():
    """Names the account and the table; nothing is connected yet."""
    asked = []
    store = tables.from_url("tables://contosoorders/Leases/", lambda *names: asked.append(names))
    assert asked == []
    store.database.client()
    assert asked == [("contosoorders", "Leases")]


@pytest.mark.parametrize(
    "url",
    [
        "tables://contosoorders",
        "tables:///leases",
        "tables://contoso-orders/leases",
        "tables://contosoorders/my-leases",
        "tables://contosoorders/1leases",
        "tables://contosoorders/a/b",
        "tables://ab/leases",
    ],
)
def test_what_is_no_address(url):
    """The error says how one looks."""
    with pytest.raises(ConfigError, match="tables://contosoorders/leases; an account has 3 to 24 lower-case"):
        tables.from_url(url)


def test_a_row():
    """The key is readable, the partition is one that the service allows; the record is the text that all stores hold."""
    kept = record(7, owner="w-1")
    row = tables.entity_of(Write(key="orders/ä\n" + "x" * 2000, record=kept, etag=None))
    assert re.fullmatch("[0-9a-f]{64}", row["PartitionKey"])
    assert (row["RowKey"], row["r"], row["expires"]) == ("record", dump(kept), kept.expires_at)
    assert len(row["key"]) == tables.MAX_KEY
    assert row["key"].startswith("orders/ä\n")


def test_the_largest_record_fits():
    """A property holds 32 Ki characters; the text of a record is ASCII whatever it says."""
    done = record(2**62, state=State.DONE, owner="w" * 64, message="ä" * 512, body="b" * 32, result="x" * MAX_RESULT)
    dead = record(2**62, state=State.DEAD_LETTERING, owner="w" * 64, message="ä" * 512, detail="ä" * MAX_DETAIL)
    assert max(len(dump(done)), len(dump(dead))) < 32 * 1024


def test_the_function_s_identity():
    """Without a connection string, and the one that is named where there are several."""
    with environment(PEEKLOCK_TABLES=None, PEEKLOCK_TABLES__clientId="11111111-2222-3333-4444-555555555555"):
        client = tables_client.client("contosoorders", "leases")
        tables_client.client.forget()
    with client:
        assert client.url == "https://contosoorders.table.core.windows.net"
        assert client.table_name == "leases"
        assert type(client.credential).__name__ == "DefaultAzureCredential"


def test_a_connection_string_goes_first():
    """It goes first, as with PEEKLOCK_SERVICEBUS. An invalid one is an error that names the variable."""
    with servers.table_client(10002, "leases") as client:
        assert client.url == "http://127.0.0.1:10002/devstoreaccount1"
    with environment(PEEKLOCK_TABLES="nonsense"), pytest.raises(ConfigError, match="PEEKLOCK_TABLES is not a conn"):
        tables_client.client("contosoorders", "leases")


def test_the_client_is_patient_for_seconds():
    """And has as many connections as calls go out at once."""
    transport = tables_client.settings()["transport"]
    assert (transport.connection_config.timeout, transport.connection_config.read_timeout) == (2.0, 3.0)
    adapter = transport.session.get_adapter("https://contosoorders.table.core.windows.net")
    assert adapter._pool_maxsize == CONNECTIONS
    transport.close()


WITHOUT = """
import sys
sys.modules["azure.data.tables"] = None
from peeklock.stores import tables, tables_client
tables.from_url("tables://contosoorders/leases").database.client()
"""


def test_without_the_sdk():
    """The error says what to install."""
    done = subprocess.run([sys.executable, "-c", WITHOUT], capture_output=True, text=True, check=False)
    assert "azure.data.tables is not installed: pip install 'peeklock[tables]'" in done.stderr


class TestOnAzurite:
    pytestmark = on_azurite

    def test_a_table_that_is_not_there(self):
        """Is named, with the command that creates it; a duplicate and a record are told as well."""
        with servers.table_client(servers.azurite(), "missing") as client:
            for asked in (change("k", None, record(1)), change("k", 1, record(2))):
                (answer,) = store_of(client).swap([asked])
                fix = "there is no table 'missing': az storage table create --name missing --account-name devstoreaccount1"
                assert str(answer.error) == fix

    def test_a_wrong_key(self, table):
        """Is refused by the service, whose reason is told."""
        wrong = servers.connection(servers.azurite()).replace(servers.KEY, "d3Jvbmc=")
        with environment(PEEKLOCK_TABLES=wrong):
            client = tables_client.client("devstoreaccount1", table.table_name)
            tables_client.client.forget()
        with client:
            (answer,) = store_of(client).swap([change("k", None, record(1))])
        assert "AuthorizationFailure" in str(answer.error)

    def test_a_record_that_is_too_large(self, table):
        """Is its own key's error and nobody else's."""
        huge = record(1, detail="x" * 33_000)
        answers = store_of(table).swap([change("k", None, huge), change("j", None, record(1))])
        assert "PropertyValueTooLarge" in str(answers[0].error)
        assert answers[1] == WON

    def test_nothing_of_a_request_is_logged(self, table, caplog):
        """Neither bodies nor headers, whatever level the function's logs have; nor that all connections are in use."""
        caplog.set_level(logging.INFO)
        store = store_of(table)
        with ThreadPoolExecutor(2 * CONNECTIONS) as consumers:
            claims = [[change(f"k{n}", None, record(1))] for n in range(10 * CONNECTIONS)]
            assert list(consumers.map(store.swap, claims)) == [[WON]] * len(claims)
        assert all(answer.won for answer in store.swap([change(f"j{n}", None, record(1)) for n in range(100)]))
        store.swap([change("k1", None, record(2))])
        assert caplog.records == []

    def test_what_is_read_again(self, table):
        """Other tools find the row under its key's hash."""
        store_of(table).swap([change("orders/o-1", None, record(1))])
        row = table.get_entity(tables.partition_of("orders/o-1"), tables.ROW)
        assert (row["key"], row["r"]) == ("orders/o-1", dump(record(1)))
        assert row["expires"] == record(1).expires_at

    def test_a_fork(self, table):
        """A child has connections of its own, and neither reads the other's answers."""
        command = [sys.executable, "-c", FORKING, str(ROOT), table.table_name]
        with environment(PEEKLOCK_TABLES=servers.connection(servers.azurite())):
            run = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
        assert run.stdout == "0\n"
        keys = {row["key"] for row in table.list_entities()}
        assert keys == {f"{who}-{n}" for who in ("parent", "child") for n in range(20)} | {"first"}

    def test_the_purge_of_the_manual(self, table):
        """Removes what has expired for a day, and nothing else."""
        now = datetime.now(UTC)
        ends = {"live": now + timedelta(days=1), "fresh": now, "old": now - timedelta(days=2)}
        store_of(table).swap([change(key, None, record(1, expires_at=at)) for key, at in ends.items()])
        text = (ROOT / "docs" / "stores-tables.md").read_text()
        (program,) = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
        with environment(PEEKLOCK_TABLES=servers.connection(servers.azurite())):
            exec(program.replace("leases", table.table_name), {})
        assert {row["key"] for row in table.list_entities()} == {"live", "fresh"}

    def test_a_request_is_made_once(self, table):
        """Also where the SDK by itself would ask again, or wait as long as the service says."""
        with (
            http_front(servers.azurite()) as front,
            servers.table_client(front.port, table.table_name) as client,
        ):
            front.always = Fault.BUSY
            (answer,) = store_of(client).swap([change("k", None, record(1))])
            assert "Service Unavailable" in str(answer.error)
            assert front.requests == ["POST"]


FORKING = """
import os, sys
sys.path.insert(0, sys.argv[1])
from tests.contracts.stores import change, record
from peeklock.registry import open_store
store = open_store(f"tables://devstoreaccount1/{sys.argv[2]}")
def work(who):
    return all(a.won for n in range(20) for a in store.swap([change(f"{who}-{n}", None, record(n + 1))]))
store.swap([change("first", None, record(1))])
child = os.fork()
if child == 0:
    os._exit(0 if work("child") else 1)
assert work("parent")
print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""
