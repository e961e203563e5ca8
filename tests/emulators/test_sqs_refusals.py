"""Requests that SQS refuses and moto by itself accepts, with the error codes of SQS."""

from __future__ import annotations

import base64
import io
import json
import secrets
import urllib.error
import urllib.request

import pytest
from botocore.exceptions import ClientError

from cloudqueues import aws_models
from cloudqueues.errors import ConfigError
from cloudqueues.sqs_attributes import READ_ONLY, settable_names
from cloudqueues.sqs_server import SerializedApplication, SqsServer
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


def number(value, kind="Number"):
    return {"DataType": kind, "StringValue": value}


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
        ({"MessageBody": "x", "MessageDeduplicationId": "d"}, "InvalidParameterValue"),
        *(
            ({"MessageBody": "x", "MessageAttributes": {"n": number(value)}}, "InvalidParameterValue")
            for value in ("abc", "", "1e127", "-1e127", "1e-129", "1" * 39, "nan", "inf", "1_0", "0x1", "1 ", "\u0661")
        ),
        ({"MessageBody": "x", "MessageAttributes": {"n": number("abc", "Number.int")}}, "InvalidParameterValue"),
        ({"MessageBody": "x", "MessageAttributes": {"n": number("1", "number")}}, "InvalidParameterValue"),
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
        {"MessageBody": "x", "MessageGroupId": "fair"},
        *(
            {"MessageBody": "x", "MessageAttributes": {"n": number(value)}}
            for value in (
                "0",
                "-1.5",
                "+2",
                ".5",
                "1e126",
                "-9.9E126",
                "1e-128",
                "1" * 38,
                "0" * 50 + "1",
                "1" + "0" * 50,
            )
        ),
        {"MessageBody": "x", "MessageAttributes": {"n": text("abc")}},
    ],
)
def test_a_message_that_is_sent(server, url, message):
    """The last of each that SQS takes."""
    assert server.client.send_message(QueueUrl=url, **message)["MessageId"]


def test_the_limit_of_the_queue_counts_the_attributes(server):
    """The limit holds for a message alone and for each in a batch."""
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
        ("KmsDataKeyReusePeriodSeconds", 60, 86_400),
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


UNKNOWN, WRONG, PARAMETER = "InvalidAttributeName", "InvalidAttributeValue", "InvalidParameterValue"


@pytest.mark.parametrize(
    ("name", "attributes", "expected"),
    [
        ("q", {"VisibilityTimout": "3"}, UNKNOWN),
        ("q", {"visibilityTimeout": "3"}, UNKNOWN),
        ("q", {"QueueArn": "arn:aws:sqs:eu-west-1:123456789012:q"}, UNKNOWN),
        ("q", {"All": "1"}, UNKNOWN),
        ("q", {"FifoQueue": "false"}, UNKNOWN),
        ("q", {"ContentBasedDeduplication": "false"}, UNKNOWN),
        ("q", {"DeduplicationScope": "queue"}, UNKNOWN),
        ("q", {"FifoThroughputLimit": "perQueue"}, UNKNOWN),
        ("q", {"SqsManagedSseEnabled": "yes"}, WRONG),
        ("q", {"Policy": "{no"}, WRONG),
        ("q", {"Policy": "[]"}, WRONG),
        ("q", {"RedrivePolicy": "{no"}, PARAMETER),
        ("q", {"RedrivePolicy": "[]"}, PARAMETER),
        ("q", {"RedrivePolicy": '{"deadLetterTargetArn": "a"}'}, PARAMETER),
        ("q", {"RedrivePolicy": '{"maxReceiveCount": 5}'}, PARAMETER),
        *(
            ("q", {"RedrivePolicy": f'{{"deadLetterTargetArn": "a", "maxReceiveCount": {count}}}'}, PARAMETER)
            for count in ("0", "1001", '"often"', "null", "1.5")
        ),
        ("q", {"RedriveAllowPolicy": "{no"}, WRONG),
        ("q.fifo", {}, PARAMETER),
        ("q", {"FifoQueue": "true"}, PARAMETER),
        ("q" * 76 + ".fifo", {"FifoQueue": "true"}, PARAMETER),
        ("q" * 81, {}, PARAMETER),
        ("q/1", {}, PARAMETER),
        ("q.fifo", {"FifoQueue": "true", "ContentBasedDeduplication": "yes"}, WRONG),
        ("q.fifo", {"FifoQueue": "true", "DeduplicationScope": "group"}, WRONG),
        ("q.fifo", {"FifoQueue": "true", "FifoThroughputLimit": "perGroup"}, WRONG),
    ],
)
def test_a_queue_that_is_not_created(server, name, attributes, expected):
    """Each with the error code of SQS."""
    assert code(server.client.create_queue, QueueName=name, Attributes=attributes) == expected
    assert not [url for url in server.client.list_queues().get("QueueUrls", ()) if url.endswith(f"/{name}")]


def test_queues_that_are_created(server):
    """Each attribute that can be set, and the longest names."""
    every = {
        "DelaySeconds": "1",
        "KmsDataKeyReusePeriodSeconds": "60",
        "KmsMasterKeyId": "alias/aws/sqs",
        "MaximumMessageSize": "1024",
        "MessageRetentionPeriod": "60",
        "Policy": '{"Version": "2012-10-17", "Statement": []}',
        "ReceiveMessageWaitTimeSeconds": "1",
        "RedriveAllowPolicy": '{"redrivePermission": "allowAll"}',
        "SqsManagedSseEnabled": "false",
        "VisibilityTimeout": "1",
    }
    of_fifo = {"ContentBasedDeduplication": "true", "DeduplicationScope": "messageGroup"}
    of_fifo |= {"FifoThroughputLimit": "perMessageGroupId", "FifoQueue": "true"}
    assert {*every, *of_fifo, "RedrivePolicy"} == set(settable_names())
    assert set(READ_ONLY) | set(settable_names()) == set(aws_models.enumeration("sqs", "QueueAttributeName"))
    standard, fifo = "s" * 80, "f" * 75 + ".fifo"
    url = server.client.create_queue(QueueName=standard, Attributes=every)["QueueUrl"]
    server.client.set_queue_attributes(QueueUrl=url, Attributes={"Policy": "", "RedrivePolicy": ""})
    url = server.client.create_queue(QueueName=fifo, Attributes={**every, **of_fifo})["QueueUrl"]
    server.client.set_queue_attributes(QueueUrl=url, Attributes={"ContentBasedDeduplication": "false"})


@pytest.mark.parametrize(
    ("attributes", "expected"),
    [
        ({"Nope": "1"}, UNKNOWN),
        ({"CreatedTimestamp": "1"}, UNKNOWN),
        ({"FifoThroughputLimit": "perQueue"}, UNKNOWN),
        ({"Policy": "{no"}, WRONG),
    ],
)
def test_a_queue_that_is_not_changed(server, url, attributes, expected):
    """Names and documents are checked when a queue is changed, too."""
    assert code(server.client.set_queue_attributes, QueueUrl=url, Attributes=attributes) == expected


def test_the_fixture_names_the_nearest_attribute(server):
    """A mistyped attribute must not be ignored, and no queue is left behind."""
    with pytest.raises(ConfigError, match=r"queue\(\) takes no VisibilityTimout=: did you mean 'VisibilityTimeout'\?"):
        server.queue("mistyped", VisibilityTimout=3)
    with pytest.raises(ConfigError, match="attributes are ContentBasedDeduplication, Deduplic"):
        server.queue("mistyped", zzz=3)
    assert "QueueUrls" not in server.client.list_queues(QueueNamePrefix="mistyped")
    url = server.queue("flagged.fifo", ContentBasedDeduplication=True)
    assert server.client.send_message(QueueUrl=url, MessageBody="x", MessageGroupId="g")["MessageId"]


def test_a_deduplication_id_in_a_batch_for_a_standard_queue(server, url):
    """The entry fails; a FIFO queue accepts a deduplication id."""
    entry = {"Id": "a", "MessageBody": "x", "MessageDeduplicationId": "d"}
    answer = server.client.send_message_batch(QueueUrl=url, Entries=[entry])
    assert [failed["Code"] for failed in answer["Failed"]] == ["InvalidParameterValue"]
    fifo = server.queue(f"q-{secrets.token_hex(6)}.fifo")
    answer = server.client.send_message_batch(QueueUrl=fifo, Entries=[{**entry, "MessageGroupId": "g"}])
    assert [sent["Id"] for sent in answer["Successful"]] == ["a"]


def test_what_cannot_be_served_is_answered_in_the_form_of_sqs(server, caplog):
    """With one line in the log: a page of HTML cannot be read by an SDK."""
    headers = {"X-Amz-Target": "AmazonSQS.SendMessage", "Content-Type": "application/x-amz-json-1.0"}
    request = urllib.request.Request(server.endpoint_url, b"{no", headers)
    with pytest.raises(urllib.error.HTTPError) as failed:
        urllib.request.urlopen(request)
    assert failed.value.code == 500
    assert failed.value.headers["Content-Type"] == "application/x-amz-json-1.0"
    assert json.load(failed.value)["__type"] == "com.amazonaws.sqs#InternalFailure"
    (record,) = [record for record in caplog.records if record.name == "cloudqueues.sqs"]
    assert record.exc_info is None


def test_an_error_of_moto_is_answered_in_the_form_of_sqs():
    """moto raises whatever it raises at a request that it does not expect."""
    answers = []

    def broken(*_):
        raise KeyError("RoleName")

    environ = {"wsgi.input": io.BytesIO(), "HTTP_X_AMZ_TARGET": "AmazonSQS.ListQueues"}
    (body,) = SerializedApplication(broken)(environ, lambda status, headers: answers.append((status, dict(headers))))
    ((status, headers),) = answers
    assert (status, headers["X-Amzn-Errortype"]) == ("500 Internal Server Error", "com.amazonaws.sqs#InternalFailure")
    assert json.loads(body)["message"] == "AmazonSQS.ListQueues: KeyError: 'RoleName'"


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
