"""The queue's side: what is gathered, delivered, deleted and delivered again, with moto's SQS and the real client."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import json
import threading
import time
from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import boto3
import pytest

from cloudqueues.errors import ConfigError
from cloudqueues.sqs_lambda.queue import Queue, QueueError, client
from tests.emulators.sqs_lambda.conftest import FUNCTIONS, REGION, sets

if TYPE_CHECKING:
    from tests.emulators.sqs_lambda.conftest import World

KEYS = {"aws_access_key_id": "testing", "aws_secret_access_key": "testing", "region_name": REGION}


def test_a_record_has_every_field(world: World) -> None:
    """A record of a standard queue has the fields of ReceiveMessage, under their names in Lambda's events."""
    url = world.queue()
    function = world.function(url, "app.records")
    attributes = {
        "text": {"DataType": "String", "StringValue": "caf\u00e9"},
        "number": {"DataType": "Number.int", "StringValue": "7"},
        "bytes": {"DataType": "Binary", "BinaryValue": b"\x00\xff"},
    }
    trace = {"AWSTraceHeader": {"DataType": "String", "StringValue": "Root=1-5759e988-bd862e3fe1be46a994272793"}}
    body = '{"name": "\u20ac"}'
    (message,) = world.send(url, body, MessageAttributes=attributes, MessageSystemAttributes=trace)
    function.wait_idle(20)
    ((record,),) = (note["event"]["Records"] for note in world.seen())
    system = record.pop("attributes")
    assert system.pop("SentTimestamp").isdigit()
    assert system.pop("ApproximateFirstReceiveTimestamp").isdigit()
    assert system.pop("SenderId")
    assert system == {"ApproximateReceiveCount": "1", "AWSTraceHeader": trace["AWSTraceHeader"]["StringValue"]}
    assert record.pop("receiptHandle")
    assert len(record.pop("md5OfMessageAttributes")) == 32
    lists: dict[str, Any] = {"stringListValues": [], "binaryListValues": []}
    assert record == {
        "messageId": message,
        "body": body,
        "messageAttributes": {
            "text": {"stringValue": "caf\u00e9", **lists, "dataType": "String"},
            "number": {"stringValue": "7", **lists, "dataType": "Number.int"},
            "bytes": {"binaryValue": "AP8=", **lists, "dataType": "Binary"},
        },
        "md5OfBody": hashlib.md5(body.encode()).hexdigest(),
        "eventSource": "aws:sqs",
        "eventSourceARN": world.arn(url),
        "awsRegion": REGION,
    }


def test_a_fifo_record_has_its_group_too(world: World) -> None:
    url = world.queue(fifo=True)
    function = world.function(url, "app.records")
    world.send(url, "x", group="g")
    function.wait_idle(20)
    (record,) = world.seen()[0]["event"]["Records"]
    assert record["attributes"]["MessageGroupId"] == "g"
    assert len(record["attributes"]["MessageDeduplicationId"]) == 32
    assert record["attributes"]["SequenceNumber"].isdigit()
    assert record["eventSourceARN"].endswith(".fifo")


def test_motos_own_mapping_does_not_also_deliver(world: World) -> None:
    """One send, one invocation. moto runs enabled mappings itself, so the stand-in creates them disabled."""
    sdk: Any = boto3
    iam = sdk.client("iam", endpoint_url=world.endpoint, **KEYS)
    lambda_ = sdk.client("lambda", endpoint_url=world.endpoint, **KEYS)
    try:
        role = iam.create_role(RoleName=f"r{time.time_ns()}", AssumeRolePolicyDocument="{}")["Role"]["Arn"]
        url = world.queue()
        name = f"f{time.time_ns()}"
        code = {"ImageUri": "123456789012.dkr.ecr.eu-west-1.amazonaws.com/orders:1"}
        lambda_.create_function(FunctionName=name, Role=role, PackageType="Image", Code=code)
        created = lambda_.create_event_source_mapping(FunctionName=name, EventSourceArn=world.arn(url), Enabled=False)
        assert created["State"] == "Disabled"
        function = world.function(url, "app.succeed")
        world.send(url, "once")
        function.wait_idle(20)
    finally:
        iam.close()
        lambda_.close()
    assert [invocation.outcome for invocation in function.invocations] == ["success"]
    assert [note["bodies"] for note in world.seen()] == [["once"]]


def test_only_the_reported_come_back(world: World) -> None:
    url = world.queue()
    bodies = ["a", "fail:1", "b", "fail:2"]
    ids = world.send(url, *bodies)
    function = world.function(url, "app.report")
    function.wait_idle(20)
    first = function.invocations[0]
    assert (first.outcome, first.message_ids) == ("partial", tuple(ids))
    assert first.failed_ids == (ids[1], ids[3])
    assert Counter(note["body"] for note in world.seen()) == {"a": 1, "b": 1, "fail:1": 2, "fail:2": 3}
    assert {invocation.outcome for invocation in function.invocations[1:]} <= {"partial", "failed", "success"}


def test_without_the_flag_what_is_reported_is_lost(world: World) -> None:
    """The function returned, so its batch is deleted, as on AWS."""
    url = world.queue()
    function = world.function(url, "app.report", report_failures=False)
    world.send(url, "fail")
    function.wait_idle(20)
    assert [invocation.outcome for invocation in function.invocations] == ["success"]


@pytest.mark.parametrize("answer", ['{"batchItemFailures": [{"itemIdentifier": "no such"}]}', '"done"'])
def test_an_answer_that_says_nothing_fails_the_whole_batch(world: World, answer: str) -> None:
    url = world.queue()
    ids = world.send(url, "a", "b")
    function = world.function(url, "app.answer", environ={"ANSWER": answer})
    function.wait_idle(20)
    first = function.invocations[0]
    assert (first.outcome, first.failed_ids) == ("failed", tuple(ids))
    assert sorted(body for note in world.seen() for body in note["bodies"]) == ["a", "a", "b", "b"]


def test_a_batch_is_not_waited_for_without_a_window(world: World) -> None:
    url = world.queue()
    world.send(url, *map(str, range(12)))
    function = world.function(url, "app.succeed", batch_size=5)
    function.wait_idle(20)
    assert sorted(len(invocation.message_ids) for invocation in function.invocations) == [2, 5, 5]


def test_a_window_gathers_several_receives(world: World) -> None:
    """Up to the batch size, which ends the wait; or until the window passes."""
    url = world.queue(visibility=30)
    world.send(url, *map(str, range(25)))
    function = world.function(url, "app.succeed", batch_size=25, window=60)
    function.wait_idle(20)
    assert [len(invocation.message_ids) for invocation in function.invocations] == [25]
    function.stop()
    began = time.monotonic()
    function = world.function(url, "app.succeed", batch_size=25, window=1)
    world.send(url, "a", "b")
    function.wait_idle(20)
    assert [len(invocation.message_ids) for invocation in function.invocations] == [2]
    assert time.monotonic() - began > 1


def test_a_batch_has_six_megabytes_at_most(world: World) -> None:
    """Each goes, though ten of them would be too much for one event."""
    url = world.queue(visibility=30)
    world.send(url, *(str(n) * 700_000 for n in range(10)))
    function = world.function(url, "app.succeed", batch_size=10)
    function.wait_idle(30)
    assert sorted(len(invocation.message_ids) for invocation in function.invocations) == [2, 8]


def test_what_no_filter_matches_is_deleted_unseen(world: World) -> None:
    url = world.queue()
    function = world.function(url, "app.succeed", filters=['{"body": {"kind": ["order"]}}'])
    world.send(url, "text", '{"kind": "other"}', '{"kind": "order"}')
    function.wait_idle(20)
    assert [note["bodies"] for note in world.seen()] == [['{"kind": "order"}']]


def test_the_queues_policy_moves_what_keeps_failing(world: World) -> None:
    """After as many receives as it says."""
    dead_letters = world.queue()
    policy = json.dumps({"deadLetterTargetArn": world.arn(dead_letters), "maxReceiveCount": 2})
    url = world.queue(RedrivePolicy=policy)
    (message,) = world.send(url, "fail")
    function = world.function(url, "app.report")
    function.wait_idle(20)
    assert [note["receives"] for note in world.seen()] == [1, 2]
    assert [dead_letter["MessageId"] for dead_letter in world.receive(dead_letters)] == [message]


def test_batches_run_side_by_side_up_to_the_maximum(world: World) -> None:
    url = world.queue(visibility=30)
    world.send(url, *map(str, range(6)))
    function = world.function(url, "app.meet", batch_size=1, maximum_concurrency=2, timeout=30)
    function.wait_idle(30)
    assert most_at_once(world.seen()) == 2
    assert len({note["pid"] for note in world.seen()}) == 2


def most_at_once(seen: list[dict[str, Any]]) -> int:
    running = most = 0
    for note in sorted(seen, key=lambda note: note["at"]):
        running += 1 if note["what"] == "begin" else -1
        most = max(most, running)
    return most


def test_groups_run_side_by_side_and_each_in_its_order(world: World) -> None:
    url = world.queue(fifo=True, visibility=30)
    for n in range(3):
        for group in "ab":
            world.send(url, f"{group}{n}", group=group)
    function = world.function(url, "app.meet", batch_size=1, timeout=30)
    function.wait_idle(30)
    seen = world.seen()
    for group in "ab":
        mine = [note for note in seen if note["bodies"][0][0] == group]
        assert [note["bodies"] for note in mine if note["what"] == "begin"] == [[f"{group}{n}"] for n in range(3)]
        assert most_at_once(mine) == 1
    assert most_at_once(seen) == 2


def test_a_failing_head_holds_its_group_and_no_other(world: World) -> None:
    url = world.queue(fifo=True, visibility=2)
    world.send(url, "fail:1", "a2", group="a")
    world.send(url, "b1", group="b")
    function = world.function(url, "app.report", batch_size=1)
    function.wait_idle(20)
    order = [note["body"] for note in world.seen()]
    assert [body for body in order if body != "b1"] == ["fail:1", "fail:1", "a2"]
    assert order.index("b1") < 2


def test_a_receive_of_two_batches_keeps_its_order_when_the_first_fails(world: World) -> None:
    """Too large for one event: the rest goes back to the queue, unseen, behind what failed. The function ends the locks of
    its own messages, so that none depends on how long anything takes. (trials 3.8)"""
    url = world.queue(fifo=True, visibility=120)
    world.send(url, *(str(n) * 700_000 for n in range(10)), group="g")
    function = world.function(url, "app.release_and_fail", timeout=60, batch_size=10)
    function.wait_idle(90)
    batches = ["".join(note["bodies"]) for note in world.seen()]
    assert (batches[0], "".join(batches[1:])) == ("01234567", "0123456789")


def test_a_group_whose_locks_a_function_ends_waits_for_that_function(world: World) -> None:
    """SQS hands it out again at once; the second batch begins when the first is over."""
    url = world.queue(fifo=True, visibility=30)
    world.send(url, "1", "2", group="a")
    function = world.function(url, "app.release_and_stay", timeout=20)
    function.wait_idle(30)
    assert [(note["what"], note["bodies"]) for note in world.seen()] == [
        ("begin", ["1", "2"]),
        ("end", ["1", "2"]),
        ("begin", ["1", "2"]),
        ("end", ["1", "2"]),
    ]


def test_a_visibility_below_the_functions_timeout_is_refused(world: World) -> None:
    with pytest.raises(ConfigError, match="visibility timeout of 1 s is below the function's timeout of 2 s"):
        world.function(world.queue(visibility=1), "app.succeed", timeout=2)


def test_waiting_says_that_it_waited_in_vain(world: World) -> None:
    url = world.queue(visibility=30)
    world.send(url, "fail")
    function = world.function(url, "app.report")
    with pytest.raises(TimeoutError, match="is not empty after"):
        function.wait_idle(0.5)


def test_waiting_in_vain_says_what_the_last_invocation_raised(world: World) -> None:
    url = world.queue(visibility=30)
    world.send(url, "fail")
    function = world.function(url, "app.nobody")
    with pytest.raises(TimeoutError, match=r"is not empty after 5 s; the last invocation: .*nobody"):
        function.wait_idle(5)


def test_polling_goes_on_when_the_queue_is_gone_and_there_again(world: World, caplog: pytest.LogCaptureFixture) -> None:
    url = world.queue()
    function = world.function(url, "app.succeed")
    function.wait_idle(20)
    world.sqs.delete_queue(QueueUrl=url)
    with pytest.raises(TimeoutError):
        function.wait_idle(0.5)
    world.sqs.create_queue(QueueName=url.rpartition("/")[2], Attributes={"VisibilityTimeout": "1"})
    world.send(url, "x")
    function.wait_idle(20)
    assert [note["bodies"] for note in world.seen()] == [["x"]]
    assert len([record for record in caplog.records if "polling fails" in record.message]) == 1


def test_a_mistake_of_the_emulators_own_is_not_waited_out(
    world: World, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """It ends the polling, and is raised to whoever waits."""
    url = world.queue()
    function = world.function(url, "app.succeed")
    monkeypatch.setattr("cloudqueues.sqs_lambda.queue.received_message", None)
    world.send(url, "x")
    with pytest.raises(TypeError):
        function.wait_idle(20)
    assert "the event source mapping failed" in [record.message for record in caplog.records]


def test_what_is_done_and_cannot_be_deleted_is_said(world: World) -> None:
    """The queue was deleted while the function ran."""
    url = world.queue(visibility=30)
    reported = threading.Event()
    function = world.function(url, "app.take_a_while", on_invocation=sets(reported))
    (message,) = world.send(url, "x")
    deadline = time.monotonic() + 20
    while not world.seen() and time.monotonic() < deadline:
        threading.Event().wait(0.01)
    world.sqs.delete_queue(QueueUrl=url)
    assert reported.wait(20)
    (invocation,) = function.invocations
    assert (invocation.outcome, invocation.undeleted) == ("success", (f"{message}: not deleted",))


def test_each_delete_has_its_own_answer(world: World) -> None:
    """Over several calls; what is no receipt of SQS's is said, and the others are gone."""
    url = world.queue(visibility=30)
    world.send(url, *map(str, range(12)))

    async def scenario() -> None:
        queue = Queue(url, world.endpoint, REGION)
        await queue.describe()
        messages = [message for _ in range(2) for message in await queue.receive(10)]
        refused = [messages[3], messages[11]]
        odd = [replace(message, handle="none of SQS's") if message in refused else message for message in messages]
        failed = await queue.delete(odd)
        with pytest.raises(QueueError, match="ReceiptHandleIsInvalid"):
            await queue.release(odd[3])
        assert failed == [f"{message.id}: ReceiptHandleIsInvalid" for message in refused]
        assert not await queue.empty()
        assert await queue.delete(refused) == []
        assert await queue.empty()
        await queue.close()

    asyncio.run(scenario())


def test_the_client_reads_nothing_of_the_users(moto_endpoint: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A profile that does not exist, a file that is none and a proxy would each be an error."""
    with contextlib.closing(client(moto_endpoint, REGION)) as before:
        before.list_queues()  # moto, in this process, reads the environment at its first request
    for name in ("AWS_PROFILE", "AWS_DEFAULT_PROFILE", "AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"):
        monkeypatch.setenv(name, str(FUNCTIONS))
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIAREAL")
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    sqs = client(moto_endpoint, REGION)
    sqs.list_queues()
    assert sqs._request_signer._credentials.access_key == "testing"
    sqs.close()
