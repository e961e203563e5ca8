"""Behaviour of the code against what the infrastructure expects of it: metrics that alarms watch, calls that a role
permits."""

from __future__ import annotations

import json
import time
from typing import Any

import boto3
import pytest
from aws_lambda_powertools import Metrics
from moto import mock_aws

from peeklock import Queue, consumer, send, sqs
from peeklock.infra.aws import identity
from peeklock.infra.aws.alarms import Names, alarms
from peeklock.infra.aws.environment import environment as told
from peeklock.infra.options import Capacity, Thresholds
from peeklock.infra.settings.aws import compute
from peeklock.observability.powertools import PowertoolsObserver
from peeklock.platforms.sqs.sender import SQSSender
from peeklock.stores.dynamodb import DynamoStore
from peeklock.stores.memory import MemoryStore
from peeklock.testing import Outbox
from tests.platforms.test_sqs import make_queue, poll, record
from tests.support import environment

QUEUE, NEXT = Queue("orders", first_delay=2), Queue("receipts")
ARN = "arn:aws:sqs:eu-west-1:123456789012:"


@consumer(QUEUE, key="id")
def handler(payload: dict) -> None:
    if payload.get("fail"):
        raise ValueError
    send(NEXT, payload)


@consumer(QUEUE)
def quiet(payload: dict) -> None:
    if payload.get("fail"):
        raise ValueError


def written(capsys) -> set[tuple[str, str, tuple[tuple[str, str], ...]]]:
    """Namespace, name and dimensions of each metric that went to standard output."""
    metrics = set()
    for line in map(json.loads, capsys.readouterr().out.splitlines()):
        for directive in line["_aws"]["CloudWatchMetrics"]:
            for names in directive["Dimensions"]:
                dimensions = tuple(sorted((name, line[name]) for name in names))
                metrics |= {(directive["Namespace"], metric["Name"], dimensions) for metric in directive["Metrics"]}
    return metrics


def test_alarms_watch_the_metrics_that_are_written(capsys):
    """The metrics come from a function in the environment that the program gives it, whose handler says `Metrics()` and
    no more."""
    variables = told(
        "shop",
        QUEUE,
        url="https://sqs.eu-west-1.amazonaws.com/123456789012/orders",
        dead_letters="l",
        table="t",
        parallel=1,
        uses={},
        variables={},
        secrets={},
    )
    sent = {"attributes": {"ApproximateReceiveCount": "1", "SentTimestamp": str(int(time.time() * 1000))}}
    records = [record("{}", messageId="a", **sent), record('{"fail":1}', messageId="b", **sent)]
    with environment(**variables):
        observer = PowertoolsObserver(metrics=Metrics())
        sqs.run_sample(quiet, {"Records": records}, store=MemoryStore(), dead_letter=Outbox(), observer=observer)
    names = Names(app="shop", queue="q", dead_letters="l", function="f")
    watched = {
        (metric.namespace, metric.name, tuple(sorted(metric.dimensions.items())))
        for alarm in alarms(QUEUE, compute(QUEUE, Capacity()), Thresholds(), names)
        for metric in alarm.signal.metrics
        if metric.namespace == "Peeklock"
    }
    assert len(watched) == 3
    assert watched <= written(capsys)


@pytest.fixture
def aws():
    """An account in memory: clients, and what each was asked for."""
    keys = dict.fromkeys(("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"), "testing")
    with environment(AWS_DEFAULT_REGION="eu-west-1", **keys), mock_aws():
        yield Account()


class Account:
    def __init__(self) -> None:
        self.sqs, self.dynamodb = boto3.client("sqs"), boto3.client("dynamodb")
        self.queue, self.dead_letters = make_queue(self.sqs), make_queue(self.sqs, "dead-letters")
        self.next = make_queue(self.sqs, "receipts")
        self.dynamodb.create_table(
            TableName="leases",
            BillingMode="PAY_PER_REQUEST",
            AttributeDefinitions=[{"AttributeName": "key", "AttributeType": "S"}],
            KeySchema=[{"AttributeName": "key", "KeyType": "HASH"}],
        )
        self.asked: set[tuple[str, str]] = set()

    def listen(self) -> None:
        """From now on, to what the function does."""
        for client in (self.sqs, self.dynamodb):
            client.meta.events.register("provide-client-params.*.*", self.hear)

    def hear(self, params: dict[str, Any], model: Any, **_: Any) -> None:
        service, name = model.service_model.service_name, model.name.removesuffix("Batch")
        on = params.get("QueueUrl", params.get("QueueName", params.get("TableName"))).rpartition("/")[2]
        self.asked.add((f"{service}:{name}", on))


def test_a_role_permits_what_the_function_does(aws):
    """Every call that a success, a failure and a dead letter make. Lambda itself receives and deletes."""
    for body in ('{"id": "1"}', '{"id": "2", "fail": 1}', '{"no": "id"}'):
        aws.sqs.send_message(QueueUrl=aws.queue, MessageBody=body)
    event = poll(aws.sqs, aws.queue)
    entry = sqs.bind(
        handler,
        client=aws.sqs,
        store=DynamoStore("leases", dynamodb=aws.dynamodb),
        dead_letter=SQSSender(aws.dead_letters, sqs=aws.sqs),
    )
    aws.listen()
    with environment(PEEKLOCK_RECEIPTS_URL=aws.next):
        assert len(entry(event)["batchItemFailures"]) == 1
    arns = identity.ConsumerArns(
        queue=f"{ARN}orders", dead_letters=f"{ARN}dead-letters", table="T/leases", logs="G", sends=(f"{ARN}receipts",)
    )
    permitted = {
        (action, on.rpartition("/" if "/" in on else ":")[2])
        for grant in identity.grants(arns)
        for action in grant.actions
        for on in grant.on
    }
    assert aws.asked <= permitted
    assert {action for action, _ in aws.asked} == {
        "sqs:ChangeMessageVisibility",
        "sqs:GetQueueUrl",
        "sqs:SendMessage",
        "dynamodb:PutItem",
    }
