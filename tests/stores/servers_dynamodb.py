"""DynamoDB on this machine, twice: moto in this process and dynalite in node, each started once, when first asked for."""

from __future__ import annotations

import atexit
import contextlib
import functools
import logging
import secrets
import subprocess
import threading
from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

from cloudqueues.sqs_server import SerializedApplication
from peeklock.idempotency.store import Store
from peeklock.stores import dynamodb
from peeklock.stores.dynamodb import DynamoStore
from peeklock.stores.parallel import CONNECTIONS
from tests.support import ROOT, environment

HERE = {
    "AWS_DEFAULT_REGION": "eu-west-1",
    "AWS_ACCESS_KEY_ID": "test",
    "AWS_SECRET_ACCESS_KEY": "test",
    "AWS_SESSION_TOKEN": None,
}

PATIENCE = 90
"""Seconds that a table may take, on a machine that is busy with other tests."""

DYNALITE = """
const server = require('dynalite')({createTableMs: 0, deleteTableMs: 0})
server.listen(0, '127.0.0.1', () => console.log(server.address().port))
process.stdin.on('close', () => process.exit(0)).resume()
"""


@functools.cache
def moto() -> str:
    """The URL of moto's DynamoDB. One request at a time: a transaction of moto's copies the whole table, and puts the copy
    back when it is cancelled, with all that others wrote meanwhile undone."""
    from moto.moto_server.werkzeug_app import DomainDispatcherApplication, MotoRequestHandler, create_backend_app
    from werkzeug.serving import make_server

    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    application = SerializedApplication(DomainDispatcherApplication(create_backend_app))
    server = make_server("127.0.0.1", 0, application, threaded=True, request_handler=MotoRequestHandler)
    thread = threading.Thread(target=server.serve_forever, name="moto", daemon=True)
    thread.start()

    def stop() -> None:
        server.shutdown()
        thread.join()
        server.server_close()

    atexit.register(stop)
    return f"http://127.0.0.1:{server.server_port}"


@functools.cache
def dynalite() -> str:
    """The URL of dynalite's. It ends with its input, so also when this process is killed."""
    command = ["node", "-e", DYNALITE]
    running = subprocess.Popen(
        command, cwd=ROOT / "build" / "js", stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert running.stdout is not None
    port = int(running.stdout.readline())
    atexit.register(running.communicate)
    return f"http://127.0.0.1:{port}"


def connect(url: str) -> Any:
    """A client as the product makes it, by nothing but the environment."""
    with environment(AWS_ENDPOINT_URL_DYNAMODB=url, **HERE):
        dynamodb.client.forget()
        client = dynamodb.client()
        dynamodb.client.forget()
    return client


@functools.cache
def patient(url: str) -> Any:
    """One client a server, as the product's but for its patience: for tests that are about what a server answers, and not
    about how long it takes. On a busy machine moto takes longer than the product waits: to load at its first call
    (trials 6), and to copy its table for a transaction. There the search in test_machine.py saw a ReadTimeoutError."""
    import boto3
    from botocore.config import Config

    keys = {"aws_access_key_id": "test", "aws_secret_access_key": "test"}
    config = Config(
        connect_timeout=PATIENCE,
        read_timeout=PATIENCE,
        max_pool_connections=CONNECTIONS,
        parameter_validation=False,
        retries={"mode": "standard", "total_max_attempts": 1},
    )
    client = boto3.client("dynamodb", endpoint_url=url, region_name="eu-west-1", config=config, **keys)
    atexit.register(client.close)
    return client


def make_table(url: str) -> str:
    """A new table, as docs/stores.md says."""
    client = patient(url)
    name = f"keys-{secrets.token_hex(6)}"
    client.create_table(
        TableName=name,
        AttributeDefinitions=[{"AttributeName": "key", "AttributeType": "S"}],
        KeySchema=[{"AttributeName": "key", "KeyType": "HASH"}],
        BillingMode="PAY_PER_REQUEST",
    )
    while client.describe_table(TableName=name)["Table"]["TableStatus"] != "ACTIVE":
        pass
    return name


@contextlib.contextmanager
def opened(url: str, *, transact: bool = False) -> Iterator[DynamoStore]:
    """A store in a table of its own."""
    name = make_table(url)
    try:
        yield DynamoStore(name, transact=transact, dynamodb=patient(url))
    finally:
        patient(url).delete_table(TableName=name)


def on_moto(_: Path) -> AbstractContextManager[Store]:
    return opened(moto())


def on_moto_by_transactions(_: Path) -> AbstractContextManager[Store]:
    return opened(moto(), transact=True)


def on_dynalite(_: Path) -> AbstractContextManager[Store]:
    """Without transactions, which dynalite does not have. Nor does it answer a lost change with the item: the store reads it."""
    return opened(dynalite())
