"""Permissions of a consumer's role as policy documents, computed from the consumer. Nothing else is granted.

Actions: https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazonsqs.html and the pages of the other services.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from peeklock.errors import ConfigError
from peeklock.keywords import nearest
from peeklock.queue import Queue

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


SECRETS = {"secretsmanager": "secretsmanager:GetSecretValue", "ssm": "ssm:GetParameter"}
"""Action that reads a secret, by the service in its ARN."""

SOURCES = {"sns": "topic", "eventbridge": "rule", "s3": "bucket"}
FIFO_TOPICS = "https://docs.aws.amazon.com/sns/latest/dg/fifo-message-delivery.html"

ACCEPTED = {"sns": "sns", "eventbridge": "events", "s3": "s3"}
"""Services that may be let send to a queue, with the names of their principals."""

_STATEMENT = re.compile(r"[A-Za-z0-9]+")
_ACTION = re.compile(r"[a-z0-9-]+:[A-Za-z*]+")


@dataclass(frozen=True, slots=True, kw_only=True)
class Grant:
    """Some actions on some ARNs."""

    name: str
    """The statement's id: letters and digits."""
    actions: Sequence[str]
    on: Sequence[Any]
    """ARNs; in `app.consumer(grants=[...])` also outputs of other resources."""
    why: str = ""


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
    secrets: tuple[str, ...] = ()
    """ARNs of secrets and parameters."""


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
        granted.append(
            Grant(
                name="Key", actions=KEY, on=(arns.key,), why="queues, store and variables are encrypted with your key"
            )
        )
    if arns.network:
        granted.append(Grant(name="Network", actions=NETWORK, on=("*",), why="the function is in your VPC"))
    for service, action in SECRETS.items():
        if arns_of_service := tuple(arn for arn in arns.secrets if arn.split(":")[2] == service):
            granted.append(
                Grant(
                    name=f"Read{service.title()}",
                    actions=(action,),
                    on=arns_of_service,
                    why="reads the secrets in secrets=",
                )
            )
    return tuple(granted)


def check_grants(granted: Sequence[Grant]) -> None:
    """Raise ConfigError for a grant of a program whose statement IAM would refuse, or that would replace one of peeklock's."""
    names = {"Consume", "Send", "Remember", "Log", "Trace", "Key", "Network", "ReadSecretsmanager", "ReadSsm"}
    for grant in granted:
        if not _STATEMENT.fullmatch(grant.name):
            raise ConfigError(f"grants: name={grant.name!r}: use letters and digits only")
        if grant.name in names:
            raise ConfigError(f"grants: the name {grant.name!r} is taken; choose another one")
        names.add(grant.name)
        for action in grant.actions:
            if not _ACTION.fullmatch(action):
                raise ConfigError(f"grants: {grant.name}: {action!r} is no action such as s3:GetObject")
        if not grant.actions or not grant.on or isinstance(grant.on, str) or isinstance(grant.actions, str):
            raise ConfigError(f"grants: {grant.name}: give actions=[...] and the ARNs they are allowed on, on=[...]")


def check_secret(argument: str, arn: str) -> None:
    """Raise ConfigError for a reference that is no ARN of a secret or of a parameter."""
    if not re.fullmatch(
        r"arn:[a-z-]+:(secretsmanager:[a-z0-9-]+:\d{12}:secret|ssm:[a-z0-9-]+:\d{12}:parameter)[:/].+", arn
    ):
        raise ConfigError(
            f"{argument}: give the ARN of a secret in Secrets Manager or of a parameter in Parameter Store, not its value"
        )


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


def queue_policy(queue: str, sources: Sequence[tuple[str, str]] = ()) -> str:
    """Return a queue's policy, which denies every request without TLS and lets other services send. SQS keeps one policy a
    queue, so that it holds all of them. `sources`: services of ACCEPTED, each with the ARN of the topic, rule or bucket.
    https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-security-best-practices.html"""
    insecure = {"Bool": {"aws:SecureTransport": "false"}}
    return _policy([
        {"Sid": "OnlyTls", "Effect": "Deny", "Principal": "*", "Action": "sqs:*", "Resource": queue, "Condition": insecure},
        *(_accept(f"Accept{number}", service, arn, queue) for number, (service, arn) in enumerate(sources, 1)),
    ])  # fmt: skip


def _accept(name: str, service: str, arn: str, queue: str) -> dict[str, Any]:
    """Return the statement that lets a service send for one of its resources. A bucket's ARN names no account, hence the
    account of the queue is required: its name may belong to somebody else one day.
    https://docs.aws.amazon.com/AmazonS3/latest/userguide/grant-destinations-permissions-to-s3.html"""
    condition: dict[str, Any] = {"ArnEquals": {"aws:SourceArn": arn}}
    if service == "s3":
        condition["StringEquals"] = {"aws:SourceAccount": queue.split(":")[4]}
    return {
        "Sid": name,
        "Effect": "Allow",
        "Principal": {"Service": f"{ACCEPTED[service]}.amazonaws.com"},
        "Action": "sqs:SendMessage",
        "Resource": queue,
        "Condition": condition,
    }


def check_service(queue: Queue, service: str) -> None:
    """Raise ConfigError for a service that cannot send to the queue.
    https://docs.aws.amazon.com/AmazonS3/latest/userguide/notification-how-to-event-types-and-destinations.html"""
    if service not in SOURCES:
        raise ConfigError(f"queue {queue.name!r}: accept({service!r}): {nearest(service, SOURCES)}")
    if queue.fifo and service == "s3":
        raise ConfigError(
            f"queue {queue.name!r} is fifo, and S3 sends to standard queues only; send through EventBridge"
        )


def check_source(queue: Queue, service: str, arn: str) -> None:
    """Raise ConfigError for an ARN of another service, and for a source that cannot send to the queue."""
    if f":{ACCEPTED[service]}:" not in arn or not arn.startswith("arn:"):
        raise ConfigError(f"queue {queue.name!r}: accept({service!r}, {arn!r}): give the ARN of a {SOURCES[service]}")
    if queue.fifo and service == "sns" and not arn.endswith(".fifo"):
        raise ConfigError(f"queue {queue.name!r} is fifo, and only a FIFO topic sends to it: {FIFO_TOPICS}")


def redrive(dead_letters: str, receives: int) -> str:
    """Return the redrive policy: the dead-letter queue, and the receives after which SQS moves a message there."""
    return json.dumps({"deadLetterTargetArn": dead_letters, "maxReceiveCount": receives})


def redrive_allow(queue: str) -> str:
    """Return the policy that lets only this queue use the dead-letter queue."""
    return json.dumps({"redrivePermission": "byQueue", "sourceQueueArns": [queue]})


def _policy(statements: Sequence[Mapping[str, Any]]) -> str:
    return json.dumps({"Version": "2012-10-17", "Statement": list(statements)})


def _one_or_all(arns: Sequence[str]) -> str | list[str]:
    return arns[0] if len(arns) == 1 else list(arns)
