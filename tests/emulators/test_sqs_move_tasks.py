"""Redriving dead letters with message move tasks, by the real client."""

from __future__ import annotations

import json
import secrets

import pytest
from botocore.exceptions import ClientError

from cloudqueues.sqs_server import SqsServer


@pytest.fixture(scope="module")
def server():
    with SqsServer() as running:
        yield running


class Queues:
    """A queue that gives a message up after one delivery, and its dead-letter queue."""

    def __init__(self, server, end=""):
        self.sqs = server.client
        self.names = [f"{kind}-{secrets.token_hex(6)}{end}" for kind in ("dlq", "orders")]
        self.dead_letters = server.queue(self.names[0])
        self.arn = self.arn_of(self.dead_letters)
        policy = json.dumps({"deadLetterTargetArn": self.arn, "maxReceiveCount": 1})
        self.orders = server.queue(self.names[1], RedrivePolicy=policy, VisibilityTimeout=0)

    def arn_of(self, url):
        return self.sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]

    def give_up(self, *bodies, **more):
        """Send messages, and receive them until SQS has moved them to the dead-letter queue."""
        for body in bodies:
            self.sqs.send_message(QueueUrl=self.orders, MessageBody=body, **more)
        while self.sqs.receive_message(QueueUrl=self.orders, MaxNumberOfMessages=10).get("Messages"):
            pass

    def receive(self, url):
        answer = self.sqs.receive_message(
            QueueUrl=url, MaxNumberOfMessages=10, AttributeNames=["All"], MessageAttributeNames=["All"]
        )
        return answer.get("Messages", [])

    def task(self, **parameters):
        self.sqs.start_message_move_task(SourceArn=self.arn, **parameters)
        (task,) = self.sqs.list_message_move_tasks(SourceArn=self.arn)["Results"]
        return task


@pytest.fixture
def queues(server):
    return Queues(server)


def code(call, **parameters):
    with pytest.raises(ClientError) as refused:
        call(**parameters)
    return refused.value.response["Error"]["Code"]


def test_back_to_where_they_came_from(queues):
    """They arrive as new messages, with their attributes, and were never received."""
    queues.give_up("a", "b", MessageAttributes={"n": {"DataType": "String", "StringValue": "1"}})
    before = {message["MessageId"]: message for message in queues.receive(queues.dead_letters)}
    assert len(before) == 2
    for message in before.values():
        queues.sqs.change_message_visibility(
            QueueUrl=queues.dead_letters, ReceiptHandle=message["ReceiptHandle"], VisibilityTimeout=0
        )
    task = queues.task()
    assert (task["Status"], task["SourceArn"]) == ("COMPLETED", queues.arn)
    assert (task["ApproximateNumberOfMessagesMoved"], task["ApproximateNumberOfMessagesToMove"]) == (2, 2)
    assert task["StartedTimestamp"] > 1_700_000_000_000
    assert "DestinationArn" not in task
    assert "TaskHandle" not in task
    assert queues.receive(queues.dead_letters) == []
    messages = queues.receive(queues.orders)
    assert sorted(received["Body"] for received in messages) == ["a", "b"]
    assert not before.keys() & {received["MessageId"] for received in messages}
    assert {received["Attributes"]["ApproximateReceiveCount"] for received in messages} == {"1"}
    assert {received["MessageAttributes"]["n"]["StringValue"] for received in messages} == {"1"}


def test_dead_letters_under_a_lock_stay(queues):
    queues.give_up("a", "b")
    (held,) = queues.sqs.receive_message(QueueUrl=queues.dead_letters, MaxNumberOfMessages=1)["Messages"]
    task = queues.task()
    assert (task["ApproximateNumberOfMessagesMoved"], task["ApproximateNumberOfMessagesToMove"]) == (1, 1)
    (moved,) = queues.receive(queues.orders)
    assert {held["Body"], moved["Body"]} == {"a", "b"}


def test_to_another_queue(queues, server):
    """Also those that were sent to the dead-letter queue, as peeklock does."""
    queues.give_up("a")
    queues.sqs.send_message(QueueUrl=queues.dead_letters, MessageBody="sent")
    other = server.queue(f"other-{secrets.token_hex(6)}")
    task = queues.task(DestinationArn=queues.arn_of(other), MaxNumberOfMessagesPerSecond=500)
    assert task["Status"] == "COMPLETED"
    assert (task["DestinationArn"], task["MaxNumberOfMessagesPerSecond"]) == (queues.arn_of(other), 500)
    assert sorted(message["Body"] for message in queues.receive(other)) == ["a", "sent"]


def test_a_message_that_was_sent_there_has_no_queue_to_go_back_to(queues):
    """The task fails at it, as in AWS: it takes a destination."""
    queues.sqs.send_message(QueueUrl=queues.dead_letters, MessageBody="sent")
    task = queues.task()
    assert (task["Status"], task["FailureReason"]) == ("FAILED", "CouldNotDetermineMessageSource")
    assert (task["ApproximateNumberOfMessagesMoved"], task["ApproximateNumberOfMessagesToMove"]) == (0, 1)
    assert [message["Body"] for message in queues.receive(queues.dead_letters)] == ["sent"]


def test_a_queue_that_is_gone_is_no_source(queues):
    queues.give_up("a")
    other = {"deadLetterTargetArn": queues.arn, "maxReceiveCount": 1}
    queues.sqs.create_queue(
        QueueName=f"other-{secrets.token_hex(6)}", Attributes={"RedrivePolicy": json.dumps(other)}
    )  # so that it stays a dead-letter queue
    queues.sqs.delete_queue(QueueUrl=queues.orders)
    assert queues.task()["FailureReason"] == "CouldNotDetermineMessageSource"


def test_groups_keep_their_order(server):
    queues = Queues(server, ".fifo")
    for n in range(3):
        queues.give_up(str(n), MessageGroupId="g", MessageDeduplicationId=str(n))
    assert queues.task()["ApproximateNumberOfMessagesMoved"] == 3
    messages = queues.receive(queues.orders)
    assert [(message["Body"], message["Attributes"]["MessageGroupId"]) for message in messages] == [
        ("0", "g"),
        ("1", "g"),
        ("2", "g"),
    ]


def test_the_last_tasks_come_first(queues):
    for rate in (1, 2, 3):
        queues.sqs.start_message_move_task(SourceArn=queues.arn, MaxNumberOfMessagesPerSecond=rate)
    for count in (1, 2, 10):
        tasks = queues.sqs.list_message_move_tasks(SourceArn=queues.arn, MaxResults=count)["Results"]
        assert [task["MaxNumberOfMessagesPerSecond"] for task in tasks] == [3, 2, 1][:count]


def test_what_is_refused(queues, server):
    start = queues.sqs.start_message_move_task
    assert code(start, SourceArn=queues.arn + "x") == "ResourceNotFoundException"
    assert code(start, SourceArn=queues.arn, DestinationArn=queues.arn + "x") == "ResourceNotFoundException"
    assert code(start, SourceArn=queues.arn_of(queues.orders)) == "InvalidParameterValue"
    fifo = queues.arn_of(server.queue(f"f-{secrets.token_hex(6)}.fifo"))
    assert code(start, SourceArn=queues.arn, DestinationArn=fifo) == "InvalidParameterValue"
    for rate in (0, 501):
        assert code(start, SourceArn=queues.arn, MaxNumberOfMessagesPerSecond=rate) == "InvalidParameterValue"
    assert queues.sqs.list_message_move_tasks(SourceArn=queues.arn)["Results"] == []
    assert code(queues.sqs.list_message_move_tasks, SourceArn=queues.arn + "x") == "ResourceNotFoundException"
    for count in (0, 11):
        assert (
            code(queues.sqs.list_message_move_tasks, SourceArn=queues.arn, MaxResults=count) == "InvalidParameterValue"
        )
    handle = start(SourceArn=queues.arn)["TaskHandle"]
    assert code(queues.sqs.cancel_message_move_task, TaskHandle=handle) == "ResourceNotFoundException"
