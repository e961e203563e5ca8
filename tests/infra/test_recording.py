"""The recording monitor: what a program says is what is recorded."""

from __future__ import annotations

import os
import sys
import threading
from pathlib import Path

import pulumi
import pulumi_aws as aws
import pulumi_azure_native as azure
import pulumi_gcp as gcp
import pytest

from cloudqueues.pulumi.fake_outputs import SUBSCRIPTION
from cloudqueues.pulumi.wire import UNKNOWN
from tests.infra.recording import run_function, run_program


class Pair(pulumi.ComponentResource):
    def __init__(self, name, opts=None):
        super().__init__("test:index:Pair", name, None, opts)
        within = pulumi.ResourceOptions(parent=self)
        self.dead_letters = aws.sqs.Queue(f"{name}-dead-letters", message_retention_seconds=1209600, opts=within)
        self.queue = aws.sqs.Queue(
            f"{name}-queue",
            redrive_policy=self.dead_letters.arn.apply(lambda arn: f'{{"deadLetterTargetArn": "{arn}"}}'),
            opts=pulumi.ResourceOptions(
                parent=self,
                protect=True,
                retain_on_delete=True,
                ignore_changes=["tags"],
                aliases=[pulumi.Alias(name="old")],
            ),
        )
        self.table = aws.dynamodb.Table(
            f"{name}-table", hash_key="id", opts=pulumi.ResourceOptions(parent=self, depends_on=[self.queue])
        )


def pair():
    created = Pair("orders")
    pulumi.export("url", created.queue.url)
    pulumi.export("batch", pulumi.Config().get_object("capacity", {}).get("batch"))


def program(folder: Path, main: str, config: str = "") -> Path:
    (folder / "Pulumi.yaml").write_text("name: shop\nruntime: python\n", encoding="utf-8")
    (folder / "Pulumi.dev.yaml").write_text(config, encoding="utf-8")
    (folder / "__main__.py").write_text(main, encoding="utf-8")
    return folder


def test_inputs_options_and_outputs():
    """All that a reviewer wants to see of a resource."""
    recorded = run_function(pair, config={"capacity": {"batch": 3}})
    queue = recorded.named("orders-queue")
    assert queue.urn == "urn:pulumi:dev::test::test:index:Pair$aws:sqs/queue:Queue::orders-queue"
    assert queue.inputs == {
        "redrivePolicy": '{"deadLetterTargetArn": "arn:aws:sqs:eu-west-1:123456789012:orders-dead-letters"}'
    }
    assert (queue.protect, queue.retain_on_delete, queue.custom, queue.read) == (True, True, True, False)
    assert (queue.ignore_changes, queue.aliases) == (("tags",), ("name=old",))
    assert queue.parent == recorded.named("orders").urn
    assert queue.property_dependencies == {"redrivePolicy": (recorded.named("orders-dead-letters").urn,)}
    assert recorded.outputs == {"url": "https://sqs.eu-west-1.amazonaws.com/123456789012/orders-queue", "batch": 3}
    dead_letters = recorded.named("orders-dead-letters")
    assert dead_letters.inputs == {"messageRetentionSeconds": 1209600}
    assert type(dead_letters.inputs["messageRetentionSeconds"]) is int


def test_dependencies_go_on():
    """The table waits for the queue, and so for its dead letters."""
    recorded = run_function(pair)
    dead_letters, queue, table = (recorded.named(f"orders-{part}") for part in ("dead-letters", "queue", "table"))
    assert recorded.depends(table, dead_letters)
    assert recorded.depends(queue, dead_letters)
    assert not recorded.depends(dead_letters, queue)
    assert recorded.of("aws:sqs/queue:Queue") == (dead_letters, queue)


def test_a_preview_knows_nothing_yet():
    """A value that only a real run can give is unknown; so is what is built upon it."""
    recorded = run_function(pair, preview=True)
    assert recorded.named("orders-queue").inputs == {"redrivePolicy": UNKNOWN}
    assert recorded.outputs["url"] == UNKNOWN
    with pytest.raises(Exception, match=r"was called|not supported|unsupported"):
        run_function(lambda: print(f"{1 + aws.sqs.Queue('one').arn}"), preview=True)


def test_a_program_of_a_folder(tmp_path):
    """Configured by its stack's file, run in its folder, and gone afterwards."""
    main = (
        "import os, pulumi, helper_of_this_test\n"
        "config = pulumi.Config()\n"
        "pulumi.export('seen', [os.getcwd(), pulumi.get_project(), pulumi.get_stack(), helper_of_this_test.X])\n"
        "pulumi.export('config', [config.require_bool('on'), config.require_int('n'), config.require_object('map')])\n"
        "pulumi.export('region', pulumi.Config('aws').require('region'))\n"
    )
    folder = program(tmp_path, main, "config:\n  shop:on: true\n  n: 3\n  map: {a: [1]}\n  aws:region: eu-west-1\n")
    (folder / "helper_of_this_test.py").write_text("X = 7\n", encoding="utf-8")
    before = (Path.cwd(), list(sys.path))
    recorded = run_program(folder, "dev")
    assert recorded.outputs == {
        "seen": [str(tmp_path), "shop", "dev", 7],
        "config": [True, 3, {"a": [1]}],
        "region": "eu-west-1",
    }
    assert (Path.cwd(), list(sys.path)) == before
    assert "helper_of_this_test" not in sys.modules
    assert run_program(folder, "dev", config={"n": 4}).outputs["config"] == [True, 4, {"a": [1]}]


def test_programs_in_several_threads(tmp_path):
    """One after the other, each with its own resources and configuration."""
    main = "import pulumi\nimport pulumi_aws as aws\naws.sqs.Queue(pulumi.Config().require('name'))\n"
    folder, names_by_program = program(tmp_path, main), {}

    def run(name):
        names_by_program[name] = [
            registration.name for registration in run_program(folder, "dev", config={"name": name}).registrations
        ]

    threads = [threading.Thread(target=run, args=(f"queue-{n}",)) for n in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert names_by_program == {f"queue-{n}": [f"queue-{n}"] for n in range(6)}


def test_what_fails_is_raised_and_quiet(tmp_path, capfd, caplog):
    """The program's own error, with no flood behind it, and the process is as before."""
    many = "import pulumi_aws as aws\nqueues = [aws.sqs.Queue(f'q{n}') for n in range(20)]\nraise KeyError('mine')\n"
    folder_before = Path.cwd()
    with pytest.raises(KeyError, match="mine"):
        run_program(program(tmp_path, many), "dev")
    twice = "import pulumi_aws as aws\naws.sqs.Queue('q')\naws.sqs.Queue('q')\n"
    with pytest.raises(Exception, match="registered twice"):
        run_program(program(tmp_path, twice), "dev")
    assert Path.cwd() == folder_before
    assert len(capfd.readouterr().err + caplog.text) < 2000
    assert run_function(pair).named("orders-queue")


def test_a_resource_that_is_only_read():
    """It is marked: the engine will never change it. A question without an answer is an error."""

    def main():
        aws.sqs.Queue.get("theirs", "https://sqs.eu-west-1.amazonaws.com/123456789012/theirs")
        pulumi.export("account", aws.get_caller_identity().account_id)

    recorded = run_function(main)
    (theirs,) = recorded.registrations
    assert (theirs.read, theirs.inputs["id"]) == (True, "https://sqs.eu-west-1.amazonaws.com/123456789012/theirs")
    assert recorded.outputs == {"account": "123456789012"}
    with pytest.raises(Exception, match="asks aws:index/getRegions"):
        run_function(lambda: aws.get_regions().names)


def test_assets_are_named():
    """An asset is recorded by its path or text, so that a snapshot can be read."""

    def main():
        archive = pulumi.AssetArchive({"a.txt": pulumi.StringAsset("hello"), "b": pulumi.FileAsset("b.txt")})
        aws.lambda_.Function("one", role="r", code=pulumi.FileArchive("code.zip"))
        aws.lambda_.Function("two", role="r", code=archive)

    recorded = run_function(main)
    assert recorded.named("one").inputs["code"] == {"$archive": "code.zip"}
    assert recorded.named("two").inputs["code"] == {
        "$archive": {"a.txt": {"$asset": "hello"}, "b": {"$asset": "b.txt"}}
    }


def test_invented_outputs_can_be_read():
    """Each looks like its cloud's, and no two resources share one."""

    def main():
        role, function = aws.iam.Role("role", assume_role_policy="{}"), aws.lambda_.Function("fn", role="r")
        table, topic = aws.dynamodb.Table("table"), aws.sns.Topic("topic", name="alarms")
        group = azure.resources.ResourceGroup("group", resource_group_name="shop")
        bus = azure.servicebus.Namespace("bus", resource_group_name=group.name, namespace_name="shop-bus")
        orders = azure.servicebus.Queue("orders", resource_group_name=group.name, namespace_name=bus.name)
        me = azure.managedidentity.UserAssignedIdentity("me", resource_group_name=group.name)
        queue = gcp.cloudtasks.Queue("orders", location="europe-west1", name="orders-1")
        account = gcp.serviceaccount.Account("runtime", account_id="shop-orders")
        service = gcp.cloudfunctionsv2.Function("fn", location="europe-west1", service_config={"timeout_seconds": 3})
        pulumi.export("aws", [role.arn, function.arn, table.arn, topic.arn])
        pulumi.export("azure", [bus.name, bus.service_bus_endpoint, orders.id, me.client_id, me.principal_id])
        pulumi.export("gcp", [queue.id, account.email, account.member, service.service_config.uri])

    assert run_function(main).outputs == {
        "aws": [
            "arn:aws:iam::123456789012:role/role",
            "arn:aws:lambda:eu-west-1:123456789012:function:fn",
            "arn:aws:dynamodb:eu-west-1:123456789012:table/table",
            "arn:aws:sns:eu-west-1:123456789012:alarms",
        ],
        "azure": [
            "shop-bus",
            "https://shop-bus.servicebus.windows.net:443/",
            f"/subscriptions/{SUBSCRIPTION}/resourceGroups/shop/providers/Microsoft.Servicebus/namespaces/shop-bus/queues/orders",
            "me-clientId",
            "me-principalId",
        ],
        "gcp": [
            "projects/example-project/locations/europe-west1/queues/orders-1",
            "shop-orders@example-project.iam.gserviceaccount.com",
            "serviceAccount:shop-orders@example-project.iam.gserviceaccount.com",
            "https://fn-example-project.a.run.app",
        ],
    }


def test_the_machine_is_not_asked(monkeypatch):
    """A configuration in the environment of the tests is not the program's."""
    monkeypatch.setitem(os.environ, "PULUMI_CONFIG", '{"test:capacity": "{\\"batch\\": 99}"}')
    assert run_function(pair, config={"capacity": {"batch": 1}}).outputs["batch"] == 1
