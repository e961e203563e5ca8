"""Requests that SQS refuses and moto by itself accepts, with the error codes of SQS."""

from __future__ import annotations

import base64
import secrets

import pytest
from botocore.exceptions import ClientError

from cloudqueues.sqs_server import SqsServer
from peeklock.message import Lineage
from peeklock.outgoing import OutgoingMessage
from peeklock.platforms.sqs.sender import SQSSender

MEGABYTE = 1_048_576


@pytest.fixture(scope="module")
def server():
    with SqsServer() as running:
        yield running


@pytest.fixture
def url(server):
    return server.queue(f"q-{secrets.token_hex(6)}")


def text(value="x"):
    return {"DataType": "String", "StringValue": value}


def binary(value=b"x"):
    return {"DataType": "Binary", "BinaryValue": value}


def attributes(count):
    return {f"a{n}": text() for n in range(count)}


def code(call, **parameters):
    """Return the error code of a call that is refused."""
    with pytest.raises(ClientError) as refused:
        call(**parameters)
    assert refused.value.response["ResponseMetadata"]["HTTPStatusCode"] == 400
    return refused.value.response["Error"]["Code"]


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        *(
            ({"MessageBody": f"a{character}b"}, "InvalidMessageContents")
            for character in ("\x00", "\x07", "\x08", "\x0b", "\x0c", "\x0e", "\x1f", "\ufffe", "\uffff")
        ),
        ({"MessageBody": ""}, "MissingParameter"),
        ({"MessageBody": "x", "MessageAttributes": attributes(11)}, "InvalidParameterValue"),
        ({"MessageBody": "x", "MessageAttributes": {"a": text("\x07")}}, "InvalidParameterValue"),
        *(
            ({"MessageBody": "x", "MessageAttributes": {name: text()}}, "InvalidParameterValue")
            for name in ("AWS.x", "aws.x", "Amazon.x", ".x", "x.", "x..y", "x y", "\xe4", "x" * 257)
        ),
        ({"MessageBody": "x" * (MEGABYTE + 1)}, "InvalidParameterValue"),
        ({"MessageBody": "\xe4" * (MEGABYTE // 2) + "x"}, "InvalidParameterValue"),
        ({"MessageBody": "x" * (MEGABYTE - 7), "MessageAttributes": {"a": text()}}, "InvalidParameterValue"),
        ({"MessageBody": "x" * (MEGABYTE - 7), "MessageAttributes": {"a": binary()}}, "InvalidParameterValue"),
        ({"MessageBody": "x", "DelaySeconds": 901}, "InvalidParameterValue"),
    ],
)
def test_a_message_that_is_refused(server, url, message, expected):
    """Alone, and nothing is sent."""
    assert code(server.client.send_message, QueueUrl=url, **message) == expected
    assert "Messages" not in server.client.receive_message(QueueUrl=url)


@pytest.mark.parametrize(
    "message",
    [
        {"MessageBody": "\t\n\r \ud7ff\ue000\ufffd\U00010000\U0010ffff"},
        {"MessageBody": "x", "MessageAttributes": attributes(10)},
        {"MessageBody": "x", "MessageAttributes": {"AWSx.y_z-1": text(), "x" * 256: text(), "Amazon": text()}},
        {"MessageBody": "x" * MEGABYTE},
        {"MessageBody": "x" * (MEGABYTE - 8), "MessageAttributes": {"a": text()}},
        {"MessageBody": "x" * (MEGABYTE - 8), "MessageAttributes": {"a": binary()}},
        {"MessageBody": "x", "DelaySeconds": 900},
    ],
)
def test_a_message_that_is_sent(server, url, message):
    """The last of each that SQS takes."""
    assert server.client.send_message(QueueUrl=url, **message)["MessageId"]


def test_the_limit_of_the_queue_counts_the_attributes(server):
    """The attributes count for a message alone, and for each in a batch."""
    url = server.queue(f"q-{secrets.token_hex(6)}", MaximumMessageSize=1024)
    fits, large = ({"MessageBody": "x" * size, "MessageAttributes": {"a": text()}} for size in (1016, 1017))
    assert server.client.send_message(QueueUrl=url, **fits)["MessageId"]
    assert code(server.client.send_message, QueueUrl=url, **large) == "InvalidParameterValue"
    entries = [{"Id": "a", **fits}, {"Id": "b", **large}]
    assert code(server.client.send_message_batch, QueueUrl=url, Entries=entries) == "InvalidParameterValue"
    large = {"MessageBody": "x" * 1100}
    nowhere = server.client.send_message_batch
    assert code(nowhere, QueueUrl=url + "-x", Entries=[{"Id": "a", **large}]).endswith("NonExistentQueue")


def test_a_batch_fails_by_its_entries(server, url):
    """The others are sent; where none can be, all are listed."""
    bad = {"Id": "bad", "MessageBody": "a\x07"}
    late = {"Id": "late", "MessageBody": "x", "DelaySeconds": 901}
    answer = server.client.send_message_batch(QueueUrl=url, Entries=[bad, {"Id": "good", "MessageBody": "x"}, late])
    assert [entry["Id"] for entry in answer["Successful"]] == ["good"]
    assert {entry["Id"]: entry["Code"] for entry in answer["Failed"]} == {
        "bad": "InvalidMessageContents",
        "late": "InvalidParameterValue",
    }
    answer = server.client.send_message_batch(QueueUrl=url, Entries=[bad])
    assert [entry["Code"] for entry in answer["Failed"]] == ["InvalidMessageContents"]
    assert not answer.get("Successful")
    entries = [bad, {"Id": "good", "MessageBody": "x"}]
    assert code(server.client.send_message_batch, QueueUrl=url + "-x", Entries=entries).endswith("NonExistentQueue")


def test_a_batch_has_the_size_of_a_message(server, url):
    """Attributes included."""
    half = {"MessageBody": "x" * (MEGABYTE // 2 - 8), "MessageAttributes": {"a": text()}}
    entries = [{"Id": "a", **half}, {"Id": "b", **half}]
    assert len(server.client.send_message_batch(QueueUrl=url, Entries=entries)["Successful"]) == 2
    entries[1]["MessageBody"] += "x"
    refused = code(server.client.send_message_batch, QueueUrl=url, Entries=entries)
    assert refused == "AWS.SimpleQueueService.BatchRequestTooLong"


@pytest.mark.parametrize(
    ("name", "least", "largest"),
    [
        ("DelaySeconds", 0, 900),
        ("MaximumMessageSize", 1024, MEGABYTE),
        ("MessageRetentionPeriod", 60, 1_209_600),
        ("ReceiveMessageWaitTimeSeconds", 0, 20),
        ("VisibilityTimeout", 0, 43_200),
    ],
)
def test_attributes_of_a_queue(server, url, name, least, largest):
    """Both ends of each range, when it is made and when it is changed."""
    for value in (least, largest):
        server.client.set_queue_attributes(QueueUrl=url, Attributes={name: str(value)})
    for value in (str(least - 1), str(largest + 1), "ten"):
        parameters = {"Attributes": {name: value}}
        assert code(server.client.set_queue_attributes, QueueUrl=url, **parameters) == "InvalidAttributeValue"
        assert code(server.client.create_queue, QueueName="new", **parameters) == "InvalidAttributeValue"


def test_receiving(server, url):
    """Longest wait and visibility."""
    for parameters in ({"WaitTimeSeconds": 21}, {"WaitTimeSeconds": -1}, {"VisibilityTimeout": 43_201}):
        assert code(server.client.receive_message, QueueUrl=url, **parameters) == "InvalidParameterValue"
    server.client.send_message(QueueUrl=url, MessageBody="x")
    assert server.client.receive_message(QueueUrl=url, WaitTimeSeconds=20, VisibilityTimeout=43_200)["Messages"]


def test_peeklocks_sender_keeps_to_it(server, url):
    """A body with such a character is sent in a form that SQS accepts."""
    outgoing = OutgoingMessage(body=b"a\x07b", lineage=Lineage(id="m"))
    assert SQSSender(url, server.client).send([outgoing]) == [None]
    (message,) = server.client.receive_message(QueueUrl=url, MessageAttributeNames=["All"])["Messages"]
    assert base64.b64decode(message["Body"]) == b"a\x07b"
