"""What a consumer's role may do, computed from what the consumer does, as policy documents. Nothing else is granted.

Actions: https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazonsqs.html and its sisters.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

CONSUME = (
    "sqs:ChangeMessageVisibility",
    "sqs:DeleteMessage",
    "sqs:GetQueueAttributes",
    "sqs:GetQueueUrl",
    "sqs:ReceiveMessage",
)
"""Lambda polls with the function's role; visibility and URL are for our own delays.
https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-configure.html"""

SEND = ("sqs:SendMessage",)
STORE = ("dynamodb:DeleteItem", "dynamodb:GetItem", "dynamodb:PutItem")
"""Transactions have no actions of their own.
https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/transaction-apis-iam.html"""

LOGS = ("logs:CreateLogStream", "logs:PutLogEvents")
TRACES = ("xray:PutTelemetryRecords", "xray:PutTraceSegments")
NETWORK = (
    "ec2:AssignPrivateIpAddresses",
    "ec2:CreateNetworkInterface",
    "ec2:DeleteNetworkInterface",
    "ec2:DescribeNetworkInterfaces",
    "ec2:DescribeSubnets",
    "ec2:UnassignPrivateIpAddresses",
)
"""https://docs.aws.amazon.com/lambda/latest/dg/configuration-vpc.html#configuration-vpc-permissions"""

ANYWHERE = frozenset({*TRACES, *NETWORK})
"""The only actions that are granted on `*`: their services know no resource to name."""

KEY = ("kms:Decrypt", "kms:GenerateDataKey")
"""Reading needs the first; sending, hence dead letters, both.
https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-key-management.html"""

REDRIVE_DEAD_LETTERS = (
    "sqs:CancelMessageMoveTask",
    "sqs:DeleteMessage",
    "sqs:GetQueueAttributes",
    "sqs:ListMessageMoveTasks",
    "sqs:ReceiveMessage",
    "sqs:StartMessageMoveTask",
)
"""https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-configure-dead-letter-queue-redrive.html"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Grant:
    """Some actions on some ARNs."""

    name: str
    """The statement's id: letters and digits."""
    actions: tuple[str, ...]
    on: tuple[str, ...]
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Places:
    """ARNs of what a consumer works with."""

    queue: str
    dead_letters: str
    table: str
    logs: str
    """Of the log group, without `:*`."""
    sends: tuple[str, ...] = ()
    """Other queues."""
    key: str | None = None
    network: bool = False


def grants(places: Places) -> tuple[Grant, ...]:
    """A consumer's, in the order in which it needs them."""
    sends = tuple(dict.fromkeys((places.dead_letters, *places.sends)))
    found = [
        Grant(name="Consume", actions=CONSUME, on=(places.queue,), why="takes messages, settles them, delays them"),
        Grant(name="Send", actions=SEND, on=sends, why="publishes dead letters, and sends to the queues in uses="),
        Grant(name="Remember", actions=STORE, on=(places.table,), why="claims keys and records results"),
        Grant(name="Log", actions=LOGS, on=(f"{places.logs}:*",), why="its log group is made for it"),
        Grant(name="Trace", actions=TRACES, on=("*",), why="tracing is on; X-Ray knows no resource"),
    ]
    if places.key is not None:
        found.append(Grant(name="Key", actions=KEY, on=(places.key,), why="the queues have a key of your own"))
    if places.network:
        found.append(Grant(name="Network", actions=NETWORK, on=("*",), why="the function is in your VPC"))
    return tuple(found)


def send_grants(queue: str, key: str | None = None) -> tuple[Grant, ...]:
    """A producer's."""
    send = Grant(name="Send", actions=SEND, on=(queue,), why="sends to the queue")
    return (send,) if key is None else (send, Grant(name="Key", actions=KEY, on=(key,), why="encrypts what it sends"))


def redrive_grants(queue: str, dead_letters: str, key: str | None = None) -> tuple[Grant, ...]:
    """A person's who puts dead letters back. Name the destination: a dead letter that the function sent has no queue of origin."""
    found = (
        Grant(name="Redrive", actions=REDRIVE_DEAD_LETTERS, on=(dead_letters,), why="takes dead letters out"),
        Grant(name="Send", actions=SEND, on=(queue,), why="puts them back"),
    )
    return found if key is None else (*found, Grant(name="Key", actions=KEY, on=(key,), why="reads and encrypts them"))


def document(granted: Sequence[Grant]) -> str:
    """The policy of an identity."""
    return _policy([
        {"Sid": one.name, "Effect": "Allow", "Action": list(one.actions), "Resource": _one_or_all(one.on)}
        for one in granted
    ])  # fmt: skip


def assumed_by_lambda() -> str:
    """Who may take the role."""
    principal = {"Service": "lambda.amazonaws.com"}
    return _policy([{"Effect": "Allow", "Action": "sts:AssumeRole", "Principal": principal}])


def tls_only(queue: str) -> str:
    """A queue's own policy: nothing without TLS, whoever asks.
    https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-security-best-practices.html"""
    insecure = {"Bool": {"aws:SecureTransport": "false"}}
    return _policy([
        {"Sid": "OnlyTls", "Effect": "Deny", "Principal": "*", "Action": "sqs:*", "Resource": queue, "Condition": insecure}
    ])  # fmt: skip


def redrive(dead_letters: str, receives: int) -> str:
    """Where SQS moves a message after so many receives."""
    return json.dumps({"deadLetterTargetArn": dead_letters, "maxReceiveCount": receives})


def redrive_allow(queue: str) -> str:
    """Whose messages the dead letters take."""
    return json.dumps({"redrivePermission": "byQueue", "sourceQueueArns": [queue]})


def _policy(statements: Sequence[Mapping[str, Any]]) -> str:
    return json.dumps({"Version": "2012-10-17", "Statement": list(statements)})


def _one_or_all(arns: tuple[str, ...]) -> str | list[str]:
    return arns[0] if len(arns) == 1 else list(arns)
