"""Permissions of a consumer's role as policy documents, computed from the consumer. Nothing else is granted.

Actions: https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazonsqs.html and the pages of the other services.
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
"""Lambda polls with the function's role; visibility and URL are for peeklock's delays.
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
"""The only actions that are granted on `*`: their services have no resource to name."""

KEY = ("kms:Decrypt", "kms:GenerateDataKey")
"""Receiving needs the first; sending, hence dead-lettering, needs both.
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
class ConsumerArns:
    """ARNs of the resources that a consumer uses."""

    queue: str
    dead_letters: str
    table: str
    logs: str
    """ARN of the log group, without `:*`."""
    sends: tuple[str, ...] = ()
    """ARNs of other queues."""
    key: str | None = None
    network: bool = False


def grants(arns: ConsumerArns) -> tuple[Grant, ...]:
    """Return the grants of a consumer, in the order in which it needs them."""
    sends = tuple(dict.fromkeys((arns.dead_letters, *arns.sends)))
    granted = [
        Grant(name="Consume", actions=CONSUME, on=(arns.queue,), why="receives, settles and delays messages"),
        Grant(name="Send", actions=SEND, on=sends, why="publishes dead letters, and sends to the queues in uses="),
        Grant(name="Remember", actions=STORE, on=(arns.table,), why="claims keys and records results"),
        Grant(name="Log", actions=LOGS, on=(f"{arns.logs}:*",), why="writes logs; its log group exists already"),
        Grant(name="Trace", actions=TRACES, on=("*",), why="tracing is on; X-Ray has no resource to name"),
    ]
    if arns.key is not None:
        granted.append(Grant(name="Key", actions=KEY, on=(arns.key,), why="the queues are encrypted with your key"))
    if arns.network:
        granted.append(Grant(name="Network", actions=NETWORK, on=("*",), why="the function is in your VPC"))
    return tuple(granted)


def send_grants(queue: str, key: str | None = None) -> tuple[Grant, ...]:
    """Return the grants of a producer."""
    send = Grant(name="Send", actions=SEND, on=(queue,), why="sends to the queue")
    return (send,) if key is None else (send, Grant(name="Key", actions=KEY, on=(key,), why="encrypts the messages"))


def redrive_grants(queue: str, dead_letters: str, key: str | None = None) -> tuple[Grant, ...]:
    """Return the grants of an operator who redrives dead letters. Name the destination: a dead letter that the function sent has
    no queue of origin."""
    granted = (
        Grant(
            name="Redrive", actions=REDRIVE_DEAD_LETTERS, on=(dead_letters,), why="receives and deletes dead letters"
        ),
        Grant(name="Send", actions=SEND, on=(queue,), why="sends them to the queue"),
    )
    return (
        granted
        if key is None
        else (*granted, Grant(name="Key", actions=KEY, on=(key,), why="decrypts and encrypts the messages"))
    )


def document(granted: Sequence[Grant]) -> str:
    """Return the policy document of an identity."""
    return _policy([
        {"Sid": grant.name, "Effect": "Allow", "Action": list(grant.actions), "Resource": _one_or_all(grant.on)}
        for grant in granted
    ])  # fmt: skip


def assumed_by_lambda() -> str:
    """Return the policy that lets Lambda assume a role."""
    principal = {"Service": "lambda.amazonaws.com"}
    return _policy([{"Effect": "Allow", "Action": "sts:AssumeRole", "Principal": principal}])


def tls_only(queue: str) -> str:
    """Return a queue's policy that denies every request without TLS.
    https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-security-best-practices.html"""
    insecure = {"Bool": {"aws:SecureTransport": "false"}}
    return _policy([
        {"Sid": "OnlyTls", "Effect": "Deny", "Principal": "*", "Action": "sqs:*", "Resource": queue, "Condition": insecure}
    ])  # fmt: skip


def redrive(dead_letters: str, receives: int) -> str:
    """Return the redrive policy: the dead-letter queue, and the receives after which SQS moves a message there."""
    return json.dumps({"deadLetterTargetArn": dead_letters, "maxReceiveCount": receives})


def redrive_allow(queue: str) -> str:
    """Return the policy that lets only this queue use the dead-letter queue."""
    return json.dumps({"redrivePermission": "byQueue", "sourceQueueArns": [queue]})


def _policy(statements: Sequence[Mapping[str, Any]]) -> str:
    return json.dumps({"Version": "2012-10-17", "Statement": list(statements)})


def _one_or_all(arns: tuple[str, ...]) -> str | list[str]:
    return arns[0] if len(arns) == 1 else list(arns)
