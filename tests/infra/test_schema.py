"""The check against the SDKs' own types finds what the runtime lets through."""

from __future__ import annotations

import pulumi
import pulumi_aws as aws
import pulumi_azure_native as azure
import pulumi_gcp as gcp
import pytest

from cloudqueues.pulumi.schema import UnknownType, outputs
from cloudqueues.pulumi.schema import problems as of_inputs
from tests.infra.recording import run_function
from tests.infra.schema import problems

GROUP = {"resource_group_name": "shop"}
BUS = {**GROUP, "namespace_name": "bus"}


def problems_of(program):
    return [problem for registration in run_function(program).registrations for problem in problems(registration)]


SOUND = [
    lambda: aws.sqs.Queue("q", visibility_timeout_seconds=30, tags={"a": "b"}),
    lambda: aws.lambda_.Function(
        "f", role="r", code=pulumi.FileArchive("x.zip"), environment={"variables": {"A": "b"}}, timeout=3.0
    ),
    lambda: aws.lambda_.EventSourceMapping("m", function_name="f", scaling_config={"maximum_concurrency": 2}),
    lambda: aws.cloudwatch.MetricAlarm(
        "a", comparison_operator="GreaterThanThreshold", evaluation_periods=1, threshold=0.5, alarm_actions=["arn"]
    ),
    lambda: azure.servicebus.Namespace(
        "n", **GROUP, sku=azure.servicebus.SBSkuArgs(name="Standard", tier="Standard"), minimum_tls_version="1.2"
    ),
    lambda: azure.servicebus.Queue("q", **BUS, lock_duration="PT1M", max_delivery_count=10, status="Active"),
    lambda: gcp.cloudtasks.Queue("q", location="l", retry_config={"max_attempts": -1}, rate_limits=None),
    lambda: gcp.projects.Service("s", service="run.googleapis.com", disable_on_destroy=False),
]


@pytest.mark.parametrize("program", SOUND)
def test_nothing_is_said_of_a_sound_one(program):
    """Nested objects, lists, maps, archives and enumerations of the three SDKs."""
    assert problems_of(program) == []


WRONG = [
    (lambda: aws.sqs.Queue("q", visibility_timeout_seconds="soon"), "q: visibilityTimeoutSeconds: 'soon' is no int"),
    (lambda: aws.sqs.Queue("q", visibility_timeout_seconds=1.5), "visibilityTimeoutSeconds: 1.5 is no int"),
    (lambda: aws.sqs.Queue("q", fifo_queue="yes"), "fifoQueue: 'yes' is no bool"),
    (lambda: aws.sqs.Queue("q", tags={"count": 1}), "tags['count']: 1 is no str"),
    (lambda: aws.lambda_.Function("f", role="r", code="x.zip"), "code: 'x.zip' is no Archive"),
    (lambda: aws.lambda_.Function("f", role="r", layers="arn"), "layers: 'arn' is no list"),
    (
        lambda: aws.lambda_.EventSourceMapping("m", function_name="f", scaling_config={"max_concurrency": 2}),
        "scalingConfig.max_concurrency: unknown; EventSourceMappingScalingConfigArgs has maximumConcurrency",
    ),
    (
        lambda: aws.lambda_.EventSourceMapping("m", function_name="f", scaling_config={"maximum_concurrency": "2"}),
        "scalingConfig.maximumConcurrency: '2' is no int",
    ),
    (lambda: aws.dynamodb.Table("t", attributes=[{"name": "id"}]), "attributes[0].type: missing"),
    (lambda: azure.servicebus.Namespace("n", **GROUP, sku={"name": "Standard", "tiers": 1}), "sku.tiers: unknown"),
    (
        lambda: azure.servicebus.Namespace("n", **GROUP, minimum_tls_version="1.9"),
        "minimumTlsVersion: '1.9' is none of",
    ),
    (lambda: azure.servicebus.Queue("q", **BUS, status="Running"), "status: 'Running' is none of"),
    (
        lambda: azure.web.WebApp("w", **GROUP, function_app_config={"runtime": {"name": "py"}}),
        "runtime.name: 'py' is none",
    ),
    (
        lambda: gcp.cloudtasks.Queue("q", location="l", retry_config={"maxAttempt": 5}),
        "retryConfig.maxAttempt: unknown",
    ),
    (
        lambda: gcp.cloudtasks.Queue("q", location="l", http_target={"oidc_token": {}}),
        "oidcToken.serviceAccountEmail: missing",
    ),
]


@pytest.mark.parametrize(("program", "said"), WRONG)
def test_what_is_wrong_is_said(program, said):
    """Once, and where."""
    (problem,) = problems_of(program)
    assert said in problem


@pytest.mark.parametrize(
    ("inputs", "said"),
    [
        ({"redrivePolicy": {"maxReceiveCount": 5}}, "redrivePolicy: {'maxReceiveCount': 5} is no str"),
        ({"tags": ["a"]}, "tags: ['a'] is no map"),
    ],
)
def test_what_the_runtime_stumbles_over_later(inputs, said):
    """It is said before that, where only inputs are seen."""
    assert of_inputs("aws:sqs/queue:Queue", inputs) == [said]


def test_types_that_nobody_has():
    """Neither a package nor a resource is guessed."""
    with pytest.raises(UnknownType, match="no SDK is installed for nowhere"):
        of_inputs("nowhere:a/b:C", {})
    with pytest.raises(UnknownType, match="pulumi_aws has no such resource"):
        of_inputs("aws:sqs/queue:Queues", {})


def test_outputs():
    """Their names and types are known too."""
    assert outputs("aws:sqs/queue:Queue")["arn"] is str
    assert "redrivePolicy" in outputs("aws:sqs/queue:Queue")
