"""The services' own clients, each with its service's limits: what a real queue refuses is refused here."""

from __future__ import annotations

import re
from concurrent.futures import Future
from typing import Any

from azure.servicebus import ServiceBusMessage, ServiceBusMessageBatch
from azure.servicebus.exceptions import MessageSizeExceededError

from tests import pubsub_limits

SQS_BYTES = 262_144
SQS_ATTRIBUTES = 10
# A queue made before 2025 takes 256 KiB; https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/quotas-messages.html
_SQS_TEXT = re.compile("[\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]+")
_SQS_NAME = re.compile(r"(?!(?i:aws|amazon)\.)[A-Za-z0-9_-][A-Za-z0-9_.-]{0,255}")
_SQS_TYPE = re.compile(r"(String|Number|Binary)(\.[\x20-\x7e]{1,200})?")
# https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_MessageAttributeValue.html

BUS_BYTES = 262_144
# The standard tier; https://learn.microsoft.com/azure/service-bus-messaging/service-bus-quotas

TASK_BYTES = 1_048_569
HEADER_BYTES = 80 * 1024
LINE_BYTES = 8190
# https://cloud.google.com/tasks/docs/quotas (task, headers); servers such as gunicorn and Apache refuse longer lines:
# https://docs.gunicorn.org/en/stable/settings.html#limit-request-field-size
LINES = 100
# https://docs.gunicorn.org/en/stable/settings.html#limit-request-fields


def sqs_refuses(body: Any, attributes: dict[str, Any]) -> str:
    """Why SQS would not take a message; empty where it would. `attributes`: as SendMessage takes them."""
    if not body or not _SQS_TEXT.fullmatch(body):
        return "a body that SQS does not take"
    if len(attributes) > SQS_ATTRIBUTES:
        return f"{len(attributes)} attributes"
    size = len(body.encode())
    for name, value in attributes.items():
        held = value.get("StringValue", value.get("BinaryValue"))
        if (
            not _SQS_NAME.fullmatch(name)
            or ".." in name
            or name.endswith(".")
            or not _SQS_TYPE.fullmatch(value["DataType"])
        ):
            return f"the attribute {name!r}"
        if not held or (isinstance(held, str) and not _SQS_TEXT.fullmatch(held)):
            return f"the value of {name!r}"
        size += len(name) + len(value["DataType"]) + len(held.encode() if isinstance(held, str) else held)
    return TOO_LONG if size > SQS_BYTES else ""


TOO_LONG = f"Message must be shorter than {SQS_BYTES} bytes."


class SQS:
    """boto3's client, as far as it is called."""

    def __init__(self) -> None:
        self.taken: list[dict[str, Any]] = []
        self.refused: list[str] = []
        self.visibilities: list[dict[str, Any]] = []

    def get_queue_url(self, **asked: str) -> dict[str, str]:
        return {
            "QueueUrl": f"https://sqs.eu-west-1.amazonaws.com/{asked['QueueOwnerAWSAccountId']}/{asked['QueueName']}"
        }

    def get_queue_attributes(self, **_: Any) -> dict[str, Any]:
        return {"Attributes": {"MaximumMessageSize": str(SQS_BYTES)}}

    def change_message_visibility_batch(self, **asked: Any) -> dict[str, Any]:
        assert 1 <= len(asked["Entries"]) <= 10
        self.visibilities += asked["Entries"]
        return {"Successful": [{"Id": entry["Id"]} for entry in asked["Entries"]]}

    def send_message_batch(self, **asked: Any) -> dict[str, Any]:
        assert 1 <= len(asked["Entries"]) <= 10
        successful, failed = [], []
        for entry in asked["Entries"]:
            why = sqs_refuses(entry["MessageBody"], entry.get("MessageAttributes", {}))
            if why:
                self.refused.append(why)
                message = f"One or more parameters are invalid. Reason: {why}"
                failed.append(
                    {"Id": entry["Id"], "SenderFault": True, "Code": "InvalidParameterValue", "Message": message}
                )
            else:
                self.taken.append(entry)
                successful.append({"Id": entry["Id"]})
        return {"Successful": successful, "Failed": failed}

    def shown(self) -> str:
        """All that it was sent, for a search."""
        return str(self.taken)


class Bus:
    """A `ServiceBusClient` and its link in one."""

    def __init__(self) -> None:
        self.taken: list[Any] = []
        self.refused: list[str] = []

    def get_queue_sender(self, _: str) -> Bus:
        return self

    def create_message_batch(self, max_size_in_bytes: int | None = None) -> ServiceBusMessageBatch:
        return ServiceBusMessageBatch(max_size_in_bytes=BUS_BYTES)

    def send_messages(self, load: Any) -> None:
        messages = load._messages if isinstance(load, ServiceBusMessageBatch) else [load]
        for message in messages:
            if isinstance(message, ServiceBusMessage):
                try:
                    ServiceBusMessageBatch(max_size_in_bytes=BUS_BYTES).add_message(message)
                except (ValueError, MessageSizeExceededError) as exc:
                    self.refused.append(str(exc))
                    raise
        self.taken += messages

    def close(self) -> None:
        return

    def shown(self) -> str:
        return str([message.application_properties for message in self.taken])


class Tasks:
    """A `CloudTasksClient`."""

    def __init__(self) -> None:
        self.taken: list[Any] = []
        self.refused: list[str] = []

    def create_task(self, *, parent: str, task: Any, **_: Any) -> None:
        del parent
        why = _task_is_refused(task)
        if why:
            self.refused.append(why)
            raise ValueError(why)
        self.taken.append(task)

    def shown(self) -> str:
        return str([dict(task.http_request.headers) for task in self.taken])


def _task_is_refused(task: Any) -> str:
    size = len(type(task).serialize(task))
    if size > TASK_BYTES:
        return f"a task of {size} bytes"
    return headers_refused(dict(task.http_request.headers))


def headers_refused(headers: dict[str, str]) -> str:
    """Why Cloud Tasks or the server behind it would not take them."""
    lines = [f"{name}: {value}\r\n" for name, value in headers.items()]
    if any(len(line) > LINE_BYTES for line in lines) or len(lines) > LINES or sum(map(len, lines)) >= HEADER_BYTES:
        return f"headers of {sorted(map(len, lines))[-3:]} bytes"
    if not all(line[:-2].isascii() and line[:-2].isprintable() for line in lines):
        return "a header that is no text of ASCII"
    return ""


class Topic:
    """A `PublisherClient`."""

    def __init__(self) -> None:
        self.taken: list[tuple[bytes, dict[str, str], str]] = []
        self.refused: list[str] = []

    def publish(self, _: str, data: bytes, *, ordering_key: str = "", **attributes: str) -> Future[str]:
        answer: Future[str] = Future()
        why = topic_refuses(data, attributes, ordering_key)
        if why:
            self.refused.append(why)
            answer.set_exception(ValueError(why))
        else:
            self.taken.append((data, attributes, ordering_key))
            answer.set_result("1")
        return answer

    def resume_publish(self, _: str, ordering_key: str) -> None:
        return

    def shown(self) -> str:
        return str(self.taken)


def topic_refuses(data: bytes, attributes: dict[str, str], ordering_key: str = "") -> str:
    """Why Pub/Sub would not take a message; empty where it would."""
    size = len(data) + sum(len(text.encode()) for item in attributes.items() for text in item)
    if size > pubsub_limits.MAX_REQUEST:
        return pubsub_limits.too_large("request_size", size, pubsub_limits.MAX_REQUEST)
    return pubsub_limits.message_refused(data, attributes, ordering_key)
