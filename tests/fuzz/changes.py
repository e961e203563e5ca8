"""Changes that keep a platform's form: a field of its own with another value. One tuple a platform."""

from __future__ import annotations

import json
from collections.abc import Callable
from random import Random
from typing import Any

from tests.fuzz.mutate import SECRET, TEXTS, Change, any_value, body, encoded, lineage

CREDENTIALS = (
    *("authorization", "Cookie", "Proxy-Authorization", "X-Api-Key", "x-auth-token", "x-goog-iap-jwt-assertion"),
    "set-cookie",
)
NAMES = (
    "tenant",
    "priority",
    "Content-Type",
    "ce-id",
    "ce-specversion",
    "трубка",
    "a.b",
    "goog-x",
    "x" * 200,
    "peeklock-x",
)
SIZES = (1, 200, 1000, 5000, 9000)
COUNTS = ("1", "2", "3", "4", "9", "40", "0", "-1", "", "x", "1" * 30, 1, 3, 2.5, None, True)


def safely(change: Change) -> Change:
    """A change of a place that an earlier one may have removed."""

    def changed(event: Any, random: Random) -> None:
        try:
            change(event, random)
        except (KeyError, TypeError, IndexError, AttributeError, ValueError, RecursionError):
            return

    return changed


def _attribute(random: Random) -> tuple[str, str]:
    value = random.choice((random.choice(TEXTS), random.choice(("x", "é")) * random.choice(SIZES)))
    return random.choice((*NAMES, f"n{random.randrange(100)}")), value


# -- SQS


def _record(event: Any, random: Random) -> Any:
    return random.choice(event["Records"])


def sqs_body(event: Any, random: Random) -> None:
    _record(event, random)["body"] = body(random).decode("utf-8", "replace")


def sqs_lineage(event: Any, random: Random) -> None:
    value = {"stringValue": lineage(random), "dataType": "String"}
    _record(event, random).setdefault("messageAttributes", {})["peeklock"] = value


def sqs_attributes(event: Any, random: Random) -> None:
    carried = _record(event, random).setdefault("messageAttributes", {})
    for _ in range(random.choice((1, 1, 3, 9, 12))):
        name, value = _attribute(random)
        kind = random.choice(("String", "String", "Number", "String.uuid", "Binary", "Binary.png"))
        field = "binaryValue" if kind.startswith("Binary") else "stringValue"
        carried[name] = {
            field: encoded(value.encode("utf-8", "replace")) if field[0] == "b" else value,
            "dataType": kind,
        }


def sqs_count(event: Any, random: Random) -> None:
    _record(event, random)["attributes"]["ApproximateReceiveCount"] = random.choice(COUNTS)


def sqs_twice(event: Any, random: Random) -> None:
    """The same message again, under its id or another."""
    again = json.loads(json.dumps(_record(event, random)))
    again["messageId"] = random.choice((again["messageId"], f"m-{random.randrange(5)}"))
    event["Records"].insert(random.randrange(len(event["Records"]) + 1), again)


def sqs_group(event: Any, random: Random) -> None:
    """Groups of a FIFO queue, in one event with the records of another queue."""
    changed = _record(event, random)
    changed["attributes"]["MessageGroupId"] = random.choice(("a", "b", "", "é", 1))
    changed["eventSourceARN"] = f"arn:aws:sqs:eu-west-1:123456789012:orders{random.choice(('.fifo', '.fifo', ''))}"


def sqs_time(event: Any, random: Random) -> None:
    _record(event, random)["attributes"]["SentTimestamp"] = random.choice((*TEXTS, "1795571683209", "1"))


# -- pushes over HTTP


def push_body(event: Any, random: Random) -> None:
    event.pop("bodyBase64", None)
    event["body"] = body(random).decode("utf-8", "replace")


def push_bytes(event: Any, random: Random) -> None:
    event.pop("body", None)
    event["bodyBase64"] = encoded(body(random))


def push_lineage(event: Any, random: Random) -> None:
    event["headers"][random.choice(("x-peeklock", "X-Peeklock"))] = lineage(random)


def push_packed(event: Any, random: Random) -> None:
    packed = {f"a{n}": any_value(random) for n in range(random.choice((0, 1, 5)))}
    text = json.dumps(packed)
    event["headers"]["x-peeklock-attributes"] = random.choice((encoded(text.encode()), text, random.choice(TEXTS)))


def push_headers(event: Any, random: Random) -> None:
    for _ in range(random.choice((1, 3, 30))):
        name, value = _attribute(random)
        event["headers"][name] = value


def push_credential(event: Any, random: Random) -> None:
    event["headers"][random.choice(CREDENTIALS)] = f"Bearer {SECRET}"


def task_count(event: Any, random: Random) -> None:
    event["headers"]["X-CloudTasks-TaskRetryCount"] = str(random.choice(COUNTS))


def task_time(event: Any, random: Random) -> None:
    event["headers"]["X-CloudTasks-TaskETA"] = random.choice((*TEXTS, "1795572530.996162", "1"))


def task_name(event: Any, random: Random) -> None:
    event["headers"]["X-CloudTasks-TaskName"] = random.choice(("t-1", "t-2", "é", "x" * 500, *TEXTS))


# -- Pub/Sub's wrapper


def within(change: Callable[[Any, Random], None]) -> Change:
    """A change of the message in the wrapper, which is JSON in the body of a request."""

    def changed(event: Any, random: Random) -> None:
        wrapped = json.loads(event["body"])
        change(wrapped, random)
        event["body"] = json.dumps(wrapped)

    return changed


def pubsub_data(wrapped: Any, random: Random) -> None:
    wrapped["message"]["data"] = random.choice((encoded(body(random)), encoded(body(random)), None, "", "%", 5))


def pubsub_lineage(wrapped: Any, random: Random) -> None:
    wrapped["message"].setdefault("attributes", {})["peeklock"] = lineage(random)


def pubsub_attributes(wrapped: Any, random: Random) -> None:
    carried = wrapped["message"].setdefault("attributes", {})
    for _ in range(random.choice((1, 3, 95, 99))):
        name, value = _attribute(random)
        carried[name[:200]] = value[:500]


def pubsub_delivery(wrapped: Any, random: Random) -> None:
    wrapped["deliveryAttempt"] = random.choice(COUNTS)


def pubsub_key(wrapped: Any, random: Random) -> None:
    wrapped["message"]["orderingKey"] = random.choice(("a", "b", *TEXTS))


# -- Service Bus


def bus_body(event: Any, random: Random) -> None:
    data = event["inputData"][0]["data"]
    if "bytes" in data:
        data["bytes"] = encoded(body(random))
    else:
        bodies = data["collectionBytes"]["bytes"]
        bodies[random.randrange(len(bodies))] = encoded(body(random))


def bus_metadata(event: Any, random: Random) -> None:
    """One column or field of the metadata, in its own form."""
    fields = event["triggerMetadata"]
    value = fields[random.choice(sorted(fields))]
    (kind,) = value
    value[kind] = random.choice(TEXTS) if kind in ("string", "json") else any_value(random)


def bus_properties(event: Any, random: Random) -> None:
    fields = event["triggerMetadata"]
    for name in ("ApplicationProperties", "ApplicationPropertiesArray"):
        if name in fields:
            inner = json.loads(fields[name]["json"])
            properties = random.choice(inner) if isinstance(inner, list) else inner
            for _ in range(random.choice((1, 3, 20))):
                key, value = _attribute(random)
                properties[key] = random.choice((value, value, 7, True, None, 1.5))
            if random.random() < 0.5:
                properties["peeklock"] = lineage(random)
            if random.random() < 0.1:
                properties["DeadLetterReason"] = random.choice(TEXTS)
            fields[name]["json"] = json.dumps(inner)


def bus_count(event: Any, random: Random) -> None:
    fields = event["triggerMetadata"]
    if "DeliveryCount" in fields:
        fields["DeliveryCount"]["json"] = json.dumps(random.choice((1, 2, 3, 9, 40, 0)))
    else:
        counts = json.loads(fields["DeliveryCountArray"]["json"])
        counts[random.randrange(len(counts))] = random.choice((1, 2, 3, 9, 40, 0))
        fields["DeliveryCountArray"]["json"] = json.dumps(counts)


def bus_id(event: Any, random: Random) -> None:
    event["triggerMetadata"]["MessageId"] = {"string": random.choice(("order-1", "o-1", "x" * 128, "é", ""))}


PUSH = (push_body, push_bytes, push_lineage, push_packed, push_headers, push_credential)
_WRAPPED = tuple(
    within(change)
    for change in (pubsub_data, pubsub_data, pubsub_lineage, pubsub_attributes, pubsub_delivery, pubsub_key)
)

CHANGES: dict[str, tuple[Change, ...]] = {
    "sqs": (sqs_body, sqs_body, sqs_lineage, sqs_attributes, sqs_count, sqs_twice, sqs_group, sqs_time),
    "cloudtasks": (*PUSH, push_body, task_count, task_time, task_name),
    "pubsub": (*_WRAPPED, push_credential, push_headers, push_lineage),
    "servicebus": (bus_body, bus_body, bus_metadata, bus_properties, bus_count, bus_id),
}
CHANGES = {platform: tuple(map(safely, changes)) for platform, changes in CHANGES.items()}
