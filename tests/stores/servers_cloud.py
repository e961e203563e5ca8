"""Azurite's tables and Google's Firestore emulator for tests: one process of each a test process, started when first
asked for. Each test has a table or a collection of its own."""

from __future__ import annotations

import atexit
import functools
import os
import shutil
import socket
import subprocess
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from peeklock.idempotency.store import Store
from peeklock.stores import firestore, tables, tables_client
from peeklock.stores.etag_store import ETagStore
from tests.stores.rows import MemoryRows
from tests.support import ROOT, environment

READY_SECONDS = 40.0
PROJECT = "peeklock-test"
ACCOUNT = "devstoreaccount1"
KEY = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="
# The account that every Azurite has: https://learn.microsoft.com/azure/storage/common/storage-use-azurite

AZURITE = ROOT / "build" / "js" / "node_modules" / ".bin" / "azurite-table"
EMULATOR = Path("platform", "cloud-firestore-emulator", "cloud-firestore-emulator.jar")
MAIN = "com.google.cloud.datastore.emulator.firestore.CloudFirestore"
_LEASH = ["setpriv", "--pdeathsig", "KILL"] if shutil.which("setpriv") else []
"""Linux ends a server with its test process, also where that is killed."""


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port: int = probe.getsockname()[1]
    return port


def start(name: str, *command: str) -> int:
    """Start a server, `PORT` in its command being a free one, and wait until it takes connections. Its port."""
    log = ROOT / "build" / f"{name}-{os.getpid()}.log"
    log.parent.mkdir(exist_ok=True)
    end = time.monotonic() + READY_SECONDS
    while True:
        port = free_port()
        filled = [part.replace("PORT", str(port)) for part in command]
        with log.open("ab") as out:
            process = subprocess.Popen([*_LEASH, *filled], stdout=out, stderr=out)
        if _is_up(process, port, end):
            atexit.register(stop, process, log)
            return port
        stop(process)
        assert time.monotonic() < end, f"{name} does not start: {log.read_text()[-2000:]}"


def _is_up(process: subprocess.Popen[bytes], port: int, end: float) -> bool:
    """Return whether the server listens; it may have ended instead, when another process took its port."""
    while process.poll() is None and time.monotonic() < end:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            time.sleep(0.05)
        else:
            return True
    return False


def stop(process: subprocess.Popen[bytes], log: Path | None = None) -> None:
    process.kill()
    process.wait(10)
    if log is not None:
        log.unlink(missing_ok=True)


@functools.cache
def azurite() -> int:
    """The port of Azurite's table service."""
    if not AZURITE.exists():
        pytest.fail("Azurite is not installed: make js (needs node and npm)")
    options = "--inMemoryPersistence --tableHost 127.0.0.1 --skipApiVersionCheck --disableTelemetry --silent"
    return start("azurite", "node", str(AZURITE), *options.split(), "--tablePort", "PORT")


@functools.cache
def emulator() -> int:
    """The port of the Firestore emulator: the one that FIRESTORE_EMULATOR_HOST names, or one of our own."""
    named = os.environ.get(firestore.EMULATOR)
    if named:
        return int(named.rpartition(":")[2])
    jars = [jar for folder in sdk_folders() if (jar := folder / EMULATOR).exists()]
    if not jars or not shutil.which("java"):
        pytest.fail(
            "the Firestore emulator is not installed: apt-get install google-cloud-cli-firestore-emulator, or gcloud"
            " components install cloud-firestore-emulator; and java 17; or set FIRESTORE_EMULATOR_HOST=127.0.0.1:PORT"
        )
    listen = ("start", "--host=127.0.0.1", "--port=PORT")
    port = start("firestore", "java", "-Xmx512m", "-cp", str(jars[0]), MAIN, *listen)
    with firestore_at(port, "first") as store:
        _warm(store.database.client())
    return port


def _warm(client: Any) -> None:
    """The first calls load the emulator's classes and take seconds, which the store would not wait."""
    database = f"projects/{PROJECT}/databases/(default)"
    patient: dict[str, Any] = {"retry": None, "timeout": READY_SECONDS, "metadata": firestore.AS_OWNER}
    name = f"{database}/documents/first/none"
    for _ in range(20):
        client.batch_write(request={"database": database, "writes": [{"delete": name}]}, **patient)
        list(client.batch_get_documents(request={"database": database, "documents": [name]}, **patient))


def sdk_folders() -> Iterator[Path]:
    """Where Google's command line is: the folder above its `bin`."""
    if root := os.environ.get("CLOUDSDK_ROOT_DIR"):
        yield Path(root)
    if program := shutil.which("gcloud"):
        yield Path(program).resolve().parent.parent
    yield Path.home() / "google-cloud-sdk"


def connection(port: int) -> str:
    """A connection string for Azurite, or for what stands in front of it."""
    endpoint = f"http://127.0.0.1:{port}/{ACCOUNT}"
    return f"DefaultEndpointsProtocol=http;AccountName={ACCOUNT};AccountKey={KEY};TableEndpoint={endpoint}"


@contextmanager
def table_client(port: int, name: str) -> Iterator[Any]:
    """A client as the product makes it, and none of its connections afterwards."""
    with environment(**{tables_client.CONNECTION: connection(port)}):
        client = tables_client.client(ACCOUNT, name)
        tables_client.client.forget()
    with client:
        yield client


@contextmanager
def new_table() -> Iterator[str]:
    name = f"t{uuid.uuid4().hex}"
    with table_client(azurite(), name) as client:
        client.create_table()
        yield name
        client.delete_table()


@contextmanager
def on_azurite(folder: Path) -> Iterator[Store]:
    with new_table() as name, table_client(azurite(), name) as client:
        yield tables.from_url(f"tables://{ACCOUNT}/{name}", lambda *_: client)


@contextmanager
def firestore_at(port: int, collection: str) -> Iterator[ETagStore]:
    """With a channel of its own, closed afterwards."""
    with environment(**{firestore.EMULATOR: f"127.0.0.1:{port}"}):
        client = firestore.client(f"127.0.0.1:{port}")
        firestore.client.forget()
        yield firestore.from_url(f"firestore://{PROJECT}/{collection}", lambda: client)
        client.transport.close()


@contextmanager
def on_emulator(folder: Path) -> Iterator[Store]:
    with firestore_at(emulator(), f"c{uuid.uuid4().hex}") as store:
        yield store


@contextmanager
def on_rows(folder: Path) -> Iterator[Store]:
    yield ETagStore(MemoryRows())
