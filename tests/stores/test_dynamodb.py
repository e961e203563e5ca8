"""DynamoDB's own: its items and keys, transactions, and whatever can go wrong on the way to it and back."""

from __future__ import annotations

import io
import json
import logging
import os
import socket
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

import pytest
from botocore.awsrequest import AWSResponse
from botocore.exceptions import ClientError, ConnectionClosedError, EndpointConnectionError, ReadTimeoutError

from peeklock import ConfigError, Queue, StoreError, consumer
from peeklock.idempotency.record import State
from peeklock.idempotency.store import WON, Answer, Change, Store
from peeklock.registry import open_store
from peeklock.stores import dynamodb
from peeklock.stores.dynamodb import DynamoStore
from peeklock.stores.dynamodb_client import READ_SECONDS
from peeklock.stores.record_json import load
from peeklock.testing import deliver, deliver_all
from tests.contracts.stores import change, record
from tests.stores.relay_dynamodb import Relay, relay
from tests.stores.servers_dynamodb import HERE, connect, dynalite, make_table, moto, opened, patient
from tests.support import ROOT, environment
from tests.test_architecture import SDKS, loaded_by


class Raw(io.BytesIO):
    """A response's body, as urllib3 gives it."""

    def stream(self, *_: Any, **__: Any) -> Iterator[bytes]:
        yield self.read()


def answer(request: Any, status: int, payload: Any) -> AWSResponse:
    headers = {"content-type": "application/x-amz-json-1.0"}
    return AWSResponse(request.url, status, headers, Raw(json.dumps(payload).encode()))


class Wire:
    """Before a client sends: counts the requests by operation, and answers those for which `reply` has an answer."""

    def __init__(self, client: Any) -> None:
        self.asked: list[str] = []
        self.reply: Callable[[str, Any], AWSResponse | None] = lambda operation, request: None
        client.meta.events.register_first("before-send.dynamodb", self)

    def __call__(self, request: Any, **_: Any) -> AWSResponse | None:
        operation = request.headers["X-Amz-Target"].decode().partition(".")[2]
        self.asked.append(operation)
        return self.reply(operation, request)


@contextmanager
def table(url: str, *, transact: bool = False) -> Iterator[DynamoStore]:
    """A store with a client of its own, which a test may spoil."""
    client = connect(url)
    store = DynamoStore(make_table(moto()), transact=transact, dynamodb=client)
    try:
        yield store
    finally:
        client.close()


@pytest.fixture(params=[False, True], ids=["writes", "transact"])
def store(request):
    with table(moto(), transact=request.param) as opened:
        yield opened


@pytest.fixture
def wire(store):
    return Wire(store.table.client())


@pytest.fixture
def far():
    """A relay before moto."""
    with relay(moto()) as running:
        yield running


@pytest.fixture(params=[False, True], ids=["writes", "transact"])
def distant(request, far):
    """A store that is beyond the relay."""
    with table(far.url, transact=request.param) as opened:
        yield opened


def claims_of(count: int, prefix: str = "k") -> list[Change]:
    return [change(f"{prefix}-{n}", None, record(n + 1)) for n in range(count)]


def items_of(store: DynamoStore) -> list[dict[str, Any]]:
    return list(patient(moto()).scan(TableName=store.table.name, ConsistentRead=True)["Items"])


def won(answers: Any) -> list[bool]:
    return [answer.won for answer in answers]


def test_the_module_loads_no_sdk():
    """Until a store is opened."""
    assert not {name.partition(".")[0] for name in loaded_by("peeklock.stores.dynamodb")} & SDKS


def test_a_url_and_the_environment_are_all_it_needs():
    """Region, endpoint and credentials are those of boto3."""
    name = make_table(moto())
    with environment(AWS_ENDPOINT_URL_DYNAMODB=moto(), **HERE):
        dynamodb.client.forget()
        for query in ("", "?writes=transact"):
            opened = open_store(f"dynamodb://{name}{query}")
            assert isinstance(opened, DynamoStore)
            assert opened.transact == bool(query)
            assert won(opened.swap(claims_of(2, query))) == [True, True]
        dynamodb.client().close()
        dynamodb.client.forget()


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("dynamodb://", "names no DynamoDB table, such as dynamodb://orders-leases"),
        ("dynamodb://a/b", "names no DynamoDB table"),
        ("dynamodb://keys/more", "names no DynamoDB table"),
        ("dynamodb://keys?region=eu-west-1", "region is unknown: known are writes"),
        ("dynamodb://keys?writes=batch", "the only parameter is .writes=transact"),
    ],
)
def test_a_url_that_is_none(url, says):
    """The error names what is known."""
    with pytest.raises(ConfigError, match=says):
        open_store(url)


def test_no_region(tmp_path):
    """Is found when the store is opened, not with each message."""
    without = dict.fromkeys((*HERE, "AWS_REGION", "AWS_PROFILE"))
    with environment(**without, AWS_CONFIG_FILE=str(tmp_path / "none")):
        dynamodb.client.forget()
        with pytest.raises(ConfigError, match="set AWS_DEFAULT_REGION"):
            open_store("dynamodb://keys-of-nowhere")
    dynamodb.client.forget()


def run_program(text: str, *arguments: str, **variables: str | None) -> str:
    with environment(**HERE, **variables):
        command = [sys.executable, "-c", text, *arguments]
        return subprocess.run(command, capture_output=True, text=True, timeout=60, check=True, cwd=ROOT).stdout


WITHOUT_BOTO3 = """
import sys
sys.modules["boto3"] = None
from peeklock import ConfigError
from peeklock.registry import open_store
try:
    open_store("dynamodb://orders-leases")
except ConfigError as exc:
    print(exc)
"""


def test_no_boto3():
    """Is told with what installs it."""
    assert run_program(WITHOUT_BOTO3) == "boto3 is not installed: pip install 'peeklock[dynamodb]'\n"


FORKING = """
import os, sys
from peeklock.registry import open_store
from tests.contracts.stores import change, record
store = open_store(f"dynamodb://{sys.argv[1]}")
store.swap([change("before", None, record(1))])
child = os.fork()
name = "parent" if child else "child"
won = [store.swap([change(f"{name}-{n}", None, record(n + 1, owner=name))])[0].won for n in range(60)]
told = [store.swap([change(f"{name}-{n}", None, record(99))])[0].record for n in range(60)]
right = all(won) and told == [record(n + 1, owner=name) for n in range(60)]
if not child:
    os._exit(0 if right else 1)
print(right, os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system")
def test_a_fork_has_its_own_connections(far):
    """On a shared one, each would get the other's answers."""
    name = make_table(moto())
    assert run_program(FORKING, name, AWS_ENDPOINT_URL_DYNAMODB=far.url) == "True 0\n"
    assert far.opened == 2


def test_an_item(store):
    """Is its key, its version, its record, and a day more than its record's time."""
    store.swap([change("orders/7", None, record(5, expires_at=datetime(2030, 1, 1, tzinfo=UTC))), *claims_of(1)])
    (item,) = [row for row in items_of(store) if row["key"] == {"S": "orders/7"}]
    assert set(item) == {"key", "v", "r", "ttl"}
    assert item["v"] == {"N": "5"}
    assert item["ttl"] == {"N": str(int(datetime(2030, 1, 2, tzinfo=UTC).timestamp()))}


@pytest.mark.parametrize("key", ["k" * 2048, "é" * 1024, "orders/7", "\U0001f600" * 512])
def test_a_key_that_fits(store, key):
    """Is the item's."""
    assert won(store.swap([change(key, None, record(1)), *claims_of(1)])) == [True, True]
    assert {"S": key} in [item["key"] for item in items_of(store)]


@pytest.mark.parametrize("key", ["k" * 2049, "é" * 1025, "orders/\ud800", "k" * 2047 + "é", "k" * 500_000])
def test_a_key_that_does_not_fit(store, key):
    """Has a name of its own, with its beginning, and keeps the others of its call out of it."""
    changes = [change(key, None, record(1)), change(f"{key}+", None, record(2)), *claims_of(2)]
    assert won(store.swap(changes)) == [True] * 4
    names = {item["key"]["S"] for item in items_of(store)} - {"k-0", "k-1"}
    assert len(names) == 2
    assert all(len(name.encode()) <= 2048 and name.startswith(key[:6]) for name in names)
    assert store.swap([change(key, None, record(3))])[0].record == record(1)


@pytest.mark.parametrize("store", [True], indirect=True)
def test_a_transaction_of_a_hundred(store, wire):
    """250 changes are three requests; one by itself is a plain write, at half the price."""
    wire.reply = lambda operation, request: answer(request, 200, {})  # moto takes seconds for so many
    assert won(store.swap(claims_of(250))) == [True] * 250
    wire.reply = lambda operation, request: None
    assert wire.asked == ["TransactWriteItems"] * 3
    assert won(store.swap(claims_of(1, "one"))) == [True]
    assert wire.asked[3:] == ["PutItem"]
    assert won(store.swap([change("one-0", 1, None)])) == [True]
    assert wire.asked[4:] == ["DeleteItem"]


@pytest.mark.parametrize("store", [True], indirect=True)
def test_ten_thousand_keys(store, wire):
    """A hundred requests, with as many changes each, and no key in two of them."""
    keys: Counter[str] = Counter()

    def reply(operation: str, request: Any) -> AWSResponse:
        keys.update(part.partition(b'"')[0].decode() for part in request.body.split(b'"key": {"S": "')[1:])
        return answer(request, 200, {})

    wire.reply = reply
    assert all(won(store.swap(claims_of(10_000))))
    assert wire.asked == ["TransactWriteItems"] * 100
    assert set(keys) == {f"k-{n}" for n in range(10_000)}
    assert set(keys.values()) == {1}


@pytest.mark.parametrize("store", [True], indirect=True)
def test_a_transaction_stays_below_four_megabytes(store, wire):
    """However long its records are."""
    sizes: list[int] = []

    def reply(operation: str, request: Any) -> AWSResponse:
        items = [action["Put"]["Item"] for action in json.loads(request.body)["TransactItems"]]
        sizes.append(sum(len(name) + len(*value.values()) for item in items for name, value in item.items()))
        return answer(request, 200, {})

    wire.reply = reply
    changes = [change(f"k-{n}", None, record(1, detail="\U0001f600" * 10_000)) for n in range(100)]
    assert all(won(store.swap(changes)))
    assert len(sizes) == 4
    assert max(sizes) < 4_000_000
    assert sum(sizes) > 12_000_000


@pytest.mark.parametrize("store", [True], indirect=True)
def test_the_lost_of_a_transaction(store, wire):
    """Are told from the others in two trips."""
    store.swap(claims_of(30))
    del wire.asked[:]
    answers = store.swap([change(f"k-{n}", None, record(n + 1000)) for n in range(100)])
    assert won(answers) == [False] * 30 + [True] * 70
    assert [answer.record for answer in answers[:30]] == [record(n + 1) for n in range(30)]
    assert wire.asked == ["TransactWriteItems"] * 2
    del wire.asked[:]
    answers = store.swap([change(f"k-{n}", None, record(n + 2000)) for n in range(100)])
    assert not any(won(answers))
    assert wire.asked == ["TransactWriteItems"], "where all have lost, that is known at once"


@pytest.mark.parametrize("store", [True], indirect=True)
def test_the_last_one_of_a_transaction_is_written_by_itself(store, wire):
    """At half the price."""
    store.swap(claims_of(9))
    del wire.asked[:]
    assert won(store.swap([change(f"k-{n}", None, record(99)) for n in range(10)])) == [False] * 9 + [True]
    assert wire.asked == ["TransactWriteItems", "PutItem"]


def test_removals_and_writes_in_a_call(store):
    """A removal of what is not there has won; of what another wrote, lost."""
    store.swap(claims_of(4))
    changes = [
        change("k-0", 1, None),
        change("k-1", 1, None),
        change("k-2", 3, record(30)),
        change("gone", 7, None),
        change("new", None, None),
        change("lost", 8, record(9)),
    ]
    answers = store.swap(changes)
    assert won(answers) == [True, False, True, True, True, False]
    assert [answers[1].record, answers[5].record] == [record(2), None]
    assert sorted(item["key"]["S"] for item in items_of(store)) == ["k-1", "k-2", "k-3"]


def test_eight_processes_that_want_the_same_keys(store):
    """Each key has one winner, and each loser is told of it."""
    start, wins, records = threading.Barrier(8), Counter[str](), []

    def run(n: int) -> None:
        start.wait(20)
        changes = [change(f"k-{m}", None, record(100 + n, owner=str(n))) for m in range(6)]
        for claim, got in zip(changes, asked_again(store, changes), strict=True):
            wins[claim.key] += got.won
            records.append(got.record)

    threads = [threading.Thread(target=run, args=(n,)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert wins == {f"k-{m}": 1 for m in range(6)}
    assert sum(claim is not None for claim in records) == 7 * 6


def asked_again(store: Store, changes: list[Change]) -> list[Answer]:
    """Send the changes with an unknown result once more, as the engine does."""
    answers = dict(zip((claim.key for claim in changes), store.swap(changes), strict=True))
    unknown = [claim for claim in changes if answers[claim.key].error is not None]
    if unknown:
        answers.update(zip((claim.key for claim in unknown), asked_again(store, unknown), strict=True))
    return [answers[claim.key] for claim in changes]


def reasons(request: Any, codes: list[str]) -> AWSResponse:
    reasons = [{"Code": code} if code == "None" else {"Code": code, "Message": "busy"} for code in codes]
    return answer(request, 400, {"__type": "x#TransactionCanceledException", "CancellationReasons": reasons})


@pytest.mark.parametrize(
    "code", ["TransactionConflict", "ProvisionedThroughputExceeded", "ThrottlingError", "ValidationError"]
)
@pytest.mark.parametrize("store", [True], indirect=True)
def test_one_that_takes_its_transaction_with_it(store, wire, code):
    """The others are sent again at once; this one is left to the engine, which waits before it retries."""
    answers = iter([lambda request: reasons(request, ["None", code, "None"])])
    wire.reply = lambda operation, request: next(answers, lambda _: None)(request)
    first, second, third = store.swap(claims_of(3))
    assert [first, third] == [WON, WON]
    assert (second.won, second.record) == (False, None)
    assert str(second.error) == f"DynamoDB table {store.table.name!r}: {code}: busy"
    assert wire.asked == ["TransactWriteItems"] * 2
    assert store.swap(claims_of(3)) == [WON] * 3


@pytest.mark.parametrize("store", [True], indirect=True)
def test_others_that_fail_again_and_again(store, wire):
    """After three round trips the engine decides whether there is time for more."""
    codes = ["TransactionConflict", "None", "None", "None", "None"]
    wire.reply = lambda operation, request: reasons(request, codes[: 6 - len(wire.asked)])
    answers = store.swap(claims_of(5))
    assert not any(won(answers))
    assert wire.asked == ["TransactWriteItems"] * 3
    assert ["TransactionConflict" in str(answer.error) for answer in answers] == [True, True, True, False, False]
    assert str(answers[4].error).endswith("other changes of the transaction failed, 3 times")


@pytest.mark.parametrize("code", ["ProvisionedThroughputExceededException", "ThrottlingException"])
@pytest.mark.parametrize("store", [False], indirect=True)
def test_a_throttle_of_one(store, wire, code):
    """Is not known of that one, and of no other."""

    def reply(operation: str, request: Any) -> AWSResponse | None:
        if b'"k-1"' in request.body:
            return answer(request, 400, {"__type": f"x#{code}", "message": "slow down"})
        return None

    wire.reply = reply
    answers = store.swap(claims_of(3))
    assert won(answers) == [True, False, True]
    assert code in str(answers[1].error)
    assert isinstance(answers[1].error.__cause__, ClientError)
    assert len(wire.asked) == 3, "retries are the engine's"


@pytest.mark.parametrize("fault", [(400, "ThrottlingException"), (500, "InternalServerError"), (503, "Unavailable")])
def test_a_refusal_of_the_whole_call(distant, far, fault):
    """Nothing is known of any, and nothing is asked twice; later it works."""
    far.fault = fault
    answers = distant.swap(claims_of(3))
    assert [isinstance(answer.error, StoreError) for answer in answers] == [True] * 3
    assert fault[1] in str(answers[0].error)
    assert len(far.asked) == (1 if distant.transact else 3)
    far.fault = None
    assert distant.swap(claims_of(3)) == [WON] * 3


@pytest.mark.parametrize("count", [1, 3])
def test_an_answer_that_is_lost(distant, far, count):
    """The change was made: asked again, it wins, a removal as well."""
    far.fault = "lose"
    answers = distant.swap(claims_of(count))
    assert [type(answer.error and answer.error.__cause__) for answer in answers] == [ConnectionClosedError] * count
    assert len(items_of(distant)) == count
    far.fault = None
    assert distant.swap(claims_of(count)) == [WON] * count
    removals = [change(f"k-{n}", n + 1, None) for n in range(count)]
    far.fault = "lose"
    assert not any(won(distant.swap(removals)))
    far.fault = None
    assert distant.swap(removals) == [WON] * count
    assert items_of(distant) == []


def test_no_answer_in_time(distant, far):
    """Three seconds, not botocore's minute."""
    far.fault = "hang"
    started = time.monotonic()
    answers = distant.swap(claims_of(2))
    assert READ_SECONDS <= time.monotonic() - started < READ_SECONDS + 5
    assert [type(answer.error and answer.error.__cause__) for answer in answers] == [ReadTimeoutError] * 2


def test_nobody_there(distant, far):
    """Is told with the table's name."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        client = connect(f"http://127.0.0.1:{free.getsockname()[1]}")
    store = DynamoStore("orders-leases", transact=distant.transact, dynamodb=client)
    answers = store.swap(claims_of(2))
    assert [type(answer.error and answer.error.__cause__) for answer in answers] == [EndpointConnectionError] * 2
    assert str(answers[0].error).startswith("DynamoDB table 'orders-leases': EndpointConnectionError: ")
    client.close()


def test_no_such_table(store):
    """Is told as DynamoDB says it."""
    elsewhere = DynamoStore("not-made", transact=store.transact, dynamodb=store.table.client())
    for answer in elsewhere.swap(claims_of(2)):
        assert "'not-made'" in str(answer.error)
        assert "ResourceNotFound" in str(answer.error)


def warmed(store: DynamoStore, far: Relay, count: int) -> None:
    """With that many connections in the client's pool."""
    writes = DynamoStore(store.table.name, dynamodb=store.table.client())
    while len(far.connections) < count:
        writes.swap(claims_of(count, f"warm-{len(far.asked)}"))


def test_connections_that_the_server_closed(distant, far):
    """Are seen to be closed, as after a pause of the function: no request fails."""
    warmed(distant, far, 4)
    far.hang_up()
    assert distant.swap(claims_of(3)) == [WON] * 3


def test_connections_that_died_unseen(far):
    """Cost one try, however many there are."""
    with table(far.url) as distant:
        warmed(distant, far, 8)
        far.forget()
        (first,) = distant.swap(claims_of(1))
        assert isinstance(first.error and first.error.__cause__, ConnectionClosedError)
        assert distant.swap(claims_of(8)) == [WON] * 8


def test_a_refusal_without_its_item(store, wire):
    """Is followed by a read, as servers need it that do not know ALL_OLD; the item may be gone by then."""
    store.swap(claims_of(1))
    refused = {"__type": "x#ConditionalCheckFailedException", "message": "no"}
    wire.reply = lambda operation, request: answer(request, 400, refused) if operation == "PutItem" else None
    assert store.swap([change("k-0", None, record(5))])[0] == Answer(won=False, record=record(1))
    assert store.swap([change("gone", 5, record(6))])[0] == Answer(won=False, record=None)
    assert wire.asked[-2:] == ["PutItem", "GetItem"]


def test_a_record_that_cannot_be_read(store):
    """Fails its own key only."""
    patient(moto()).put_item(TableName=store.table.name, Item={"key": {"S": "k-0"}, "v": {"N": "9"}, "r": {"S": "{"}})
    patient(moto()).put_item(TableName=store.table.name, Item={"key": {"S": "k-1"}, "theirs": {"S": "?"}})
    answers = store.swap(claims_of(4))
    assert won(answers) == [False, False, True, True]
    assert [isinstance(answer.error, StoreError) for answer in answers] == [True, True, False, False]


QUEUE = Queue("orders", max_attempts=3, timeout=5, first_delay=2)


def counted() -> tuple[Any, list[int]]:
    runs: list[int] = []

    @consumer(QUEUE)
    def handler(n: int) -> None:
        runs.append(n)

    return handler, runs


@pytest.mark.parametrize("fault", [(503, "Unavailable"), (500, "InternalServerError"), (400, "ThrottlingException")])
def test_the_store_is_down_when_messages_arrive(distant, far, fault):
    """They come back, unavailable, and no handler ran; later they run once."""
    handler, runs = counted()
    far.fault = fault
    outcomes = deliver_all(handler, [1, 2, 3], store=distant)
    assert [outcome.reason for outcome in outcomes] == ["unavailable"] * 3
    assert [outcome.disposition for outcome in outcomes] == ["abandon"] * 3
    assert runs == []
    assert len(far.asked) == 3 * (1 if distant.transact else 3), "the engine tries three times"
    far.fault = None
    assert [outcome.reason for outcome in deliver_all(handler, [1, 2, 3], store=distant)] == ["done"] * 3
    assert sorted(runs) == [1, 2, 3]


def test_the_store_goes_down_while_handlers_run(distant, far, caplog):
    """They are complete all the same, and what is not recorded is told as an error."""

    @consumer(QUEUE)
    def handler(n: int) -> None:
        far.fault = (500, "InternalServerError")

    outcomes = deliver_all(handler, [1, 2, 3], store=distant)
    assert [outcome.disposition for outcome in outcomes] == ["complete"] * 3
    errors = [log_record for log_record in caplog.records if log_record.msg.startswith("peeklock.unrecorded")]
    assert [log_record.levelno for log_record in errors] == [logging.ERROR] * 3


def test_answers_are_lost_at_every_step(distant, far):
    """The engine retries and finds its own record: the message runs once, and is done."""
    handler, runs = counted()
    wire = Wire(distant.table.client())

    def lose_every_second(operation: str, request: Any) -> None:
        far.fault = "lose" if len(wire.asked) % 2 else None

    wire.reply = lose_every_second
    assert deliver(handler, 1, store=distant).reason == "done"
    assert runs == [1]
    assert wire.asked == ["PutItem"] * 4
    (item,) = items_of(distant)
    assert load(item["r"]["S"]).state is State.DONE
    assert deliver(handler, 1, store=distant).reason == "duplicate"
    assert runs == [1]


@pytest.mark.servers
def test_dynalite_has_no_transactions():
    """Which is why they are tried on moto only."""
    with opened(dynalite(), transact=True) as store:
        assert all("UnknownOperationException" in str(answer.error) for answer in store.swap(claims_of(2)))
