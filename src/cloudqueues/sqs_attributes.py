"""Attributes of queues that SQS refuses and moto accepts, with the error codes of SQS.

https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_CreateQueue.html
https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_SetQueueAttributes.html
"""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Mapping
from typing import Any, NoReturn

from cloudqueues import aws_models
from cloudqueues.errors import ConfigError
from cloudqueues.quotas.aws import (
    DATA_KEY_SECONDS,
    DELAY_SECONDS,
    LEAST_DATA_KEY_SECONDS,
    LEAST_MESSAGE_BYTES,
    LEAST_RETENTION_SECONDS,
    MESSAGE_BYTES,
    POLL_SECONDS,
    QUEUE_NAME,
    RECEIVES,
    RETENTION_SECONDS,
    VISIBILITY_SECONDS,
)
from cloudqueues.sqs_checks import FIFO, Refused, Request

NUMBERS = {
    "DelaySeconds": (0, DELAY_SECONDS),
    "KmsDataKeyReusePeriodSeconds": (LEAST_DATA_KEY_SECONDS, DATA_KEY_SECONDS),
    "MaximumMessageSize": (LEAST_MESSAGE_BYTES, MESSAGE_BYTES),
    "MessageRetentionPeriod": (LEAST_RETENTION_SECONDS, RETENTION_SECONDS),
    "ReceiveMessageWaitTimeSeconds": (0, POLL_SECONDS),
    "VisibilityTimeout": (0, VISIBILITY_SECONDS),
}
"""Least and largest value of each numeric attribute of a queue."""

WORDS = {
    "ContentBasedDeduplication": ("true", "false"),
    "DeduplicationScope": ("messageGroup", "queue"),
    "FifoQueue": ("true",),
    "FifoThroughputLimit": ("perQueue", "perMessageGroupId"),
    "SqsManagedSseEnabled": ("true", "false"),
}
"""Values of each attribute that has an enumeration."""

DOCUMENTS = ("Policy", "RedriveAllowPolicy")
"""Attributes that are JSON objects, beside RedrivePolicy. An empty text removes one."""

OF_FIFO = ("ContentBasedDeduplication", "DeduplicationScope", "FifoQueue", "FifoThroughputLimit")
"""Attributes that a standard queue does not have, whatever their values.
https://github.com/aws/aws-sdk-php/issues/1331"""

READ_ONLY = (
    "All",
    "ApproximateNumberOfMessages",
    "ApproximateNumberOfMessagesDelayed",
    "ApproximateNumberOfMessagesNotVisible",
    "CreatedTimestamp",
    "LastModifiedTimestamp",
    "QueueArn",
)
"""Attributes that can be read and not set."""

_NAME = re.compile(rf"[A-Za-z0-9_-]{{1,{QUEUE_NAME}}}")
_FIFO_NAME = re.compile(rf"[A-Za-z0-9_-]{{1,{QUEUE_NAME - len(FIFO)}}}\{FIFO}")


def check_creation(request: Request) -> None:
    """Check a CreateQueue request. Raises Refused."""
    name, attributes = str(request.get("QueueName")), _attributes(request)
    if attributes.get("FifoQueue") == "true":
        if not _FIFO_NAME.fullmatch(name):
            raise Refused(
                "InvalidParameterValue",
                "The name of a FIFO queue can only include alphanumeric characters, hyphens, or underscores, must end with"
                f" {FIFO} suffix and be 1 to {QUEUE_NAME} in length",
            )
    elif not _NAME.fullmatch(name):
        raise Refused(
            "InvalidParameterValue",
            f"Can only include alphanumeric characters, hyphens, or underscores. 1 to {QUEUE_NAME} in length",
        )
    _check(attributes, fifo=name.endswith(FIFO))


def check_change(request: Request) -> None:
    """Check a SetQueueAttributes request. Raises Refused."""
    _check(_attributes(request), fifo=str(request.get("QueueUrl")).endswith(FIFO))


def _attributes(request: Request) -> Mapping[str, str]:
    return {name: str(value) for name, value in (request.get("Attributes") or {}).items()}


def _check(attributes: Mapping[str, str], *, fifo: bool) -> None:
    settable = set(settable_names()) - set(() if fifo else OF_FIFO)
    for name, value in attributes.items():
        if name not in settable:
            raise Refused("InvalidAttributeName", f"Unknown Attribute {name}.")
        if not _fits(name, value):
            raise Refused("InvalidAttributeValue", f"Invalid value for the parameter {name}.")
    if redrive_policy := attributes.get("RedrivePolicy"):
        _check_redrive_policy(redrive_policy)


def _check_redrive_policy(text: str) -> None:
    """Check a RedrivePolicy. Raises Refused.

    https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-dead-letter-queues.html
    """
    policy = _object(text)
    if policy is None:
        _refuse_redrive_policy(text, "Redrive policy is not a valid JSON map.")
    for name in ("deadLetterTargetArn", "maxReceiveCount"):
        if name not in policy:
            _refuse_redrive_policy(text, f"Redrive policy does not contain mandatory attribute: {name}.")
    count = str(policy["maxReceiveCount"])
    if not _is_within(count, 1, RECEIVES):
        why = f"Invalid value for maxReceiveCount: {count}, valid values are from 1 to {RECEIVES} both inclusive."
        _refuse_redrive_policy(text, why)


def _refuse_redrive_policy(text: str, why: str) -> NoReturn:
    raise Refused("InvalidParameterValue", f"Value {text} for parameter RedrivePolicy is invalid. Reason: {why}")


def settable_names() -> tuple[str, ...]:
    """Return the names of the attributes that can be set, from botocore's model of SQS."""
    return tuple(name for name in aws_models.enumeration("sqs", "QueueAttributeName") if name not in READ_ONLY)


def _fits(name: str, value: str) -> bool:
    if name in NUMBERS:
        return _is_within(value, *NUMBERS[name])
    if name in DOCUMENTS:
        return not value or _object(value) is not None
    return value in WORDS.get(name, (value,))


def _is_within(text: str, least: int, largest: int) -> bool:
    return text.isascii() and text.isdigit() and least <= int(text) <= largest


def _object(text: str) -> dict[str, Any] | None:
    """Return the JSON object that a text is, or None."""
    try:
        document = json.loads(text)
    except ValueError:
        return None
    return document if isinstance(document, dict) else None


def check_keywords(attributes: Mapping[str, Any]) -> None:
    """Check the keywords of `queue()`. Raises ConfigError for an unknown one, with the nearest name."""
    names = settable_names()
    for name in attributes:
        if name not in names:
            near = difflib.get_close_matches(name, names, 1)
            hint = f"did you mean {near[0]!r}?" if near else f"attributes are {', '.join(sorted(names))}"
            raise ConfigError(f"queue() takes no {name}=: {hint}")
