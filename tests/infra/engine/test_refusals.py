"""The stack's settings as the real providers take them, and programs that never end."""

from __future__ import annotations

import os
import threading

import pytest

from cloudqueues.pulumi.engine import EngineError

pytestmark = [pytest.mark.servers, pytest.mark.timeout(180)]

REGION = "config:\n  aws:region: eu-west-1\n"
QUEUE = "import pulumi, pulumi_aws as aws\npulumi.export('name', aws.sqs.Queue('orders').name)\n"


@pytest.mark.parametrize(
    ("autonaming", "name"),
    [
        ("{mode: verbatim}", "orders"),
        ("{pattern: '${project}-${name}'}", "shop-orders"),
        ("{mode: default}", None),
    ],
)
def test_names_as_the_stack_wants_them(clouds, written, autonaming, name):
    """https://www.pulumi.com/docs/iac/concepts/resources/names/#configuring-auto-naming"""
    engine = clouds.engine("aws", written(QUEUE, config=f"{REGION}  pulumi:autonaming: {autonaming}\n"))
    engine.init("dev")
    engine.up("dev")
    actual = engine.outputs("dev")["name"]
    assert actual == name or (name is None and len(actual) == len("orders-1234567"))


def test_names_that_the_program_has_to_give(clouds, written):
    engine = clouds.engine("aws", written(QUEUE, config=f"{REGION}  pulumi:autonaming: {{mode: disabled}}\n"))
    engine.init("dev")
    with pytest.raises(EngineError, match="automatic naming is disabled"):
        engine.preview("dev")


GROUP = "import pulumi_azure_native as azure\nazure.resources.ResourceGroup('shop')\n"


@pytest.mark.parametrize(
    ("cloud", "main", "config", "words"),
    [
        ("aws", QUEUE, "config: {}\n", "missing region information"),
        ("aws", QUEUE, "config:\n  aws:region: mars-north-1\n", "invalid AWS Region: mars-north-1"),
        ("azure", GROUP, "config: {}\n", "missing required property 'location'"),
    ],
)
def test_a_place_is_not_invented(clouds, written, cloud, main, config, words):
    engine = clouds.engine(cloud, written(main, config=config))
    engine.init("dev")
    with pytest.raises(EngineError, match=words):
        engine.preview("dev")


@pytest.mark.parametrize(
    ("cloud", "main", "words"),
    [
        ("aws", "aws.sqs.Queue('orders', policy='{no')", ["policy: '{no': policy is a JSON object"]),
        (
            "aws",
            "aws.cloudwatch.MetricAlarm('late', comparison_operator='Bigger', evaluation_periods=1)",
            ["comparisonOperator: 'Bigger': is none of GreaterThanOrEqualToThreshold"],
        ),
        (
            "azure",
            "azure.resources.ResourceGroup('shop', location='mars')",
            ["location: 'mars': there is no such region"],
        ),
        (
            "gcp",
            "gcp.cloudtasks.Queue('orders', location='europe-west99', desired_state='PAUSE')",
            ["'europe-west99': there is no such region", "'PAUSE': desiredState is one of RUNNING"],
        ),
    ],
)
def test_values_that_the_cloud_refuses_end_the_preview(clouds, written, cloud, main, words):
    """Each in one line with the property, the value and the rule, and without a traceback."""
    package = {"azure": "pulumi_azure_native"}.get(cloud, f"pulumi_{cloud}")
    engine = clouds.engine(cloud, written(f"import {package} as {cloud}\n{main}\n", config=REGION))
    engine.init("dev")
    with pytest.raises(EngineError) as failed:
        engine.preview("dev")
    assert [text for text in words if text not in str(failed.value)] == []
    assert "Traceback" not in str(failed.value)


def test_a_place_from_the_configuration(clouds, written):
    engine = clouds.engine("azure", written(GROUP))
    engine.init("dev")
    engine.up("dev")
    (group,) = [resource for resource in engine.resources("dev") if resource["type"].endswith(":ResourceGroup")]
    assert group["outputs"]["location"] == "westeurope"


def test_a_program_that_never_ends(clouds, written, tmp_path):
    """It is stopped from outside and by the limit, with its child; the stack can be used after that."""
    fifo = tmp_path / "held"
    os.mkfifo(fifo)
    hanging = (
        "import subprocess, sys, signal\n"
        f"code = \"held = open({str(fifo)!r}, 'w'); held.write('begun\\\\n'); held.flush(); import signal; signal.pause()\"\n"
        "subprocess.run([sys.executable, '-c', code])\n"
    )
    folder = written(hanging)
    engine = clouds.engine("aws", folder, longest=20)
    engine.init("dev")

    def stop():
        with fifo.open() as reader:
            reader.readline()
            engine.stop()
            reader.read()

    stopping = threading.Thread(target=stop)
    stopping.start()
    with pytest.raises(EngineError, match="pulumi up"):
        engine.up("dev")
    stopping.join()
    reading = threading.Thread(target=fifo.read_text)
    reading.start()
    with pytest.raises(EngineError, match="stopped after 20 s, perhaps because the program waits"):
        engine.up("dev")
    reading.join()
    written(QUEUE)
    assert engine.up("dev").of("create") == ["orders"]
