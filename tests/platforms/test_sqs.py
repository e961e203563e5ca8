"""SQS on Lambda, with the real SDK against moto: queues, visibility, dead letters."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Iterator, Mapping
from datetime import timedelta
from typing import Any

import boto3
import pytest
from botocore.stub import Stubber
from hypothesis import given, settings
from hypothesis import strategies as st
from moto import mock_aws

from peeklock import ConfigError, EventError, Queue, Retry, consumer, sqs
from peeklock.message import Lineage
from peeklock.outgoing import OutgoingMessage
from peeklock.platforms.sqs.sender import MAX_DELAY_SECONDS, SQSSender, pack
from peeklock.sending.fitting import fit
from peeklock.stores.memory import MemoryStore
from peeklock.testing import FakeClock, Outbox
from tests.support import environment

QUEUE = Queue("orders", max_attempts=3, timeout=30, first_delay=2)


@pytest.fixture
def aws() -> Iterator[Any]:
    """A client of an account in memory."""
    keys = dict.fromkeys(("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"), "testing")
    with environment(AWS_DEFAULT_REGION="eu-west-1", **keys), mock_aws():
        yield boto3.client("sqs")


def make_queue(aws: Any, name: str = "orders") -> str:
    attributes = {"FifoQueue": "true"} if name.endswith(".fifo") else {}
    return str(aws.create_queue(QueueName=name, Attributes=attributes)["QueueUrl"])


def poll(aws: Any, url: str, name: str = "orders") -> dict[str, Any]:
    """Receive as the event source does, and make Lambda's event of it."""
    answer = aws.receive_message(
        QueueUrl=url, MaxNumberOfMessages=10, AttributeNames=["All"], MessageAttributeNames=["All"]
    )
    return {"Records": [to_record(received, name) for received in answer.get("Messages", [])]}


def to_record(received: Mapping[str, Any], name: str) -> dict[str, Any]:
    import base64

    attributes = {
        key: {
            "dataType": value["DataType"],
            **({"stringValue": value["StringValue"]} if "StringValue" in value else {}),
            **({"binaryValue": base64.b64encode(value["BinaryValue"]).decode()} if "BinaryValue" in value else {}),
        }
        for key, value in received.get("MessageAttributes", {}).items()
    }
    return {
        "messageId": received["MessageId"],
        "receiptHandle": received["ReceiptHandle"],
        "body": received["Body"],
        "attributes": received["Attributes"],
        "messageAttributes": attributes,
        "eventSource": "aws:sqs",
        "eventSourceARN": f"arn:aws:sqs:eu-west-1:123456789012:{name}",
    }


@consumer(QUEUE)
def handler(payload: dict) -> None:
    if "after" in payload:
        raise Retry(after=payload["after"])
    if payload.get("fail"):
        raise ValueError


def record(body: Any, **changes: Any) -> dict[str, Any]:
    return {
        "messageId": "m-1",
        "receiptHandle": "r-1",
        "body": body,
        "attributes": {"ApproximateReceiveCount": "1"},
        "messageAttributes": {},
        "eventSource": "aws:sqs",
        "eventSourceARN": "arn:aws:sqs:eu-west-1:123456789012:orders",
        **changes,
    }


def test_a_failure_is_reported_and_delayed(aws):
    """The failed message is listed, and invisible for as long as its delay says."""
    url = make_queue(aws)
    for body in ('{"n":1}', '{"after":100}'):
        aws.send_message(QueueUrl=url, MessageBody=body)
    entry = sqs.bind(handler, store=MemoryStore(), dead_letter=Outbox(), client=aws)
    event = poll(aws, url)
    failed = [record["messageId"] for record in event["Records"] if "after" in record["body"]]
    assert entry(event, None) == {"batchItemFailures": [{"itemIdentifier": failed[0]}]}
    attributes = aws.get_queue_attributes(QueueUrl=url, AttributeNames=["ApproximateNumberOfMessagesNotVisible"])
    assert attributes["Attributes"]["ApproximateNumberOfMessagesNotVisible"] == "2"


def test_a_dead_letter_is_in_its_queue_before_the_message_is_left_out(aws):
    """Sent by the real client, with its reason; when it is redriven it runs again."""
    url, dead_letters = make_queue(aws), make_queue(aws, "orders-letters")
    aws.send_message(QueueUrl=url, MessageBody="{")
    store = MemoryStore()
    entry = sqs.bind(handler, store=store, dead_letter=SQSSender(dead_letters, aws), client=aws)
    assert entry(poll(aws, url), None) == {"batchItemFailures": []}
    event = poll(aws, dead_letters)
    (dead_letter,) = event["Records"]
    assert dead_letter["messageAttributes"]["peeklock-reason"]["stringValue"] == "invalid"
    dead_letter["body"] = '{"n":1}'
    (message,) = sqs.receive(event, "orders")
    assert message.effective_lineage.generation == 1
    assert entry(event, None) == {"batchItemFailures": []}
    assert store.records[f"orders#{message.id}"].state == "done"


def test_a_dead_letter_that_fails_keeps_the_message(aws):
    """The dead-letter queue does not exist: the message is reported, not lost."""
    url = make_queue(aws)
    aws.send_message(QueueUrl=url, MessageBody="{")
    entry = sqs.bind(handler, store=MemoryStore(), dead_letter=SQSSender(f"{url}-missing", aws), client=aws)
    event = poll(aws, url)
    assert entry(event, None) == {"batchItemFailures": [{"itemIdentifier": event["Records"][0]["messageId"]}]}


def test_a_fifo_head_that_fails_holds_its_group(aws):
    """It gets its delay, and its successors are visible again at once, or they would block it."""
    url = make_queue(aws, "orders.fifo")
    for n, body in enumerate(['{"after":60}', '{"n":2}']):
        aws.send_message(QueueUrl=url, MessageBody=body, MessageGroupId="a", MessageDeduplicationId=str(n))
    changes: list[Any] = []
    aws.meta.events.register(
        "provide-client-params.sqs.ChangeMessageVisibilityBatch", lambda params, **_: changes.append(params)
    )
    entry = sqs.bind(handler, store=MemoryStore(), dead_letter=Outbox(), client=aws)
    event = poll(aws, url, "orders.fifo")
    answer = entry(event, None)
    assert answer["batchItemFailures"] == [
        {"itemIdentifier": sqs_record["messageId"]} for sqs_record in event["Records"]
    ]
    assert [entry["VisibilityTimeout"] for entry in changes[0]["Entries"]] == [60, 0]


def test_on_a_standard_queue_a_group_is_not_an_order():
    """The group id means fairness only."""
    records = [
        record('{"fail":1}', attributes={"MessageGroupId": "a"}),
        record('{"n":2}', messageId="m-2", attributes={"MessageGroupId": "a"}),
    ]
    result = sqs.run_sample(handler, {"Records": records}, store=MemoryStore(), dead_letter=Outbox())
    assert isinstance(result, dict)
    assert result["batchItemFailures"] == [{"itemIdentifier": "m-1"}]


def test_a_delay_is_cut_at_twelve_hours():
    """SQS counts from the receipt, so what a function can have held it is kept back."""
    result = sqs.run_sample(
        handler, {"Records": [record('{"after":90000}')]}, store=MemoryStore(), dead_letter=Outbox()
    )
    assert isinstance(result, dict)
    assert result["changeMessageVisibility"] == [{"messageId": "m-1", "visibilityTimeout": 37_500}]


def test_a_refused_delay_changes_nothing_but_the_log(aws, caplog):
    """Neither one entry that fails nor the whole call."""
    event = {"Records": [record('{"after":5}', messageId=f"m-{n}", receiptHandle=f"r-{n}") for n in range(11)]}
    with Stubber(aws) as stub:
        stub.add_response("get_queue_url", {"QueueUrl": "https://sqs.invalid/1/orders"})
        failed = [{"Id": "3", "SenderFault": True, "Code": "ReceiptHandleIsInvalid"}]
        stub.add_response("change_message_visibility_batch", {"Successful": [], "Failed": failed})
        stub.add_client_error("change_message_visibility_batch", "InternalError")
        entry = sqs.bind(handler, store=MemoryStore(), dead_letter=Outbox(), client=aws)
        assert len(entry(event, None)["batchItemFailures"]) == 11
        stub.assert_no_pending_responses()
    warnings = [log_record.message for log_record in caplog.records if "visibility_failed" in log_record.message]
    assert len(warnings) == 2
    assert "message_id=m-3" in warnings[0]


class Context:
    """Lambda's context, with a remaining time."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds

    def get_remaining_time_in_millis(self) -> int:
        return int(self.seconds * 1000)


def test_the_deadline_is_the_contexts():
    """Without time for one more message all go back, to be visible at once."""
    clock = FakeClock()

    @consumer(Queue("orders", timeout=30))
    def slow(_: dict) -> None:
        clock.advance(20)

    entry = sqs.bind(slow, store=MemoryStore(), dead_letter=Outbox(), client=sqs._Recorder(), clock=clock)
    event = {"Records": [record("{}", messageId=f"m-{n}") for n in (1, 2, 3)]}
    assert entry(event, Context(52))["batchItemFailures"] == [{"itemIdentifier": "m-3"}]


def test_a_function_with_no_time_for_one_message_is_refused():
    """The messages would come back without a run for ever; a Lambda's default time-out is 3 s. A timeout that just
    fits is enough, however long it took to get here."""
    entry = sqs.bind(handler, store=MemoryStore(), dead_letter=Outbox(), client=sqs._Recorder())
    event = {"Records": [record("{}")]}
    with pytest.raises(ConfigError, match=r"the function has 3 s left, .* 30 s: set the function's timeout above 31 s"):
        entry(event, Context(3))
    assert entry(event, Context(30.95))["batchItemFailures"] == []


def test_what_a_cold_start_takes_is_no_setting():
    """The messages come back at once, and not after the visibility of a function that failed."""

    class Running(Context):
        def get_remaining_time_in_millis(self) -> int:
            return int((ends - time.monotonic()) * 1000)

    class Late(logging.Handler):
        def emit(self, _: logging.LogRecord) -> None:
            time.sleep(0.3)

    late = Late()
    entry = sqs.bind(handler, dead_letter=Outbox(), client=sqs._Recorder())  # says that there is no store
    logging.getLogger("peeklock").addHandler(late)
    ends = time.monotonic() + 30.95
    try:
        assert entry({"Records": [record("{}")]}, Running(0))["batchItemFailures"] == [{"itemIdentifier": "m-1"}]
    finally:
        logging.getLogger("peeklock").removeHandler(late)


@pytest.mark.parametrize(
    "event",
    [
        None,
        [],
        {},
        {"Records": []},
        {"Records": {}},
        {"Records": [1]},
        {"Records": [{"Sns": {}}]},
        {"Records": [record("{}", eventSource="aws:sns")]},
        {"Records": [record(None)]},
        {"Records": [record("{}", messageId="")]},
        {"Records": [record("{}", messageId="\ud800")]},
    ],
)
def test_what_is_no_sqs_event_is_refused(event):
    """An empty answer would delete whatever it was."""
    entry = sqs.bind(handler, store=MemoryStore(), dead_letter=Outbox())
    with pytest.raises(EventError, match="not an SQS event"):
        entry(event, None)


def test_odd_fields_cost_nothing():
    """A count, an attribute or a time that makes no sense is replaced, and the message handled."""
    odd = record(
        "{}",
        attributes={"ApproximateReceiveCount": "many", "SentTimestamp": "now"},
        messageAttributes={
            "a": 1,
            "b": {"dataType": "Binary", "binaryValue": "%"},
            "c": {"dataType": "String", "stringValue": "x"},
        },
    )
    (message,) = sqs.receive(
        {
            "Records": [
                odd,
            ]
        },
        "orders",
    )
    assert (message.delivery, message.sent_at, dict(message.attributes)) == (1, None, {"c": "x"})
    (bare,) = sqs.receive({"Records": [record("{}", attributes=[], messageAttributes=[])]}, "orders")
    assert bare.delivery == 1


def test_ten_thousand_records():
    """In order, each reported by its own id."""
    records = [record('{"fail":1}' if n % 2 else "{}", messageId=f"m-{n}") for n in range(10_000)]
    logging.getLogger("peeklock").setLevel(logging.CRITICAL)
    try:
        result = sqs.run_sample(handler, {"Records": records}, store=MemoryStore(), dead_letter=Outbox())
    finally:
        logging.getLogger("peeklock").setLevel(logging.NOTSET)
    assert isinstance(result, dict)
    assert [batch_item_failure["itemIdentifier"] for batch_item_failure in result["batchItemFailures"]] == [
        f"m-{n}" for n in range(1, 10_000, 2)
    ]


def test_the_longest_timeout_can_be_bound():
    """Functions on managed instances hold it; another one's context says that it does not, when an event comes."""

    @consumer(Queue("long", timeout=1800))
    def long(payload: dict) -> None:
        raise AssertionError

    assert callable(sqs.bind(long))


# -- sending

bodies = st.binary(max_size=200) | st.text(max_size=100).map(lambda text: text.encode("utf-8", "surrogatepass"))
values = st.text(max_size=30).filter(lambda text: text.isprintable()) | st.binary(max_size=30)
attributes = st.dictionaries(
    st.from_regex(r"[A-Za-z][A-Za-z0-9_.-]{0,20}", fullmatch=True) | st.text(max_size=5), values, max_size=14
)


@settings(max_examples=150, deadline=None)
@given(body=bodies, carried=attributes)
def test_any_body_and_attributes_come_through(body, carried):
    """Bodies and attributes that SQS would refuse are wrapped, and unwrapped by `receive`."""
    carried = {name: value for name, value in carried.items() if not name.startswith("peeklock")}
    outgoing = fit(
        OutgoingMessage(body=body, lineage=Lineage(id="x", copy_number=2), attributes=carried),
        SQSSender("https://sqs/1/q"),
    )
    assert outgoing is not None
    packed, sent = pack(outgoing)
    assert packed
    assert len(sent) <= 10
    (message,) = sqs.receive(
        {
            "Records": [
                to_record(
                    {
                        "MessageId": "m",
                        "ReceiptHandle": "r",
                        "Body": packed,
                        "Attributes": {},
                        "MessageAttributes": sent,
                    },
                    "orders",
                )
            ]
        },
        "orders",
    )
    assert message.body == body
    assert dict(message.attributes) == carried
    assert message.lineage == Lineage(id="x", copy_number=2)


def test_the_real_client_takes_it(aws):
    """Binary, empty and unicode bodies, through moto and back; more than one call's worth."""
    url = make_queue(aws)
    sender = SQSSender(url, aws)
    sent = [bytes([n]) * n for n in range(25)]
    assert (
        sender.send([OutgoingMessage(body=body, lineage=Lineage(id=f"t-{n}")) for n, body in enumerate(sent)])
        == [None] * 25
    )
    got: dict[str, bytes] = {}
    while event := poll(aws, url)["Records"]:
        got |= {message.id: message.body for message in sqs.receive({"Records": event}, "orders")}
    assert got == {f"t-{n}": body for n, body in enumerate(sent)}


def test_fifo_and_delays(aws):
    """A FIFO queue deduplicates by the outgoing message's id and delays nothing; a standard one delays fifteen minutes."""
    fifo = SQSSender(make_queue(aws, "orders.fifo"), aws)
    outgoing = OutgoingMessage(body=b"x", lineage=Lineage(id="a b/\u00e9"), group="g")
    assert fifo.send([outgoing]) == [None]
    assert fifo.send([outgoing]) == [None]
    assert len(poll(aws, fifo.url, "orders.fifo")["Records"]) == 1
    late = OutgoingMessage(body=b"x", lineage=Lineage(id="a"), delay=timedelta(seconds=MAX_DELAY_SECONDS + 1))
    assert "no delay per message" in str(fifo.send([late])[0])
    standard = SQSSender(make_queue(aws), aws)
    soon = OutgoingMessage(body=b"x", lineage=Lineage(id="a"), delay=timedelta(seconds=0.2))
    (refused, taken) = standard.send([late, soon])
    assert "900 s at most" in str(refused)
    assert taken is None
    assert math.ceil(soon.delay.total_seconds()) == 1


def test_each_message_has_its_own_answer(aws):
    """A failed entry, one without an answer, and a call that fails."""
    sender = SQSSender("https://sqs.eu-west-1.amazonaws.com/123456789012/orders", aws)
    outgoing_messages = [OutgoingMessage(body=b"x", lineage=Lineage(id=str(n))) for n in range(3)]
    with Stubber(aws) as stub:
        ok = {"Id": "0", "MessageId": "m", "MD5OfMessageBody": "x"}
        failed = {"Id": "1", "SenderFault": True, "Code": "InvalidMessageContents", "Message": "no"}
        stub.add_response("send_message_batch", {"Successful": [ok], "Failed": [failed]})
        stub.add_client_error("send_message_batch", "AccessDenied")
        first = sender.send(outgoing_messages)
        second = sender.send(outgoing_messages[:1])
    assert first[0] is None
    assert "InvalidMessageContents: no" in str(first[1])
    assert "no answer" in str(first[2])
    assert "AccessDenied" in str(second[0])


def test_large_messages_are_split_over_calls(aws):
    """A call is limited by bytes, not only to ten messages."""
    url = make_queue(aws)
    calls: list[int] = []

    def called(params, **_):
        calls.append(len(params["Entries"]))
        if len(calls) > 2:
            pytest.fail(f"calls of {calls} messages: a call that was too large is repeated")

    aws.meta.events.register("provide-client-params.sqs.SendMessageBatch", called)
    outgoing_messages = [OutgoingMessage(body=b"x" * 200_000, lineage=Lineage(id=str(n))) for n in range(7)]
    assert SQSSender(url, aws).send(outgoing_messages) == [None] * 7
    assert calls == [5, 2]


def test_a_broken_mark_leaves_the_body_alone():
    """A producer that claims a form which its body has not."""
    for form in ("base64", "envelope"):
        (message,) = sqs.receive(
            {
                "Records": [
                    record(
                        "%",
                        messageAttributes={
                            "peeklock": {"dataType": "String", "stringValue": '{"id":"x"}'},
                            "peeklock-form": {"dataType": "String", "stringValue": form},
                        },
                    )
                ]
            },
            "orders",
        )
        assert message.body == b"%"


@pytest.mark.parametrize(
    "url", ["https://sqs.eu-west-1.amazonaws.com/", "https:///a/b", "https://sqs.eu-west-1.amazonaws.com/orders"]
)
def test_an_address_that_is_none(url):
    """Names what one looks like."""
    with pytest.raises(ConfigError, match="no SQS queue URL"):
        sqs.from_url(url)


def test_the_client_is_made_from_the_address(aws):
    """AWS's host names contain the region; another host is an emulator."""
    from peeklock.platforms.sqs.client import client_of

    assert client_of("https://sqs.us-east-2.amazonaws.com/1/q").meta.region_name == "us-east-2"
    assert client_of("http://127.0.0.1:9/1/q").meta.endpoint_url == "http://127.0.0.1:9"


def test_a_client_gives_up_soon():
    """After two attempts of a few seconds: boto3 would wait for longer than many events last."""
    from peeklock.platforms.sqs.client import client_of

    config = client_of("https://sqs.us-east-2.amazonaws.com/1/q").meta.config
    assert config.retries == {"mode": "standard", "total_max_attempts": 2}
    assert (config.connect_timeout, config.read_timeout) == (2, 5)


def test_an_address_without_a_region(monkeypatch):
    """An emulator's URL has none, and the environment names none either."""
    from peeklock.platforms.sqs.client import client, client_of

    for name in ("AWS_REGION", "AWS_DEFAULT_REGION", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_CONFIG_FILE", "nowhere")
    client.forget()
    with pytest.raises(ConfigError, match="names no AWS region: set AWS_REGION"):
        client_of("http://127.0.0.1:9/2/q")


@pytest.mark.parametrize("fifo", [False, True])
def test_the_delay_that_is_logged_is_the_one_that_is_set(fifo, caplog):
    """SQS hides a message twelve hours at most (trials 1.16)."""

    @consumer(Queue("orders", max_attempts=3, timeout=30, fifo=fifo))
    def handler(payload: dict) -> None:
        raise Retry(after=86_400)

    event = {"Records": [record("{}", eventSourceARN=f"arn:aws:sqs:eu-west-1:123456789012:orders{'.fifo' * fifo}")]}
    result = sqs.run_sample(handler, event, store=MemoryStore(), dead_letter=Outbox())
    assert isinstance(result, dict)
    assert [change["visibilityTimeout"] for change in result["changeMessageVisibility"]] == [37_500]
    assert "delay_s=37500.0" in caplog.text
