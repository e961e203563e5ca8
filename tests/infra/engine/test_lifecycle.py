"""The unmodified `pulumi` command, from `stack init` to `destroy`, read back from the emulators with the real SDKs."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import pytest
from azure.servicebus import ServiceBusClient, ServiceBusMessage

from cloudqueues.pulumi.aws_api import Clients
from tests.infra.engine.conftest import PROGRAMS

pytestmark = [pytest.mark.servers, pytest.mark.timeout(180)]

TIMEOUT = {"dev": 30, "prod": 60}
CONFIG = "config:\n  aws:region: eu-west-1\n  azure-native:location: westeurope\n"


class Aws:
    """Reads moto, and changes resources behind the engine's back."""

    updates = tuple({"orders-function": ("timeout",), "orders-queue": ("visibilityTimeoutSeconds",)}.items())
    created = 17

    def __init__(self, server):
        self.clients = Clients(server.endpoint_url)

    def seconds(self):
        url = self.clients["sqs"].get_queue_url(QueueName="orders")["QueueUrl"]
        said = self.clients["sqs"].get_queue_attributes(QueueUrl=url, AttributeNames=["VisibilityTimeout"])
        return int(said["Attributes"]["VisibilityTimeout"]) / 6

    def drift(self):
        url = self.clients["sqs"].get_queue_url(QueueName="orders")["QueueUrl"]
        policy = self.clients["sqs"].get_queue_attributes(QueueUrl=url, AttributeNames=["Policy"])["Attributes"]
        self.clients["sqs"].set_queue_attributes(QueueUrl=url, Attributes={"VisibilityTimeout": "5", **policy})

    def left(self):
        return [
            *self.clients["sqs"].list_queues().get("QueueUrls", []),
            *self.clients["lambda"].list_functions()["Functions"],
            *self.clients["lambda"].list_event_source_mappings()["EventSourceMappings"],
            *self.clients["iam"].list_roles()["Roles"],
            *self.clients["dynamodb"].list_tables()["TableNames"],
            *self.clients["cloudwatch"].describe_alarms()["MetricAlarms"],
            *self.clients["logs"].describe_log_groups()["logGroups"],
            *self.clients["sns"].list_topics()["Topics"],
        ]


class Azure:
    updates = tuple({"orders-queue": ("lockDuration",)}.items())
    created = 15

    def __init__(self, server):
        self.server = server

    def seconds(self):
        with ServiceBusClient.from_connection_string(self.server.connection_string) as client:
            with client.get_queue_sender("orders") as sender:
                sender.send_messages(ServiceBusMessage(b"one"))
            with client.get_queue_receiver("orders") as receiver:
                (message,) = receiver.receive_messages(max_wait_time=10)
                locked = message.locked_until_utc - datetime.now(UTC)
                receiver.complete_message(message)
        return round(locked.total_seconds() / 5) * 5

    def drift(self):
        self.server.entities.change("Queue", "orders", {"LockDuration": "PT5S"})

    def left(self):
        return [
            path for path in ("orders", "orders-events", "bills", "bills-events") if self.server.entities.settings(path)
        ]


class Gcp:
    updates = tuple({"orders-function": ("serviceConfig",), "orders-queue": ("retryConfig",)}.items())
    created = 14

    def __init__(self, server):
        self.client = server.client()
        self.parent = "projects/example-project/locations/europe-west1"

    def seconds(self):
        (queue,) = self.client.list_queues(parent=self.parent)
        return queue.retry_config.max_backoff.total_seconds() / 30

    def drift(self):
        (queue,) = self.client.list_queues(parent=self.parent)
        queue.retry_config.max_attempts = 3
        self.client.update_queue(queue=queue)

    def left(self):
        return list(self.client.list_queues(parent=self.parent))


WORLDS = {"aws": Aws, "azure": Azure, "gcp": Gcp}


@pytest.mark.parametrize("stack", TIMEOUT)
@pytest.mark.parametrize("cloud", WORLDS)
def test_from_init_to_destroy(clouds, cloud, stack):
    """Each command changes what it reports and nothing else, and none changes the project's files."""
    folder = PROGRAMS / cloud
    texts = files(folder)
    engine = clouds.engine(cloud, folder)
    world = WORLDS[cloud](clouds.server)
    before = world.left()

    engine.init(stack)
    is_made(engine, world, stack, before)
    is_changed(engine, world, stack)
    is_repaired(engine, world, stack)
    assert len(engine.destroy(stack).of("delete")) == world.created
    assert world.left() == before
    assert engine.resources(stack) == []
    assert files(folder) == texts
    assert engine.refused_addresses == ()


def files(folder):
    """Return the contents of all files but Python's bytecode, which is written beside a program."""
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file() and path.suffix != ".pyc"}


def is_made(engine, world, stack, before):
    """`up` creates what the preview announced, which itself creates nothing; after that nothing is left to do."""
    preview = engine.preview(stack)
    assert len(preview.of("create")) == world.created == len(preview.steps)
    assert "[unknown]" in preview.output
    assert world.left() == before
    assert engine.up(stack).of("create") == preview.of("create")
    assert world.seconds() == TIMEOUT[stack]
    assert engine.up(stack).steps == ()
    assert engine.refresh(stack).steps == ()


def is_changed(engine, world, stack):
    """One number, and exactly what follows from it."""
    for run in (engine.preview, engine.up):
        steps = run(stack, "--config", "timeout=45").steps
        assert {item.name: item.changed for item in steps} == dict(world.updates)
        assert {item.op for item in steps} == {"update"}
    assert world.seconds() == 45


def is_repaired(engine, world, stack):
    """A change behind the engine's back is found by `refresh`, and undone by `up`."""
    world.drift()
    assert [(item.op, item.name) for item in engine.refresh(stack).steps] == [("update", "orders-queue")]
    assert engine.up(stack).of("update") == ["orders-queue"]
    assert world.seconds() == 45
    assert engine.refresh(stack).steps == ()


@pytest.mark.parametrize(
    ("cloud", "type_"),
    [
        ("aws", "aws:sqs/queue:Queue"),
        ("azure", "azure-native:servicebus:Queue"),
        ("gcp", "gcp:serviceaccount/account:Account"),
    ],
)
def test_a_new_name_makes_a_new_one(clouds, cloud, type_, written):
    """A new resource is created before the old one is deleted."""
    main = {
        "aws": "import pulumi_aws as a\na.sqs.Queue('q', name=NAME)",
        "azure": "import pulumi_azure_native as a\n"
        "a.servicebus.Queue('q', resource_group_name='g', namespace_name='n', queue_name=NAME)",
        "gcp": "import pulumi_gcp as a\na.serviceaccount.Account('q', account_id=NAME)",
    }[cloud]
    folder = written(
        f"import pulumi\nNAME = pulumi.Config().require('name')\n{main}\n", config=f"{CONFIG}  name: orders\n"
    )
    engine = clouds.engine(cloud, folder)
    engine.init("dev")
    engine.up("dev")
    again = engine.up("dev", "--config", "name=invoices")
    assert [item.op for item in again.steps] == ["create-replacement", "delete-replaced", "replace"]
    assert {item.type for item in again.steps} == {type_}
    assert len([item for item in engine.resources("dev") if item["type"] == type_]) == 1


def test_what_is_protected_stays(clouds, written):
    """Neither `destroy` nor a replacement deletes it in the emulator."""
    main = (
        "import pulumi\nimport pulumi_aws as aws\n"
        "aws.sqs.Queue('q', name=pulumi.Config().require('name'), opts=pulumi.ResourceOptions(protect=True))\n"
    )
    engine = clouds.engine("aws", written(main, config=f"{CONFIG}  name: kept-orders\n"))
    engine.init("dev")
    engine.up("dev")
    for command in (lambda: engine.destroy("dev"), lambda: engine.up("dev", "--config", "name=kept-bills")):
        with pytest.raises(Exception, match="protect"):
            command()
    assert Clients(clouds.server.endpoint_url)["sqs"].get_queue_url(QueueName="kept-orders")


def test_a_function_as_it_was_made(clouds):
    """The mapping is disabled in moto, which would run it itself, and enabled in the engine's state."""
    engine = clouds.engine("aws", PROGRAMS / "aws")
    engine.init("dev")
    engine.up("dev")
    aws = Clients(clouds.server.endpoint_url)
    outputs = engine.outputs("dev")
    (mapping,) = [
        item
        for item in aws["lambda"].list_event_source_mappings()["EventSourceMappings"]
        if item["EventSourceArn"].endswith(":orders")
    ]
    assert (mapping["State"], mapping["BatchSize"]) == ("Disabled", 10)
    assert mapping["ScalingConfig"] == {"MaximumConcurrency": 5}
    (mapping_state,) = [item for item in engine.resources("dev") if item["type"].endswith(":EventSourceMapping")]
    assert mapping_state["outputs"]["state"] == "Enabled"
    function = aws["lambda"].get_function(FunctionName=mapping["FunctionArn"].rsplit(":", 1)[1])["Configuration"]
    assert (function["Timeout"], function["MemorySize"], function["Architectures"]) == (30, 512, ["arm64"])
    assert function["Environment"]["Variables"]["PEEKLOCK_STORE"].startswith("dynamodb://orders-store-")
    aws["sqs"].send_message(QueueUrl=outputs["queue"], MessageBody="one")
    (message,) = aws["sqs"].receive_message(
        QueueUrl=outputs["queue"], AttributeNames=["ApproximateReceiveCount"], WaitTimeSeconds=0
    )["Messages"]
    assert message["Attributes"]["ApproximateReceiveCount"] == "1"
    attributes = aws["sqs"].get_queue_attributes(QueueUrl=outputs["queue"], AttributeNames=["All"])["Attributes"]
    assert json.loads(attributes["RedrivePolicy"])["maxReceiveCount"] == 1000
    assert "sqs:*" in attributes["Policy"]
    engine.destroy("dev")


def test_ones_own_queue_is_read_only(clouds, written):
    """Looked up by its address or its name; neither `up` nor `destroy` touches it. One that is not there is an error."""
    main = (
        "import pulumi\nimport pulumi_aws as aws\nurl = pulumi.Config().require('url')\n"
        "theirs = aws.sqs.Queue.get('theirs', url)\n"
        "pulumi.export('seen', [theirs.arn, theirs.visibility_timeout_seconds, aws.sqs.get_queue(name='theirs').arn])\n"
    )
    engine = clouds.engine("aws", written(main))
    url = clouds.server.queue("theirs", VisibilityTimeout=77)
    engine.init("dev")
    assert engine.up("dev", "--config", f"url={url}").steps == ()
    arn = "arn:aws:sqs:eu-west-1:123456789012:theirs"
    assert engine.outputs("dev")["seen"] == [arn, 77, arn]
    engine.destroy("dev")
    assert clouds.server.client.get_queue_url(QueueName="theirs")["QueueUrl"] == url
    with pytest.raises(Exception, match="does not exist"):
        engine.up("dev", "--config", f"url={url}-not")


def test_a_secret_stays_one(clouds, written):
    """The engine hides it in its state and in what it prints; the function gets it."""
    main = (
        "import pulumi\nimport pulumi_aws as aws\nword = pulumi.Output.secret('open sesame')\n"
        'role = aws.iam.Role(\'r\', assume_role_policy=\'{"Version": "2012-10-17", "Statement": []}\')\n'
        "aws.lambda_.Function('f', name='with-a-secret', role=role.arn, runtime='python3.12',\n"
        "    handler='a.b', code=pulumi.AssetArchive({'a.py': pulumi.StringAsset('x = 1')}),\n"
        "    environment={'variables': {'WORD': word}})\npulumi.export('word', word)\n"
    )
    engine = clouds.engine("aws", written(main))
    engine.init("dev")
    output = engine.up("dev").output
    assert "[secret]" in output
    assert "open sesame" not in output + engine.command("stack", "export", "--stack", "dev")
    function = Clients(clouds.server.endpoint_url)["lambda"].get_function(FunctionName="with-a-secret")
    assert function["Configuration"]["Environment"]["Variables"] == {"WORD": "open sesame"}


def test_secrets_of_a_state(clouds, written):
    """They are in plain text, as a function on this machine needs them; also a secret within a secret."""
    program = """
import pulumi
import pulumi_aws as aws

inner = pulumi.Output.secret("hunter2")
aws.sqs.Queue("orders", tags=pulumi.Output.secret({"password": inner, "plain": "text"}))
"""
    engine = clouds.engine("aws", written(program))
    engine.init("dev")
    engine.up("dev")
    (queue,) = [item for item in engine.resources("dev") if item["type"] == "aws:sqs/queue:Queue"]
    assert queue["inputs"]["tags"] == {"password": "hunter2", "plain": "text"}
    assert queue["outputs"]["tags"] == queue["inputs"]["tags"]
