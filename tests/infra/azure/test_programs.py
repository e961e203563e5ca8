"""infra/azure for each stack, as the engine would be told."""

from __future__ import annotations

import json
import os

import pytest

from tests.infra.azure.rules import broken
from tests.infra.running import STACKS, program, without_protectors
from tests.infra.schema import problems
from tests.support import ROOT

GOLDEN = ROOT / "tests" / "infra" / "azure" / "golden"
RENEW = "PEEKLOCK_RENEW_GOLDEN"
"""Set it to 1 and run these tests to write the snapshots anew; then read the difference."""

DATA = {
    "resources:ResourceGroup",
    "servicebus:Namespace",
    "servicebus:Queue",
    "storage:Table",
    "operationalinsights:Workspace",
}


@pytest.fixture(scope="module", params=STACKS)
def stack(request):
    return request.param


@pytest.fixture(scope="module")
def recorded(stack, tmp_path_factory):
    return program("azure", tmp_path_factory.mktemp(stack), stack)


def test_the_sdk_knows_every_key_and_type(recorded):
    """Nested ones included."""
    assert [
        said for registration in recorded.registrations if registration.custom for said in problems(registration)
    ] == []


def test_azure_would_take_it(recorded):
    """The rule table accepts the program."""
    assert [said for registration in recorded.registrations for said in broken(registration)] == []


def test_everything_is_a_child_of_its_component(recorded):
    """Consumers of the app, and resources of either."""
    components = {registration.urn for registration in recorded.registrations if not registration.custom}
    for registration in recorded.registrations:
        if registration.type != "peeklock:azure:App":
            assert registration.parent in components, registration.name


def test_what_holds_data_is_kept(recorded, stack):
    """Protected, and left when the stack is destroyed; in dev neither."""
    keeps = stack != "dev"
    for registration in without_protectors(recorded):
        kind = registration.type.removeprefix("azure-native:")
        holds = kind in DATA or registration.name == "shophost"
        assert (registration.protect, registration.retain_on_delete) == (
            (True, True) if keeps and holds else (False, False)
        ), registration.name


def test_an_app_starts_when_it_may(recorded):
    """After its grants, its queue and its dead letters; its code after it."""
    for name in ("orders", "receipts"):
        app = recorded.named(f"shop-{name}", "azure-native:web:WebApp")
        for grant in ("receive", "delay", "dead-letter", "remember", "host", "deploy", "code", "tell"):
            assert recorded.depends(app, recorded.named(f"shop-{name}-may-{grant}"))
        assert recorded.depends(app, recorded.named(f"shop-{name}", "azure-native:servicebus:Queue"))
        deployment = recorded.named(f"shop-{name}-deploy")
        assert recorded.depends(deployment, app)
        assert recorded.depends(deployment, recorded.named(f"shop-{name}-package"))


def test_every_consumer_has_its_alarms(recorded):
    """Each tells the group of its severity."""
    for name in ("orders", "receipts"):
        alarms = [
            registration
            for registration in recorded.registrations
            if registration.type.startswith("azure-native:monitor:") and f"{name}-alarm-" in registration.name
        ]
        assert {alarm.name.partition("-alarm-")[2] for alarm in alarms} == {
            "length",
            "size",
            "failures",
            "latency",
            "utilisation",
            "dead-letters",
            "age",
            "new-dead-letters",
            "outage",
            "throttling",
        }
        for alarm in alarms:
            severity = {1: "high", 2: "medium", 3: "low"}[alarm.inputs["severity"]]
            assert recorded.named(f"shop-{severity}").urn in alarm.dependencies


def test_no_key_is_accepted_but_to_upload(recorded):
    """Only Pulumi itself uses a key, since its Blob needs it: pulumi-azure-native#2015."""
    accounts = recorded.of("azure-native:storage:StorageAccount")
    assert [account.name for account in accounts if account.inputs["allowSharedKeyAccess"]] == ["shopcode"]


def test_consumers_are_tagged(recorded):
    """With the contract's fingerprint."""
    from handlers.orders.queue import ORDERS

    tags = recorded.named("shop-orders", "azure-native:web:WebApp").inputs["tags"]
    assert tags["consumer"] == "orders"
    assert tags["fingerprint"] == ORDERS.fingerprint


def test_outputs(recorded):
    """An object a consumer, and what producers need."""
    assert set(recorded.outputs) == {"orders", "receipts", "environment", "dashboard"}
    assert recorded.outputs["orders"]["queue"] == "sb://shop-bus.servicebus.windows.net/orders"
    assert recorded.outputs["orders"]["dead_letters"] == "sb://shop-bus.servicebus.windows.net/orders-dead-letters"
    assert recorded.outputs["orders"]["store"] == "tables://shophost/leases"
    assert set(recorded.outputs["orders"]["alarms"]) == {
        "size",
        "length",
        "dead-letters",
        "age",
        "failures",
        "latency",
        "utilisation",
        "new-dead-letters",
        "outage",
        "throttling",
    }
    assert recorded.outputs["environment"] == {
        "PEEKLOCK_SERVICEBUS__fullyQualifiedNamespace": "shop-bus.servicebus.windows.net",
        "PEEKLOCK_ORDERS_URL": "sb://shop-bus.servicebus.windows.net/orders",
        "PEEKLOCK_RECEIPTS_URL": "sb://shop-bus.servicebus.windows.net/receipts",
    }


def snapshot(recorded) -> str:
    """For people: by URN, in the order of the alphabet; packages by their name."""
    shown = {
        registration.urn: {
            "inputs": registration.inputs,
            "parent": registration.parent.rpartition("::")[2],
            "protect": registration.protect,
            "retainOnDelete": registration.retain_on_delete,
            "dependencies": [urn.split("::", 2)[2].rpartition("$")[2] for urn in registration.dependencies],
        }
        for registration in recorded.registrations
    }
    return json.dumps({"resources": shown, "outputs": recorded.outputs}, indent=1, sort_keys=True, default=str) + "\n"


def test_the_snapshot_is_as_it_was(recorded, stack):
    """A changed URN or type is a replacement for whoever has deployed it: it needs an alias."""
    file = GOLDEN / f"{stack}.json"
    now = snapshot(recorded)
    if os.environ.get(RENEW):
        file.write_text(now, encoding="utf-8")
    assert file.read_text(encoding="utf-8") == now, f"renew with {RENEW}=1, and read the difference"


def test_a_first_preview_knows_nothing_and_runs(stack, tmp_path):
    """Outputs are unknown then."""
    previewed = program("azure", tmp_path, stack, preview=True)
    assert previewed.of("azure-native:web:WebApp")


def test_no_stack_file_holds_a_secret():
    """Nor a ciphertext."""
    for file in (ROOT / "infra" / "azure").glob("Pulumi*.yaml"):
        text = file.read_text(encoding="utf-8")
        assert "secure:" not in text
        assert "encryption" not in text
        assert "AccountKey" not in text


def test_the_program_is_short():
    """A user reads it in a minute."""
    assert len((ROOT / "infra" / "azure" / "__main__.py").read_text(encoding="utf-8").splitlines()) <= 40
