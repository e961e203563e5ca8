"""Queues in memory that refuse what their services refuse, each rule with its page: moto and the emulators take more.

Each makes events of what it holds, by the platform's own form, and binds a consumer to them.
"""

from __future__ import annotations

import base64
import itertools
import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent import futures
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any, Protocol

import grpc
from azure.servicebus import ServiceBusMessage, ServiceBusMessageBatch
from azure.servicebus.exceptions import MessageSizeExceededError
from botocore.exceptions import ClientError
from google.cloud import pubsub_v1, tasks_v2

from peeklock import cloudtasks, pubsub, servicebus, sqs
from peeklock.message import Message
from peeklock.outgoing import Sender
from peeklock.platforms.cloudtasks import sender as cloudtasks_send
from peeklock.platforms.http_push import endpoint as push
from peeklock.platforms.pubsub import sender as pubsub_send
from peeklock.platforms.servicebus.sample_events import load
from peeklock.platforms.servicebus.sender import ServiceBusSender
from peeklock.platforms.sqs.sender import SQSSender
from tests import pubsub_limits
from tests.support import environment

Attributes = Mapping[str, Any]

NUMBERS = itertools.count()
"""Numbers of queues, so that each has its own name, as a queue and its dead-letter queue must."""


class Refused(Exception):
    """The service does not take this message."""


class Strict(Protocol):
    """A queue with its service's limits."""

    largest: int

    def put(self, body: bytes, attributes: Attributes) -> None:
        """Send as a producer without peeklock would. Raises Refused."""
        ...

    def sender(self) -> Sender: ...
    def events(self) -> list[Any]:
        """Return the events that a function receives, one for each message."""
        ...

    def receive(self, event: Any) -> Message: ...
    def handle(self, function: Callable[..., Any], event: Any, **options: Any) -> bool:
        """Run a consumer over an event; whether the platform was told that the message is finished."""
        ...


class StrictSQS:
    """The part of a boto3 client that sends, and the queue behind it.

    https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/quotas-messages.html
    """

    CHARACTERS = re.compile("[\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]*")
    NAME = re.compile(r"(?!(?i:aws|amazon)\.)[A-Za-z0-9_-]([A-Za-z0-9_-]|\.(?!\.|$)){0,255}")
    TYPE = re.compile(r"(String|Number|Binary)(\..+)?")

    def __init__(self, largest: int = 262_144, url: str = "") -> None:
        self.largest = largest
        self.url = url or f"https://sqs.eu-west-1.amazonaws.com/1/orders-{next(NUMBERS)}"
        self.entries: list[Mapping[str, Any]] = []
        self.calls = 0

    def put(self, body: bytes, attributes: Attributes) -> None:
        values = {
            name: {"DataType": "Binary", "BinaryValue": value}
            if isinstance(value, bytes)
            else {"DataType": "String", "StringValue": value}
            for name, value in attributes.items()
        }
        self.enter({"Id": "0", "MessageBody": body.decode(), "MessageAttributes": values})

    def enter(self, entry: Mapping[str, Any]) -> None:
        problem = self._problem(entry)
        if problem:
            raise Refused(problem)
        self.entries.append(entry)

    def _problem(self, entry: Mapping[str, Any]) -> str:
        problem = self._problem_of_attributes(entry["MessageAttributes"])
        if problem:
            return problem
        if not entry["MessageBody"] or not self.CHARACTERS.fullmatch(entry["MessageBody"]):
            return "Invalid characters were found in the message body, or it is empty."
        if size_in_sqs(entry) > self.largest:
            return f"One or more parameters are invalid. Reason: Message must be shorter than {self.largest} bytes."
        for name in ("MessageGroupId", "MessageDeduplicationId"):
            if not re.fullmatch(r"[A-Za-z0-9!-/:-@\[-`{-~]{1,128}", entry.get(name, "x")):
                return f"{name} can only include alphanumeric and punctuation characters."
        return ""

    def _problem_of_attributes(self, attributes: Attributes) -> str:
        if len(attributes) > 10:
            return "Number of message attributes exceeds the allowed maximum (10)."
        for name, value in attributes.items():
            content = value.get("StringValue") or value.get("BinaryValue")
            if not self.NAME.fullmatch(name) or not self.TYPE.fullmatch(value["DataType"]) or not content:
                return f"The message attribute {name!r} has an invalid name, type or value."
            if isinstance(content, str) and not self.CHARACTERS.fullmatch(content):
                return f"The message attribute {name!r} has a character that is not allowed."
        return ""

    def send_message_batch(self, *, QueueUrl: str, Entries: Sequence[Mapping[str, Any]]) -> dict[str, Any]:  # noqa: N803 - boto3's names
        assert QueueUrl == self.url
        self.calls += 1
        assert 1 <= len(Entries) <= 10
        total = sum(map(size_in_sqs, Entries))
        if total > self.largest:
            text = f"Batch requests cannot be longer than {self.largest} bytes. You have sent {total} bytes."
            error = {"Code": "AWS.SimpleQueueService.BatchRequestTooLong", "Message": text}
            raise ClientError({"Error": error}, "SendMessageBatch")
        failed = []
        for entry in Entries:
            try:
                self.enter(entry)
            except Refused as exc:
                failed.append({"Id": entry["Id"], "Code": "InvalidParameterValue", "Message": str(exc)})
        names = {entry["Id"] for entry in failed}
        return {"Successful": [{"Id": entry["Id"]} for entry in Entries if entry["Id"] not in names], "Failed": failed}

    def sender(self) -> SQSSender:
        return SQSSender(self.url, self)

    def events(self) -> list[Any]:
        return [{"Records": [self._record(n, entry)]} for n, entry in enumerate(self.entries)]

    def _record(self, n: int, entry: Mapping[str, Any]) -> dict[str, Any]:
        system = entry.get("MessageSystemAttributes", {})
        attributes = {name: value["StringValue"] for name, value in system.items()}
        group = {"MessageGroupId": entry["MessageGroupId"]} if "MessageGroupId" in entry else {}
        return {
            "messageId": f"{id(self)}-{n}",  # a message that is moved gets a new one
            "receiptHandle": f"r-{n}",
            "body": entry["MessageBody"],
            "attributes": {"ApproximateReceiveCount": "1", **attributes, **group},
            "messageAttributes": {name: _of_lambda(value) for name, value in entry["MessageAttributes"].items()},
            "eventSource": "aws:sqs",
            "eventSourceARN": f"arn:aws:sqs:eu-west-1:1:{self.url.rpartition('/')[2]}",
        }

    def receive(self, event: Any) -> Message:
        return sqs.receive(event, "orders")[0]

    def handle(self, function: Callable[..., Any], event: Any, **options: Any) -> bool:
        answer = sqs.run_sample(function, event, **options)
        assert isinstance(answer, dict)
        return answer["batchItemFailures"] == []


def size_in_sqs(entry: Mapping[str, Any]) -> int:
    """https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-message-metadata.html: names, types and
    values of attributes are part of the size."""
    size = len(entry["MessageBody"].encode("utf-8", "surrogatepass"))
    for name, value in entry["MessageAttributes"].items():
        content = value.get("StringValue", "").encode("utf-8", "surrogatepass") + value.get("BinaryValue", b"")
        size += len(name.encode()) + len(value["DataType"].encode()) + len(content)
    return size


def _of_lambda(value: Mapping[str, Any]) -> dict[str, Any]:
    lists = {"stringListValues": [], "binaryListValues": [], "dataType": value["DataType"]}
    if "BinaryValue" in value:
        return {"binaryValue": base64.b64encode(value["BinaryValue"]).decode(), **lists}
    return {"stringValue": value["StringValue"], **lists}


class StrictServiceBus:
    """A client of the SDK with one queue: the SDK's own encoding, and the service's limits.

    https://learn.microsoft.com/azure/service-bus-messaging/service-bus-quotas
    """

    def __init__(self, largest: int = 262_144) -> None:
        self.largest = largest
        self.entity = f"orders-{next(NUMBERS)}"
        self.messages: list[ServiceBusMessage] = []

    def put(self, body: bytes, attributes: Attributes) -> None:
        self.enter(ServiceBusMessage(body, message_id="order-1", application_properties=dict(attributes)))

    def enter(self, message: ServiceBusMessage) -> None:
        properties = message.application_properties or {}
        sizes = [len(str(name)) + len(str(value).encode()) for name, value in properties.items()]
        if size_in_servicebus(message) > self.largest:
            raise MessageSizeExceededError(message=f"The link only takes {self.largest} bytes.")
        if sum(sizes) > 64 * 1024 or any(size > 32 * 1024 for size in sizes):
            raise Refused("SerializationException")
        self.messages.append(message)

    def get_queue_sender(self, entity: str) -> StrictServiceBus:
        assert entity == self.entity
        return self

    @property
    def _max_message_size_on_link(self) -> int:
        """Private attribute of the SDK's sender, from the link's max-message-size."""
        return self.largest

    def create_message_batch(self) -> ServiceBusMessageBatch:
        return ServiceBusMessageBatch(max_size_in_bytes=self.largest)

    def send_messages(self, load: ServiceBusMessage | ServiceBusMessageBatch) -> None:
        for message in load._messages if isinstance(load, ServiceBusMessageBatch) else [load]:
            self.enter(message)

    def close(self) -> None:
        return None

    def sender(self) -> ServiceBusSender:
        return ServiceBusSender(self.entity, lambda: self)

    def events(self) -> list[Any]:
        return [self._event(n, message) for n, message in enumerate(self.messages)]

    def _event(self, n: int, message: ServiceBusMessage) -> dict[str, Any]:
        """Return the host's invocation request, which holds the properties as JSON."""
        properties = {"json": json.dumps(dict(message.application_properties or {}))}
        texts = {
            "MessageId": message.message_id,
            "ContentType": message.content_type,
            "Subject": message.subject,
            "CorrelationId": message.correlation_id,
            "ReplyTo": message.reply_to,
            "ReplyToSessionId": message.reply_to_session_id,
            "To": message.to,
            "PartitionKey": message.partition_key,
        }
        metadata: dict[str, Any] = {name: {"string": text} for name, text in texts.items() if text}
        metadata |= {"ApplicationProperties": properties, "UserProperties": properties}
        metadata |= {"SequenceNumber": {"json": f"{n}"}, "DeliveryCount": {"json": "1"}}
        metadata["EnqueuedTimeUtc"] = {"json": '"2026-11-25T01:54:43.209"'}
        if message.time_to_live:
            metadata["ExpiresAtUtc"] = {"json": '"2027-11-25T01:54:43.209"'}
        body = base64.b64encode(b"".join(message.body)).decode()
        return {"inputData": [{"data": {"bytes": body}}], "triggerMetadata": metadata}

    def receive(self, event: Any) -> Message:
        return servicebus.receive(load(event).argument, "orders")[0]

    def handle(self, function: Callable[..., Any], event: Any, **options: Any) -> bool:
        return servicebus.run_sample(function, event, **options) is None


def size_in_servicebus(message: ServiceBusMessage) -> int:
    """Bytes of a message as the SDK encodes it, less those of a batch around it."""
    batch = ServiceBusMessageBatch(max_size_in_bytes=2**30)
    before = batch.size_in_bytes
    batch.add_message(message)
    return batch.size_in_bytes - before - 8


class StrictCloudTasks:
    """Tasks of one queue, and the server that they go to: gunicorn, under which functions-framework runs.

    https://cloud.google.com/tasks/docs/quotas, https://docs.gunicorn.org/en/stable/settings.html#limit-request-fields
    """

    TARGET = "https://orders.example/run"
    NAMES = "projects/p/locations/l/queues/q"

    def __init__(self) -> None:
        self.largest = 1_048_569
        self.tasks: list[tasks_v2.Task] = []

    def _name(self) -> str:
        """A name as the service gives one, of twenty digits."""
        return f"{self.NAMES}/tasks/{id(self) % 10**12:012}{len(self.tasks):08}"

    def put(self, body: bytes, attributes: Attributes) -> None:
        post = tasks_v2.HttpMethod.POST
        http = {"url": self.TARGET, "http_method": post, "headers": dict(attributes), "body": body}
        self.enter(tasks_v2.Task({"name": self._name(), "http_request": http}))

    def enter(self, task: tasks_v2.Task) -> None:
        headers = task.http_request.headers
        if len(tasks_v2.Task.serialize(task)) > self.largest:
            raise Refused("Task size too large")
        if sum(len(name) + len(value) for name, value in headers.items()) > 80_000:
            raise Refused("Headers too large")
        assert len(headers) + 20 <= 100, "the server answers 400: too many header fields"
        lines = [f"{name}: {value}\r\n" for name, value in headers.items()]
        assert all(len(line) <= 8190 for line in lines), "the server answers 431: a header field is too large"
        assert sum(map(len, lines)) < 60_000, "the server answers 431"
        assert all(line[:-2].isascii() and line[:-2].isprintable() for line in lines), "no header has this value"
        self.tasks.append(task)

    def create(self, request: Any, context: Any) -> Any:
        if not request.task.name:
            request.task.name = self._name()
        if any(task.name == request.task.name for task in self.tasks):
            context.abort(grpc.StatusCode.ALREADY_EXISTS, "Requested entity already exists")
        try:
            self.enter(request.task)
        except Refused as exc:
            context.abort(grpc.StatusCode.INVALID_ARGUMENT, str(exc))
        return request.task

    def sender(self) -> cloudtasks_send.CloudTasksSender:
        return cloudtasks_send.CloudTasksSender(queue=self.NAMES, target=self.TARGET)

    def events(self) -> list[Any]:
        return [self._request(task) for task in self.tasks]

    def _request(self, task: tasks_v2.Task) -> push.Request:
        name = task.name.rpartition("/")[2]
        own = {"X-CloudTasks-TaskName": name, "X-CloudTasks-QueueName": "q", "X-CloudTasks-TaskRetryCount": "0"}
        http = task.http_request
        method = "POST" if not http.http_method else tasks_v2.HttpMethod(http.http_method).name
        return push.request_of({**http.headers, **own}, http.body, method)

    def receive(self, event: Any) -> Message:
        return cloudtasks.receive(event, "orders")

    def handle(self, function: Callable[..., Any], event: Any, **options: Any) -> bool:
        return _pushed(cloudtasks.run_sample, function, event, **options)


class StrictPubSub:
    """A topic. https://cloud.google.com/pubsub/quotas#resource_limits"""

    TOPIC = "projects/p/topics/t"

    def __init__(self) -> None:
        self.largest = pubsub_limits.MAX_REQUEST
        self.messages: list[Any] = []

    def put(self, body: bytes, attributes: Attributes) -> None:
        message = pubsub_v1.types.PubsubMessage(data=body, attributes=dict(attributes))
        self.enter(pubsub_v1.types.PublishRequest(topic=self.TOPIC, messages=[message]))

    def enter(self, request: Any) -> None:
        size = len(pubsub_v1.types.PublishRequest.serialize(request))
        why = pubsub_limits.request_refused(request.messages, size)
        if why:
            raise Refused(why)
        self.messages.extend(request.messages)

    def publish(self, request: Any, context: Any) -> Any:
        try:
            self.enter(request)
        except Refused as exc:
            mixed = str(exc) == pubsub_limits.MIXED
            context.abort(getattr(grpc.StatusCode, "FAILED_PRECONDITION" if mixed else "INVALID_ARGUMENT"), str(exc))
        return pubsub_v1.types.PublishResponse(message_ids=[str(n) for n, _ in enumerate(request.messages)])

    def sender(self) -> pubsub_send.PubSubSender:
        return pubsub_send.PubSubSender(self.TOPIC)

    def events(self) -> list[Any]:
        return [self._request(n, message) for n, message in enumerate(self.messages)]

    def _request(self, n: int, message: Any) -> push.Request:
        inner = {
            "messageId": f"{id(self)}-{n}",
            "data": base64.b64encode(message.data).decode(),
            "attributes": dict(message.attributes),
        }
        return push.request_of({}, json.dumps({"message": inner, "subscription": "s"}).encode())

    def receive(self, event: Any) -> Message:
        return pubsub.receive(event, "orders")

    def handle(self, function: Callable[..., Any], event: Any, **options: Any) -> bool:
        return _pushed(pubsub.run_sample, function, event, **options)


def _pushed(
    run_sample: Callable[..., Any], function: Callable[..., Any], request: push.Request, **options: Any
) -> bool:
    encoded = base64.b64encode(request.body).decode()
    event = {"headers": dict(request.headers), "bodyBase64": encoded, "method": request.method}
    return bool(run_sample(function, event, **options)["status"] == 204)


@contextmanager
def google(tasks: StrictCloudTasks | None = None, topic: StrictPubSub | None = None) -> Iterator[None]:
    """Both services of Google's, for their own clients."""
    server = grpc.server(futures.ThreadPoolExecutor(2), options=[("grpc.max_receive_message_length", 2**26)])
    tasks, topic = tasks or StrictCloudTasks(), topic or StrictPubSub()
    calls: Sequence[tuple[str, str, Any, Any, Any]] = [
        ("google.cloud.tasks.v2.CloudTasks", "CreateTask", tasks.create, tasks_v2.CreateTaskRequest, tasks_v2.Task),
        (
            "google.pubsub.v1.Publisher",
            "Publish",
            topic.publish,
            pubsub_v1.types.PublishRequest,
            pubsub_v1.types.PublishResponse,
        ),
    ]
    for service, method, handler, request, response in calls:
        unary = grpc.unary_unary_rpc_method_handler(
            handler, request_deserializer=request.deserialize, response_serializer=response.serialize
        )
        server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(service, {method: unary}),))
    address = f"127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}"
    server.start()
    for client in (cloudtasks_send.client, pubsub_send.client):
        client.forget()
    with environment(CLOUD_TASKS_EMULATOR_HOST=address, PUBSUB_EMULATOR_HOST=address):
        yield
    for client in (cloudtasks_send.client, pubsub_send.client):
        client.forget()
    server.stop(None).wait()


def servicebus_raw(**fields: Any) -> Any:
    """A single message as azure-functions hands it over, of any types."""
    basic = {
        "get_body": lambda: b"{}",
        "message_id": "m-1",
        "sequence_number": 1,
        "delivery_count": 1,
        "enqueued_time_utc": None,
        "content_type": None,
        "application_properties": {},
    }
    return SimpleNamespace(**{**basic, **fields})
