"""What the state of a program asks for, where it says little, much, or what cannot be here."""

from __future__ import annotations

from contextlib import closing

import pytest

from peeklock.dev.deployed.aws import FUNCTION, MAPPING, QUEUE, AwsDeployed
from peeklock.dev.deployed.place import Here
from peeklock.errors import ConfigError

ARN = "arn:aws:sqs:eu-west-1:123456789012:orders"
LAMBDA = "arn:aws:lambda:eu-west-1:123456789012:function"


@pytest.fixture
def deployed(tmp_path):
    here = Here(code=tmp_path, state=tmp_path, on_line=lambda *_: None)
    with closing(AwsDeployed(here, tmp_path)) as one:
        one.open()
        yield one


def function(name="f", **inputs):
    return {"type": FUNCTION, "inputs": {"name": name, "handler": "app.handler", **inputs}, "outputs": {}}


def mapping(name="f", **inputs):
    return {"type": MAPPING, "inputs": {"functionName": name, "eventSourceArn": ARN, **inputs}, "outputs": {}}


def test_aws_own_defaults(deployed):
    """Where the program says nothing."""
    (one,) = deployed.functions([mapping(), function()])
    assert (one.name, one.entry, one.environment) == ("f", "app.handler", {})
    assert (one.timeout, one.batch, one.concurrency, one.consuming) == (3, 10, 1000, True)
    assert one.changed == {"AWS_ENDPOINT_URL": deployed.variables()["AWS_ENDPOINT_URL"]}


def test_what_the_program_says(deployed):
    """Function by function, in the order of their names; one that nothing invokes is not among them."""
    resources = [
        mapping("b", batchSize=5, scalingConfig={"maximumConcurrency": 7}, enabled=False),
        mapping(f"{LAMBDA}:a:live"),
        function("b", timeout=60, environment={"variables": {"A": "1"}}),
        function("a"),
        function("alone"),
    ]
    a, b = deployed.functions(resources)
    assert (a.name, b.name) == ("a", "b")
    assert (b.timeout, b.batch, b.concurrency, b.consuming, b.environment) == (60, 5, 7, False, {"A": "1"})


@pytest.mark.parametrize(
    ("resources", "fix"),
    [
        ([mapping(eventSourceArn="arn:aws:kinesis:eu-west-1:1:stream/s"), function()], "only queues of SQS invoke one"),
        ([mapping("other"), function()], "function other is mapped to a queue, but the program does not make it"),
        (
            [mapping(), {"type": FUNCTION, "inputs": {"name": "f", "imageUri": "x"}}],
            "is an image, and those do not run here",
        ),
    ],
)
def test_what_does_not_run_here(deployed, resources, fix):
    """It says what to change."""
    with pytest.raises(ConfigError, match=fix):
        deployed.functions(resources)
    with pytest.raises(ConfigError, match=fix):
        deployed.serve(resources, {})


def test_a_queue_of_elsewhere(deployed):
    """Is not on this machine; then none of the functions runs."""
    here = {"type": QUEUE, "inputs": {}, "outputs": {"arn": ARN, "url": "http://127.0.0.1:1/1/orders"}}
    elsewhere = [function(), mapping(eventSourceArn=f"{ARN}-2")]
    with pytest.raises(ConfigError, match=f"queue {ARN}-2 is not there: a queue that is brought along"):
        deployed.serve([here, *elsewhere], {})


def test_what_consumes_nothing_is_not_started(deployed):
    """Its queue need not even be there."""
    deployed.serve([function(), mapping(enabled=False)], {})
    deployed.close()
