"""The stand-ins' decisions, which need no engine: what differs, what is replaced, what an environment may have."""

from __future__ import annotations

import io
import os
import urllib.error
import urllib.request
import zipfile
from pathlib import Path

import pytest

from cloudqueues.cloudtasks import CloudTasksEmulator
from cloudqueues.errors import ConfigError
from cloudqueues.pulumi import aws, azure, gcp, resources, schema
from cloudqueues.pulumi.archives import zip_bytes
from cloudqueues.pulumi.autonaming import with_name
from cloudqueues.pulumi.command import find
from cloudqueues.pulumi.environment import PASSED_ON, hermetic
from cloudqueues.pulumi.refusing_proxy import RefusingProxy
from cloudqueues.pulumi.wire import SIGNATURE, UNKNOWN, plain, readable, struct
from cloudqueues.servicebus import ServiceBusEmulator
from tests.support import ROOT


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ({"a": 1}, {"a": 1}, {}),
        ({"a": 1}, {"a": 2}, {"a": "UPDATE"}),
        ({}, {"a": 2}, {"a": "ADD"}),
        ({"a": 2}, {}, {"a": "DELETE"}),
        ({"name": "x"}, {"name": "y", "a": 1}, {"name": "UPDATE_REPLACE", "a": "ADD"}),
        ({"name": "x"}, {}, {"name": "DELETE_REPLACE"}),
        ({"left": 1}, {"left": 2}, {}),
        ({"policy": '{"a": 1, "b": [2]}'}, {"policy": '{"b":[2],"a":1}'}, {}),
        ({"policy": '{"a": 1}'}, {"policy": '{"a": 2}'}, {"policy": "UPDATE"}),
        ({"text": "{no json"}, {"text": "{none either"}, {"text": "UPDATE"}),
        ({"a": {"b": 1}}, {"a": {"b": 1, "c": 2}}, {"a": "UPDATE"}),
        ({"a": 1}, {"a": UNKNOWN}, {"a": "UPDATE"}),
    ],
)
def test_differences(old, new, expected):
    """Documents are compared by what they say; what the program ignores is left out."""
    assert resources.differences(old, new, {"name"}, {"left"}) == expected


@pytest.mark.parametrize(
    ("type_", "news", "olds", "key", "name"),
    [
        ("aws:sqs/queue:Queue", {}, {}, "name", "orders-c6ae"),
        ("aws:sqs/queue:Queue", {"name": "mine"}, {}, "name", "mine"),
        ("aws:sqs/queue:Queue", {}, {"name": "orders-1"}, "name", "orders-1"),
        ("aws:sqs/queue:Queue", {"namePrefix": "x"}, {}, "name", None),
        ("aws:sqs/redrivePolicy:RedrivePolicy", {}, {}, "name", None),
        ("azure-native:storage:StorageAccount", {}, {"accountName": "a"}, "accountName", "a"),
    ],
)
def test_names(type_, news, olds, key, name):
    """The program's name, or the one in the state, or a new one with digits."""
    got = with_name(type_, "orders", b"seed", news, olds).get(key)
    assert got == name or (name == "orders-c6ae" and got.startswith("orders-") and len(got) == len("orders-1234567"))


@pytest.mark.parametrize(("kind", "key"), [("StorageAccount", "accountName"), ("Table", "tableName")])
def test_a_new_name_of_letters_and_digits(kind, key):
    """Azure takes no hyphen in it."""
    assert with_name(f"azure-native:storage:{kind}", "shop", b"seed", {}, {})[key].isalnum()


def test_a_new_name_of_a_fifo_queue():
    """It ends as SQS wants it to, and is the same for the same seed only."""
    first, again, different = (
        with_name("aws:sqs/queue:Queue", "q", seed, {"fifoQueue": True}, {})["name"] for seed in (b"a", b"a", b"b")
    )
    assert first == again != different
    assert first.endswith(".fifo")


def test_what_a_preview_knows():
    """A preview knows the inputs, at all depths, and nothing else."""
    state = {"config": {"timeout": 3, "uri": "https://x"}, "arn": "a", "tags": {"a": "b"}}
    assert resources.unknown_beyond({"config": {"timeout": 3}, "tags": {"a": "b"}}, state) == {
        "config": {"timeout": 3, "uri": UNKNOWN},
        "arn": UNKNOWN,
        "tags": {"a": "b"},
    }


def test_what_a_refresh_knows():
    """Live values replace the state's, except where both are equal to the service; others stay."""
    last_state = {"policy": '{"a": 1}', "timeout": 3, "other": "x"}
    assert resources.refreshed(last_state, {"policy": '{"a":1}', "timeout": 5, "more": 1}) == {
        "policy": '{"a": 1}',
        "timeout": 5,
        "other": "x",
    }


@pytest.mark.parametrize(
    ("type_", "inputs", "outputs"),
    [
        (
            "azure-native:web:WebApp",
            {"identity": {"type": "UserAssigned", "userAssignedIdentities": ["/a", "/b"]}, "siteConfig": {"x": 1}},
            {"identity": {"type": "UserAssigned", "userAssignedIdentities": {"/a": {}, "/b": {}}}, "siteConfig": {}},
        ),
        ("aws:sqs/queue:Queue", {"delaySeconds": 3, "tags": {"a": "b"}}, {"delaySeconds": 3, "tags": {"a": "b"}}),
        (
            "aws:dynamodb/table:Table",
            {"attributes": [{"name": "id", "type": "S"}], "hashKey": ["wrong"]},
            {"attributes": [{"name": "id", "type": "S"}]},
        ),
    ],
)
def test_inputs_as_outputs(type_, inputs, outputs):
    """In the shape that the SDK's outputs have."""
    assert schema.as_outputs(type_, inputs) == outputs


def test_the_wire():
    """Whole numbers are whole, secrets opened, assets readable."""
    secret = {SIGNATURE: "1b47061264138c4ac30d75fd1eb44270", "value": {"n": 3.0}}
    assert plain(struct({"a": 1, "b": 1.5, "c": secret, "d": [2.0, None]})) == {
        "a": 1,
        "b": 1.5,
        "c": {"n": 3},
        "d": [2, None],
    }
    archive = {SIGNATURE: "0def7320c3a5731c473e5ecbe6d01bc7", "path": "x.zip", "hash": "1"}
    assert readable({"code": archive}) == {"code": {"$archive": "x.zip"}}


def test_archives(tmp_path):
    """A file as it is; folders, texts and what is within, zipped the same each time."""
    (tmp_path / "code" / "inner").mkdir(parents=True)
    (tmp_path / "code" / "a.py").write_text("a")
    (tmp_path / "code" / "inner" / "b.py").write_text("b")
    (tmp_path / "made.zip").write_bytes(b"made")
    assert zip_bytes({"path": "made.zip"}, tmp_path) == b"made"
    mixed = {"assets": {"lib": {"path": "code"}, "one.txt": {"text": "one"}, "c.py": {"path": "code/a.py"}}}
    archive = zipfile.ZipFile(io.BytesIO(zip_bytes(mixed, tmp_path)))
    contents = {name: archive.read(name).decode() for name in archive.namelist()}
    assert contents == {"lib/a.py": "a", "lib/inner/b.py": "b", "one.txt": "one", "c.py": "a"}
    assert zip_bytes(mixed, tmp_path) == zip_bytes(mixed, tmp_path)


def test_an_environment_without_a_way_out(tmp_path):
    """A list of what is passed on, and not of what is removed."""
    user_environ = dict.fromkeys((*PASSED_ON, "AWS_PROFILE", "A_TOKEN", "HTTPS_PROXY", "no_proxy"), "/given")
    environ = hermetic(user_environ, home=tmp_path, providers={"gcp": 2, "aws": 1}, language=3, proxy_port=4)
    assert {name for name, value in environ.items() if value == "/given"} == PASSED_ON
    relative = hermetic({"PYTHONPATH": f"lib{os.pathsep}/abs"}, home=tmp_path, providers={}, language=3, proxy_port=4)
    assert relative["PYTHONPATH"] == f"{Path.cwd() / 'lib'}{os.pathsep}/abs", "a program runs in a folder of its own"
    assert "A_TOKEN" not in environ
    assert "AWS_PROFILE" not in environ
    assert environ["PULUMI_DEBUG_PROVIDERS"] == "aws:1,gcp:2"
    assert environ["PULUMI_BACKEND_URL"] == (tmp_path / "state").as_uri()
    assert environ["HTTPS_PROXY"] == environ["https_proxy"] == "http://127.0.0.1:4"


def test_the_refusing_proxy():
    """It refuses each request, and records the address."""
    with RefusingProxy() as proxy:
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({"http": f"http://127.0.0.1:{proxy.port}"}))
        with pytest.raises(urllib.error.HTTPError, match="403"):
            opener.open("http://example.com/secret", timeout=5)
        assert proxy.refused_addresses == ("http://example.com/secret",)


def test_where_the_command_is(tmp_path):
    """On the path first, then built; else what to do."""
    with pytest.raises(ConfigError, match="have it on PATH"):
        find(path=str(tmp_path), root=tmp_path)
    built = tmp_path / "build" / "pulumi" / "pulumi"
    built.parent.mkdir(parents=True)
    built.touch()
    assert find(path=str(tmp_path), root=tmp_path) == built
    (tmp_path / "pulumi").touch(mode=0o755)
    assert find(path=str(tmp_path), root=tmp_path) == tmp_path / "pulumi"


def test_a_type_is_applied_recorded_or_refused():
    """No type is two of them, each is the SDK's, and a refusal says where to add one."""
    with CloudTasksEmulator() as tasks:
        cloud = gcp.cloud(tasks)
        assert not cloud.recorded & set(cloud.applied)
        assert cloud.refusal("gcp:cloudtasks/queue:Queue") is cloud.refusal("gcp:pubsub/topic:Topic") is None
        assert "cloudqueues.pulumi.gcp" in cloud.refusal("gcp:compute/instance:Instance")
        assert cloud.replaces("gcp:pubsub/topic:Topic") >= {"name", "project"}


def table(clouds):
    """Return the table of docs/infra-engine.md."""
    kinds_of = {f"{cloud.package}:": (cloud.applied, cloud.recorded) for cloud in clouds}
    rows = [
        (package, what, ", ".join(f"`{type_name.removeprefix(package)}`" for type_name in sorted(types)))
        for package, both in kinds_of.items()
        for what, types in zip(("applied", "recorded"), both, strict=True)
    ]
    return "\n".join(["| package | | types |", "|---|---|---|", *(f"| `{a}` | {b} | {c} |" for a, b, c in rows)])


def test_the_manual_has_the_types():
    """All of them, and no other."""
    with CloudTasksEmulator() as tasks:
        clouds = [aws.cloud("http://127.0.0.1:1", ROOT), azure.cloud(ServiceBusEmulator()), gcp.cloud(tasks)]
        assert table(clouds) in (ROOT / "docs" / "infra-engine.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("module", ["aws", "azure", "gcp"])
def test_recorded_types_are_the_sdks(module):
    """A misspelled one would be refused under its right name."""
    import importlib

    recorded = importlib.import_module(f"cloudqueues.pulumi.{module}").RECORDED
    assert recorded
    for type_ in sorted(recorded):
        assert schema.resource_class(type_)
        assert schema.args_class(type_)


def test_a_queue_of_another_stack_is_not_on_this_machine():
    """A lookup has nothing but the id."""
    id_ = "/subscriptions/s/resourceGroups/g/providers/Microsoft.ServiceBus/namespaces/n/queues/orders"
    with pytest.raises(ConfigError, match=r"queues/orders exists only in the cloud, .* create it in this stack"):
        azure.cloud(ServiceBusEmulator()).applied["azure-native:servicebus:Queue"].read(id_, {})
