"""infra/terraform reads what `peeklock settings aws --json` writes."""

from __future__ import annotations

import inspect
import json
import re
import warnings

import hcl2
import pulumi_aws
import pytest

from handlers.orders.queue import ORDERS, RECEIPTS
from peeklock.infra.portable import document
from peeklock.infra.portable.stackfile import read_stack
from tests.support import ROOT

FOLDER = ROOT / "infra" / "terraform"
FILES = {"queue": FOLDER / "queue" / "main.tf", "example": FOLDER / "main.tf"}

SDK = {
    "aws_sqs_queue": "sqs.Queue",
    "aws_sqs_queue_redrive_policy": "sqs.RedrivePolicy",
    "aws_sqs_queue_redrive_allow_policy": "sqs.RedriveAllowPolicy",
    "aws_sqs_queue_policy": "sqs.QueuePolicy",
    "aws_cloudwatch_log_group": "cloudwatch.LogGroup",
    "aws_iam_role": "iam.Role",
    "aws_iam_role_policy": "iam.RolePolicy",
    "aws_lambda_function": "lambda_.Function",
    "aws_lambda_alias": "lambda_.Alias",
    "aws_lambda_event_source_mapping": "lambda_.EventSourceMapping",
    "aws_cloudwatch_metric_alarm": "cloudwatch.MetricAlarm",
    "aws_dynamodb_table": "dynamodb.Table",
    "aws_sns_topic": "sns.Topic",
    "aws_sns_topic_subscription": "sns.TopicSubscription",
}
"""Class that Pulumi's bridge generates from each resource of the provider: its arguments have the provider's names."""

RENAMED = {
    "function_name": "name",
    "alarm_name": "name",
    "filename": "code",
    "metric_query": "metric_queries",
    "attribute": "attributes",
    "topic_arn": "topic",
}
"""Arguments that the bridge renames, as https://github.com/pulumi/pulumi-aws says in provider/resources.go."""

META = {"for_each", "depends_on", "lifecycle", "dynamic"}
"""Arguments of Terraform itself."""


@pytest.fixture(scope="module")
def described():
    stack = read_stack(ROOT / "infra" / "aws" / "Pulumi.prod.yaml", "shop")
    return json.loads(json.dumps(document("aws", stack, {queue.name: queue for queue in (ORDERS, RECEIPTS)})))


@pytest.fixture(params=FILES)
def file(request):
    return FILES[request.param]


def resources(file):
    with file.open(encoding="utf-8") as source:
        for block in hcl2.load(source)["resource"]:
            for kind, named in block.items():
                for body in named.values():
                    yield kind.strip('"'), body


def sdk(kind):
    module, _, name = SDK[kind].partition(".")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the SDK warns of resources of its own
        return getattr(getattr(pulumi_aws, module), name)


def test_every_argument_is_one_of_the_provider(file):
    for kind, body in resources(file):
        accepted = set(inspect.signature(sdk(kind)._internal_init).parameters)
        arguments = {name for name in body if not name.startswith("__")} - META
        arguments |= {name.strip('"') for dynamic in body.get("dynamic", ()) for name in dynamic if "__" not in name}
        unknown = {name for name in arguments if name not in accepted and RENAMED.get(name) not in accepted}
        assert unknown == set(), kind


def test_every_path_is_in_the_document(described, file):
    text = file.read_text(encoding="utf-8")
    orders = described["queues"]["orders"]
    alarm = orders["alarms"]["length"]
    roots = {
        r"local\.document": described,
        r"local\.(?:computed|filled)": orders,
        r"local\.names": orders["names"],
        r"local\.settings": orders["settings"],
    }
    if file == FILES["queue"]:
        roots |= {r"each\.value": alarm, r"metric_query\.value": alarm["metrics"][0]}
    paths = [
        (root, value, path) for root, value in roots.items() for path in re.findall(rf"\b{root}((?:\.\w+)+)", text)
    ]
    assert paths
    for root, value, path in paths:
        assert has(value, path), f"{root}{path}"


def has(value, path):
    key, _, rest = path.removeprefix(".").partition(".")
    return key in value and (not rest or has(value[key], rest))


def test_every_placeholder_is_replaced(described):
    """Each of the document, and no other."""
    text = FILES["queue"].read_text(encoding="utf-8")
    assert set(re.findall(r"\$\$\{(\w+)\}", text)) == set(re.findall(r"\$\{(\w+)\}", json.dumps(described)))


def test_runtime_and_processor_are_the_components():
    """A bundle is built for them."""
    from peeklock.infra.aws import functions

    (body,) = (body for kind, body in resources(FILES["queue"]) if kind == "aws_lambda_function")
    assert body["runtime"].strip('"') == functions.RUNTIME
    assert [name.strip('"') for name in body["architectures"]] == [functions.ARCHITECTURE]
