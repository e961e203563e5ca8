"""Functions and queues from a program's state, where it says little, much, or what cannot be here."""

from __future__ import annotations

import json
import os
import queue
import threading
from contextlib import closing

import pytest

from cloudqueues.pulumi.environment import for_functions
from cloudqueues.sqs_lambda.queue import client
from peeklock.dev.deployed.aws import FUNCTION, MAPPING, QUEUE, AwsRunner, options
from peeklock.dev.deployed.local_context import LocalContext
from peeklock.errors import ConfigError

ARN = "arn:aws:sqs:eu-west-1:123456789012:orders"
LAMBDA = "arn:aws:lambda:eu-west-1:123456789012:function"


TELLING = """
import json, os
print("told", json.dumps({"cwd": os.getcwd(), "environment": dict(os.environ)}))
handler = print
"""
CANARIES = ("AWS_SECRET_ACCESS_KEY", "AWS_PROFILE", "AZURE_CLIENT_SECRET", "GOOGLE_APPLICATION_CREDENTIALS")
PATIENCE = 30


@pytest.fixture
def lines():
    """Lines that the functions print."""
    return queue.Queue()


@pytest.fixture
def deployed(tmp_path, lines):
    context = LocalContext(code=tmp_path, state=tmp_path, on_line=lambda _, line: lines.put(line))
    with closing(AwsRunner(context, tmp_path)) as runner:
        runner.open()
        yield runner


def function(name="f", **inputs):
    return {"type": FUNCTION, "inputs": {"name": name, "handler": "app.handler", **inputs}, "outputs": {}}


def mapping(name="f", **inputs):
    return {"type": MAPPING, "inputs": {"functionName": name, "eventSourceArn": ARN, **inputs}, "outputs": {}}


def test_aws_own_defaults(deployed):
    """Where the program says nothing."""
    (served,) = deployed.functions([mapping(), function()])
    assert (served.name, served.entry, served.environment) == ("f", "app.handler", {})
    assert (served.timeout, served.batch, served.concurrency, served.consuming) == (3, 10, 1000, True)
    assert served.changed == {"AWS_ENDPOINT_URL": deployed.variables()["AWS_ENDPOINT_URL"]}


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
    from_here = {"type": QUEUE, "inputs": {}, "outputs": {"arn": ARN, "url": "http://127.0.0.1:1/1/orders"}}
    elsewhere = [function(), mapping(eventSourceArn=f"{ARN}-2")]
    with pytest.raises(ConfigError, match=f"queue {ARN}-2 is not there: a queue that is brought along"):
        deployed.serve([from_here, *elsewhere], {})


def test_what_consumes_nothing_is_not_started(deployed):
    """The function's queue need not even exist."""
    deployed.serve([function(), mapping(enabled=False)], {})
    deployed.close()


def test_all_that_the_mapping_says():
    """Number by number, and the function's own."""
    asked = mapping(
        batchSize=50,
        maximumBatchingWindowInSeconds=3,
        scalingConfig={"maximumConcurrency": 7},
        functionResponseTypes=["ReportBatchItemFailures"],
        filterCriteria={"filters": [{"pattern": '{"body": {"a": [1]}}'}]},
    )
    assert options(function(timeout=60, memorySize=512)["inputs"], asked["inputs"]) == {
        "timeout": 60,
        "memory": 512,
        "batch_size": 50,
        "window": 3,
        "maximum_concurrency": 7,
        "report_failures": True,
        "filters": ['{"body": {"a": [1]}}'],
    }


def test_a_mapping_that_says_nothing():
    """A list of failures is not listened to then."""
    assert options(function()["inputs"], mapping()["inputs"]) == {
        "timeout": 3,
        "memory": 128,
        "batch_size": 10,
        "window": 0,
        "maximum_concurrency": None,
        "report_failures": False,
        "filters": [],
    }


def environment(**variables):
    return function(environment={"variables": variables})


@pytest.mark.parametrize("store", ["redis://:hunter2@prod.example:6379/0", "rediss://prod.example", "tables://a/t"])
def test_a_store_of_elsewhere(deployed, tmp_path, store):
    """Is a file here, whose name tells no password: a client of Redis would go past every proxy."""
    (function,) = deployed.functions([mapping(), environment(PEEKLOCK_STORE=store)])
    address = function.changed["PEEKLOCK_STORE"]
    assert address.startswith(f"sqlite://{tmp_path.resolve()}/")
    assert "hunter2" not in address
    assert function.environment == {"PEEKLOCK_STORE": store}


@pytest.mark.parametrize("store", ["dynamodb://shop-store", "sqlite:///tmp/a.db", "memory://"])
def test_a_store_of_here(deployed, store):
    """Stays as the program says."""
    (function,) = deployed.functions([mapping(), environment(PEEKLOCK_STORE=store)])
    assert set(function.changed) == {"AWS_ENDPOINT_URL"}


def test_an_endpoint_of_one_service(deployed):
    """Would go before the one of all."""
    (function,) = deployed.functions([mapping(), environment(AWS_ENDPOINT_URL_DYNAMODB="https://vpce-1.example")])
    endpoint = deployed.variables()["AWS_ENDPOINT_URL"]
    assert function.changed == {"AWS_ENDPOINT_URL": endpoint, "AWS_ENDPOINT_URL_DYNAMODB": endpoint}


@pytest.fixture
def orders(deployed):
    """A queue of the program's. It is deleted, since what moto has is the whole process's."""
    with closing(client(deployed.variables()["AWS_ENDPOINT_URL"], "eu-west-1")) as sqs:
        url = sqs.create_queue(QueueName="orders", Attributes={"VisibilityTimeout": "60"})["QueueUrl"]
        yield {"type": QUEUE, "inputs": {}, "outputs": {"arn": ARN, "url": url}}
        sqs.delete_queue(QueueUrl=url)


def polling():
    """Event sources at work in this process."""
    return [thread for thread in threading.enumerate() if thread.name == "cloudqueues-sqs-to-lambda-emulator"]


def test_a_process_sees_nothing_of_the_users(deployed, orders, lines, tmp_path, monkeypatch):
    """The process has the program's variables, those that are changed, and those that lead nowhere; it starts in the
    folder of its code."""
    for name in CANARIES:
        monkeypatch.setenv(name, "canary")
    (tmp_path / "app.py").write_text(TELLING)
    base = for_functions(os.environ, home=tmp_path, proxy_port=9)
    resources = [orders, mapping(), environment(A="1", PEEKLOCK_STORE="redis://prod.example")]
    deployed.serve(resources, base)
    report = json.loads(lines.get(timeout=PATIENCE).partition("told ")[2])
    (function,) = deployed.functions(resources)
    assert report["cwd"] == str(tmp_path)
    seen = report["environment"]
    assert "canary" not in seen.values()
    expected = {**base, **function.environment, **function.changed, "PYTHONPATH": seen["PYTHONPATH"]}
    assert {name: seen.get(name) for name in expected} == expected
    assert seen["PYTHONPATH"].split(os.pathsep)[0] == str(tmp_path)


def test_where_one_cannot_run_those_before_go_on(deployed, orders):
    """Those that ran before go on."""
    works = [orders, function("a"), mapping("a")]
    deployed.serve(works, {})
    deployed.serve(works, {})
    assert len(polling()) == 1
    with pytest.raises(ConfigError, match="is not there"):
        deployed.serve([*works, function("b"), mapping("b", eventSourceArn=f"{ARN}-2")], {})
    assert len(polling()) == 1
