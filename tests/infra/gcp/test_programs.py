"""infra/gcp for each stack, as the engine would be told."""

from __future__ import annotations

import json
import os

import pytest

from tests.infra.gcp.rules import broken
from tests.infra.running import STACKS, program, without_protectors
from tests.infra.schema import problems
from tests.support import ROOT

GOLDEN = ROOT / "tests" / "infra" / "gcp" / "golden"
RENEW = "PEEKLOCK_RENEW_GOLDEN"
"""Set it to 1 and run these tests to write the snapshots anew; then read the difference."""

DATA = {
    "cloudtasks/queue:Queue",
    "pubsub/topic:Topic",
    "pubsub/subscription:Subscription",
    "firestore/database:Database",
    "logging/projectBucketConfig:ProjectBucketConfig",
}
FUNCTION = "gcp:cloudfunctionsv2/function:Function"
ALARMS = {"length", "dead-letters", "age", "failures", "latency", "utilisation", "answers"} | {
    *("new-dead-letters", "expiring", "outage", "throttling")
}


@pytest.fixture(scope="module", params=STACKS)
def stack(request):
    return request.param


@pytest.fixture(scope="module")
def recorded(stack, tmp_path_factory):
    return program("gcp", tmp_path_factory.mktemp(stack), stack)


def test_the_sdk_knows_every_key_and_type(recorded):
    """Nested ones included."""
    assert [
        said for registration in recorded.registrations if registration.custom for said in problems(registration)
    ] == []


def test_google_would_take_it(recorded):
    """The rule table accepts the program."""
    assert [said for registration in recorded.registrations for said in broken(registration)] == []


def test_everything_is_a_child_of_its_component(recorded):
    """Consumers of the app, and resources of either; each name begins with the app's."""
    components = {registration.urn for registration in recorded.registrations if not registration.custom}
    for registration in recorded.registrations:
        assert registration.name.startswith("shop")
        if registration.type != "peeklock:gcp:App":
            assert registration.parent in components, registration.name


def test_what_holds_data_is_kept(recorded, stack):
    """Protected, and left when the stack is destroyed; in dev neither."""
    keeps = stack != "dev"
    held = set()
    for registration in without_protectors(recorded):
        holds = registration.type.removeprefix("gcp:") in DATA
        assert (registration.protect, registration.retain_on_delete) == (
            (True, True) if keeps and holds else (False, False)
        ), registration.name
        held |= {registration.type.removeprefix("gcp:")} if holds else set()
    assert held == DATA if keeps else DATA - held == {"logging/projectBucketConfig:ProjectBucketConfig"}


def test_a_function_starts_when_it_may(recorded):
    """After its grants, its queue, its dead letters, its store and the right to build; callable after it."""
    database = recorded.named("shop-store")
    builder = [registration for registration in recorded.registrations if "-builder-may-" in registration.name]
    assert len(builder) == 3
    for name in ("orders", "receipts"):
        function = recorded.named(f"shop-{name}", FUNCTION)
        for grant in ("delay", "delay-as", "dead-letter", "remember"):
            assert recorded.depends(function, recorded.named(f"shop-{name}-may-{grant}"))
        assert recorded.depends(function, recorded.named(f"shop-{name}", "gcp:cloudtasks/queue:Queue"))
        assert recorded.depends(
            function, recorded.named(f"shop-{name}-dead-letters", "gcp:pubsub/subscription:Subscription")
        )
        assert recorded.depends(function, database)
        assert all(recorded.depends(function, grant) for grant in builder)
        assert recorded.depends(recorded.named(f"shop-{name}-may-be-called"), function)
    assert recorded.depends(recorded.named("shop-orders", FUNCTION), recorded.named("shop-orders-may-send-receipts-as"))


def test_apis_are_enabled_first(recorded):
    """Whatever needs one waits for all of them, and they stay on."""
    apis = recorded.of("gcp:projects/service:Service")
    assert len(apis) == 12
    for registration in recorded.registrations:
        if registration.custom and registration not in apis:
            assert all(recorded.depends(registration, api) for api in apis), registration.name


def test_every_consumer_has_its_alarms(recorded, stack):
    """In prod, each tells the channel of its severity."""
    channels = {"CRITICAL": "high", "ERROR": "medium", "WARNING": "low"}
    for name in ("orders", "receipts"):
        policies = [
            policy
            for policy in recorded.of("gcp:monitoring/alertPolicy:AlertPolicy")
            if policy.name.startswith(f"shop-{name}-alarm-")
        ]
        assert {policy.name.partition("-alarm-")[2] for policy in policies} == ALARMS
        for policy in policies:
            channels_of_policy = policy.inputs["notificationChannels"]
            assert len(channels_of_policy) == (1 if stack == "prod" else 0)
            if channels_of_policy:
                assert recorded.named(f"shop-{channels[policy.inputs['severity']]}").urn in policy.dependencies
            assert recorded.depends(policy, recorded.named(f"shop-{name}-failed"))


def test_only_its_queue_may_call_a_function(recorded):
    """One invoker each, and it may do nothing else; nobody is `allUsers`."""
    invokers = recorded.of("gcp:cloudrunv2/serviceIamMember:ServiceIamMember")
    members = [
        registration.inputs["member"] for registration in recorded.registrations if "member" in registration.inputs
    ]
    assert len(invokers) == 2
    for invoker in invokers:
        assert members.count(invoker.inputs["member"]) == 1
    assert not [member for member in members if not member.startswith("serviceAccount:")]


def test_consumers_are_labelled(recorded, stack):
    """With the contract's fingerprint."""
    from handlers.orders.queue import ORDERS

    labels = {"app": "shop", "stack": stack, "consumer": "orders", "fingerprint": ORDERS.fingerprint}
    assert recorded.named("shop-orders", FUNCTION).inputs["labels"] == labels
    assert recorded.named("shop-orders-alarm-age").inputs["userLabels"] == labels


def test_outputs(recorded, stack):
    """An object a consumer, and what producers need."""
    project = f"contoso-{stack}"
    assert set(recorded.outputs) == {"orders", "receipts", "environment", "dashboard"}
    orders = recorded.outputs["orders"]
    assert orders["queue"].startswith(
        f"cloudtasks://projects/{project}/locations/europe-west1/queues/shop-orders-{stack}?"
    )
    assert orders["dead_letters"] == f"pubsub://projects/{project}/topics/shop-orders-dead-letters-{stack}"
    assert orders["function"] == f"shop-orders-{stack}"
    assert orders["identity"] == f"shop-orders-run-{stack}@{project}.iam.gserviceaccount.com"
    assert orders["store"] == f"firestore://{project}/shop-{stack}/leases"
    assert set(orders["alarms"]) == ALARMS
    assert set(orders["links"]) == {"queue", "dead_letters", "function", "logs"}
    assert recorded.outputs["environment"] == {
        "PEEKLOCK_ORDERS_URL": orders["queue"],
        "PEEKLOCK_RECEIPTS_URL": recorded.outputs["receipts"]["queue"],
    }


def snapshot(recorded) -> str:
    """For people: by URN, in the order of the alphabet; the bundle by its name."""
    shown = {
        registration.urn: {
            "inputs": registration.inputs,
            "parent": registration.parent.rpartition("::")[2],
            "protect": registration.protect,
            "retainOnDelete": registration.retain_on_delete,
            "dependencies": [
                name
                for name in (urn.rpartition("::")[2] for urn in registration.dependencies)
                if not name.startswith("shop-api-")
            ],
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
    """Outputs are unknown then; names are not, as the program gives them."""
    previewed = program("gcp", tmp_path, stack, preview=True)
    assert previewed.named("shop-orders", FUNCTION).inputs["serviceConfig"]["environmentVariables"]


def test_no_stack_file_holds_a_secret():
    """Nor a ciphertext."""
    for file in (ROOT / "infra" / "gcp").glob("Pulumi*.yaml"):
        text = file.read_text(encoding="utf-8")
        assert "secure:" not in text
        assert "encryption" not in text


def test_the_program_is_short():
    """A user reads it in a minute."""
    assert len((ROOT / "infra" / "gcp" / "__main__.py").read_text(encoding="utf-8").splitlines()) <= 40
