"""Values that AWS would refuse, planted in what the components register, and found by cfn-lint."""

from __future__ import annotations

import pulumi
import pytest

from handlers.orders.queue import ORDERS
from peeklock import Queue
from peeklock.infra.aws import App
from peeklock.infra.options import Capacity, Stage
from tests.infra.aws.cfn import findings
from tests.infra.running import bundled, run

PLANTED = {
    "aws:sqs/queue:Queue": {
        "visibility_timeout_seconds": 50_000,
        "message_retention_seconds": 10,
        "receive_wait_time_seconds": 30,
    },
    "aws:lambda/function:Function": {
        "timeout": 6000,
        "runtime": "python9.9",
        "memory_size": 64,
        "architectures": ["arm"],
    },
    "aws:lambda/eventSourceMapping:EventSourceMapping": {
        "batch_size": 20_000,
        "function_response_types": ["ReportFailures"],
        "scaling_config": {"maximum_concurrency": 1},
        "metrics_config": {"metrics": ["Events"]},
    },
    "aws:cloudwatch/metricAlarm:MetricAlarm": {
        "period": 45,
        "comparison_operator": "Bigger",
        "treat_missing_data": "fine",
    },
    "aws:dynamodb/table:Table": {"billing_mode": "FREE", "hash_key": "id"},
    "aws:cloudwatch/logGroup:LogGroup": {"retention_in_days": 8},
    "aws:iam/role:Role": {
        "assume_role_policy": '{"Version": "2012-10-17", "Statement": [{"Effect": "Perhaps"}]}',
    },
}


def app_with(bundle, queue=ORDERS, **options):
    def program():
        app = App("shop", bundle=bundle, stage=Stage(notify={"high": "a@example.com"}), **options)
        app.consumer(queue, handler="a.b", capacity=Capacity(batch=10), only=[{"body": {"kind": ["order"]}}])
        app.all()

    return run(program)


def planting(wrong):
    """A transform that changes the inputs that a resource has."""

    def plant(resource_args):
        mine = {
            key: value
            for key, value in wrong.get(resource_args.type_, {}).items()
            if resource_args.props.get(key) is not None
        }
        return (
            pulumi.ResourceTransformationResult({**resource_args.props, **mine}, resource_args.opts) if mine else None
        )

    return plant


@pytest.fixture(scope="module")
def bundle(tmp_path_factory):
    return str(bundled(tmp_path_factory.mktemp("bundle") / "aws.zip"))


@pytest.fixture(scope="module")
def all_findings(bundle):
    return "\n".join(findings(app_with(bundle, transform=planting(PLANTED))))


@pytest.mark.parametrize("queue", [ORDERS, Queue("ordered", fifo=True, timeout=60)])
def test_aws_would_take_a_consumer(bundle, queue):
    """AWS's schemas accept a standard queue and a FIFO one, with a key and in a VPC."""
    key = "arn:aws:kms:eu-west-1:123456789012:key/1"
    recorded = app_with(bundle, queue, key=key, subnets=["subnet-12345678"], security_groups=["sg-12345678"])
    assert findings(recorded) == []


@pytest.mark.parametrize(
    "said",
    [
        "ShopOrdersQueue/Properties: 50000 is greater than the maximum of 43200",
        "ShopOrdersQueue/Properties: 10 is less than the minimum of 60",
        "ShopOrdersQueue/Properties: 30 is greater than the maximum of 20",
        "6000 is greater than the maximum of",
        "'python9.9' is not one of",
        "64 is less than the minimum of 128",
        "'arm' is not one of",
        "20000 is greater than the maximum of 10000",
        "'ReportFailures' is not one of",
        "1 is less than the minimum of 2",
        "'Events' is not one of",
        "45 is not one of [10, 30, 60] or a multiple of 60",
        "'Bigger' is not one of",
        "'fine' is not one of",
        "'FREE' is not one of",
        "AttributeDefinitions: ['key'] and KeySchemas: ['id'] must match",
        "8 is not one of",
        "'Perhaps' is not one of",
    ],
)
def test_a_planted_error_is_found(all_findings, said):
    """The SDK took each of them."""
    assert said in all_findings


def test_a_function_that_outlives_the_lock_is_found(bundle):
    """Which Lambda refuses when the mapping is made."""
    wrong = {"aws:sqs/queue:Queue": {"visibility_timeout_seconds": 30}}
    assert any(finding.startswith("E3505") for finding in findings(app_with(bundle, transform=planting(wrong))))
