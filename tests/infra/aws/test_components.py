"""App and Consumer: what can be brought, left out, paused and granted."""

from __future__ import annotations

import json
import zipfile
from datetime import timedelta

import pulumi
import pytest

from handlers.orders.queue import ORDERS, RECEIPTS
from peeklock import ConfigError, Queue
from peeklock.infra.aws import App
from peeklock.infra.aws.shared import MOST_DIRECT
from peeklock.infra.options import Capacity, Stage, Thresholds
from tests.infra.running import bundled, run
from tests.infra.schema import problems

BASE = "https://sqs.eu-west-1.amazonaws.com/123456789012"
KEY = "arn:aws:kms:eu-west-1:123456789012:key/1"
TOPIC = "arn:aws:sns:eu-west-1:123456789012:oncall"
FIFO = Queue("ordered", fifo=True)
DEV = Stage(protect=False)

QUEUE, FUNCTION, ROLE = "aws:sqs/queue:Queue", "aws:lambda/function:Function", "aws:iam/role:Role"


@pytest.fixture
def bundle(tmp_path):
    return str(bundled(tmp_path / "aws.zip"))


def app_with(bundle, *consumers, config=None, **options):
    """A program with these consumers; `orders` where none is given."""

    def made():
        app = App("shop", bundle=bundle, **options)
        for queue, more in consumers or [(ORDERS, {})]:
            app.consumer(queue, **{"handler": "a.b", **more})
        app.all()

    recorded = run(made, config)
    assert [said for registration in recorded.registrations for said in problems(registration)] == []
    return recorded


def environment(recorded, name="shop-orders"):
    return recorded.named(name, FUNCTION).inputs["environment"]["variables"]


def statements(recorded, name="shop-orders-may"):
    policy = json.loads(recorded.named(name).inputs["policy"])
    return {statement["Sid"]: statement for statement in policy["Statement"]}


def inputs_by_urn(recorded):
    """Flat: one entry an input, documents opened."""
    return {
        (registration.urn.rpartition("::")[2], registration.type.rpartition(":")[2], key): value
        for registration in recorded.registrations
        for key, value in registration.inputs.items()
    }


@pytest.mark.parametrize(
    ("change", "changed"),
    [
        (
            {"timeout": 60},
            {
                ("shop-orders", "Queue", "visibilityTimeoutSeconds"),
                ("shop-orders", "Function", "timeout"),
                ("shop-orders-alarm-errors", "MetricAlarm", "evaluationPeriods"),
            },
        ),
        ({"max_attempts": 6}, set()),
        ({"max_delay": 60}, set()),
        ({"keep": timedelta(days=8)}, set()),
    ],
)
def test_one_number_changes_these_inputs_and_the_fingerprint(bundle, change, changed):
    """The fingerprint in the environment and in the tags, and nothing else."""
    before, after = (
        inputs_by_urn(app_with(bundle, (queue, {}))) for queue in (Queue("orders"), Queue("orders", **change))
    )
    assert set(before) == set(after)
    different = {key for key in before if before[key] != after[key] and key[2] != "tags"}
    assert different == changed | {("shop-orders", "Function", "environment")}


def test_fifo_is_a_fifo_queue_with_fifo_dead_letters(bundle):
    """Fast, and without a window."""
    recorded = app_with(bundle, (FIFO, {}))
    for name in ("shop-ordered", "shop-ordered-dead-letters"):
        inputs = recorded.named(name, QUEUE).inputs
        assert inputs["fifoQueue"] is True
        assert inputs["contentBasedDeduplication"] is False
        assert (inputs["deduplicationScope"], inputs["fifoThroughputLimit"]) == ("messageGroup", "perMessageGroupId")
    assert "maximumBatchingWindowInSeconds" not in recorded.named("shop-ordered-mapping").inputs


def test_the_order_of_declarations_is_the_users(bundle):
    """A function waits for the queues that it sends to."""
    first = app_with(bundle, (ORDERS, {"uses": [RECEIPTS]}), (RECEIPTS, {}))
    second = app_with(bundle, (RECEIPTS, {}), (ORDERS, {"uses": [RECEIPTS]}))
    same = [
        [registration for registration in each.registrations if registration.name != "shop-dashboard"]
        for each in (first, second)
    ]
    assert same[0] == same[1], "all but the dashboard, which has its rows in the user's order"
    assert statements(first)["Send"]["Resource"] == [
        "arn:aws:sqs:eu-west-1:123456789012:shop-orders-dead-letters",
        "arn:aws:sqs:eu-west-1:123456789012:shop-receipts",
    ]
    assert environment(first)["PEEKLOCK_RECEIPTS_URL"] == f"{BASE}/shop-receipts"
    assert statements(first, "shop-receipts-may")["Send"]["Resource"].endswith(":shop-receipts-dead-letters")


def test_queues_may_send_to_each_other_and_to_themselves(bundle):
    """Each is granted."""
    recorded = app_with(bundle, (ORDERS, {"uses": [RECEIPTS, ORDERS]}), (RECEIPTS, {"uses": [ORDERS]}))
    for name, targets in (("orders", ["receipts", "orders"]), ("receipts", ["orders"])):
        sends = statements(recorded, f"shop-{name}-may")["Send"]["Resource"]
        assert [arn.rpartition(":")[2] for arn in sends] == [
            f"shop-{name}-dead-letters",
            *(f"shop-{target}" for target in targets),
        ]


def test_a_paused_consumer_only_stops(bundle):
    """One input differs."""
    running, paused = (inputs_by_urn(app_with(bundle, (ORDERS, {"consuming": on}))) for on in (True, False))
    assert {key: paused[key] for key in paused if paused[key] != running[key]} == {
        ("shop-orders-mapping", "EventSourceMapping", "enabled"): False
    }


def test_the_stacks_numbers(bundle):
    """From its configuration; a capacity in the program wins."""
    config = {
        "capacity": {"orders": {"batch": 5, "instances": 7}, "receipts": {"memory": 1024}},
        "stage": {"protect": False, "log_days": 14, "thresholds": {"length": 77}},
    }
    own = {"capacity": Capacity(memory=2048)}
    recorded = app_with(bundle, (ORDERS, {}), (RECEIPTS, own), config=config)
    mapping = recorded.named("shop-orders-mapping").inputs
    assert (mapping["batchSize"], mapping["scalingConfig"]) == (5, {"maximumConcurrency": 7})
    assert recorded.named("shop-receipts", FUNCTION).inputs["memorySize"] == 2048
    assert recorded.named("shop-orders-logs").inputs["retentionInDays"] == 14
    assert recorded.named("shop-orders-alarm-length").inputs["threshold"] == 77
    assert not recorded.named("shop-orders", QUEUE).protect


def test_window_and_patterns(bundle):
    """The window and the patterns have the form that the mapping takes."""
    only = [{"body": {"kind": ["order"]}}, {"body": {"kind": ["refund"]}}]
    inputs = app_with(bundle, (ORDERS, {"window": 20, "only": only})).named("shop-orders-mapping").inputs
    assert inputs["maximumBatchingWindowInSeconds"] == 20
    assert [json.loads(criterion["pattern"]) for criterion in inputs["filterCriteria"]["filters"]] == only


def test_what_is_brought_is_read_and_never_made(bundle):
    """Table, queue, dead letters, role and topic."""
    more = {"queue_url": f"{BASE}/theirs", "dead_letters_url": f"{BASE}/dead", "role": "theirs"}
    recorded = app_with(bundle, (ORDERS, more), store="leases", topics={"high": TOPIC})
    read = {
        (registration.type.rpartition(":")[2], registration.inputs["id"])
        for registration in recorded.registrations
        if registration.read
    }
    assert read == {("Table", "leases"), ("Queue", f"{BASE}/theirs"), ("Queue", f"{BASE}/dead"), ("Role", "theirs")}
    created = {
        registration.type.rpartition(":")[2]
        for registration in recorded.registrations
        if registration.custom and not registration.read
    }
    assert not created & {"Table", "Queue", "QueuePolicy", "RedrivePolicy", "RedriveAllowPolicy", "Role", "RolePolicy"}
    assert {registration.name for registration in recorded.of("aws:sns/topic:Topic")} == {"shop-low", "shop-medium"}
    assert recorded.named("shop-orders-alarm-dead-letters").inputs["alarmActions"] == [TOPIC]
    variables = environment(recorded)
    assert variables["PEEKLOCK_ORDERS_URL"] == f"{BASE}/theirs"
    assert variables["PEEKLOCK_ORDERS_DEAD_LETTER"] == f"{BASE}/dead"


def test_a_queue_that_is_brought_alone(bundle):
    """The dead-letter queue is ours and allows redriving; the policies of the queue itself stay with its owner."""
    recorded = app_with(bundle, (ORDERS, {"queue_url": f"{BASE}/theirs"}))
    assert recorded.named("shop-orders-redrive-allow")
    assert not recorded.of("aws:sqs/redrivePolicy:RedrivePolicy")
    assert [policy.name for policy in recorded.of("aws:sqs/queuePolicy:QueuePolicy")] == [
        "shop-orders-dead-letters-tls"
    ]


def test_a_key_of_your_own(bundle):
    """Encrypts both queues instead of SQS's own, and may be used by the role."""
    recorded = app_with(bundle, key=KEY)
    for queue in recorded.of(QUEUE):
        assert queue.inputs["kmsMasterKeyId"] == KEY
        assert "sqsManagedSseEnabled" not in queue.inputs
    assert statements(recorded)["Key"]["Resource"] == KEY
    assert all(queue.inputs["sqsManagedSseEnabled"] is True for queue in app_with(bundle).of(QUEUE))


def test_a_network_of_your_own(bundle):
    """Subnets and groups of the function, and what it needs to join them."""
    recorded = app_with(bundle, subnets=["subnet-1"], security_groups=["sg-1"])
    assert recorded.named("shop-orders", FUNCTION).inputs["vpcConfig"] == {
        "subnetIds": ["subnet-1"],
        "securityGroupIds": ["sg-1"],
    }
    assert "Network" in statements(recorded)
    assert "Network" not in statements(app_with(bundle))


def test_a_large_bundle_goes_through_a_bucket(tmp_path):
    """Closed to the public, and versioned."""
    large = bundled(tmp_path / "aws.zip")
    with zipfile.ZipFile(large, "a") as file:
        file.writestr("large.bin", b"0" * MOST_DIRECT)  # stored, not packed
    recorded = app_with(str(large))
    function, bundle = recorded.named("shop-orders", FUNCTION), recorded.named("shop-bundle")
    assert {"s3Bucket", "s3Key", "s3ObjectVersion"} <= set(function.inputs)
    assert "code" not in function.inputs
    assert recorded.depends(function, bundle)
    assert recorded.depends(bundle, recorded.named("shop-code-closed"))
    assert recorded.depends(bundle, recorded.named("shop-code-versions"))


def test_a_producer_and_an_operator_are_granted(bundle):
    """To send to the queue alone; to move from the dead letters to the queue."""

    def made():
        app = App("shop", bundle=bundle, stage=DEV)
        consumer = app.consumer(ORDERS, handler="a.b")
        consumer.grant_send("web", "web-role")
        consumer.grant_redrive("oncall", "oncall-role")
        app.all()

    recorded = run(made)
    assert recorded.named("shop-orders-send-from-web").inputs["role"] == "web-role"
    (statement,) = statements(recorded, "shop-orders-send-from-web").values()
    assert (statement["Action"], statement["Resource"].rpartition(":")[2]) == (["sqs:SendMessage"], "shop-orders")
    assert recorded.named("shop-orders-redrive-by-oncall").inputs["role"] == "oncall-role"
    moves = statements(recorded, "shop-orders-redrive-by-oncall")
    assert moves["Redrive"]["Resource"].endswith(":shop-orders-dead-letters")
    assert moves["Send"]["Resource"].endswith(":shop-orders")


def test_with_a_key_a_producer_and_an_operator_may_use_it(bundle):
    """Else neither could read or write an encrypted message."""

    def made():
        app = App("shop", bundle=bundle, stage=DEV, key=KEY)
        consumer = app.consumer(ORDERS, handler="a.b")
        consumer.grant_send("web", "web-role")
        consumer.grant_redrive("oncall", "oncall-role")
        app.all()

    recorded = run(made)
    for name in ("shop-orders-send-from-web", "shop-orders-redrive-by-oncall"):
        assert statements(recorded, name)["Key"]["Resource"] == KEY


def test_a_transform_has_the_last_word(bundle):
    """On every resource below the app."""

    def longer(resource_args):
        if resource_args.type_ == QUEUE:
            return pulumi.ResourceTransformationResult(
                {**resource_args.props, "max_message_size": 1024}, resource_args.opts
            )
        return None

    assert {queue.inputs["maxMessageSize"] for queue in app_with(bundle, transform=longer).of(QUEUE)} == {1024}


def test_options_of_a_consumer(bundle):
    """Merged with ours: it stays a child of the app."""
    opts = pulumi.ResourceOptions(aliases=[pulumi.Alias(name="old")])
    component = app_with(bundle, (ORDERS, {"opts": opts})).named("shop-orders", "peeklock:aws:Consumer")
    assert component.aliases
    assert component.parent.endswith("peeklock:aws:App::shop")


@pytest.mark.parametrize(
    ("consumers", "options", "fix"),
    [
        ([(ORDERS, {}), (ORDERS, {})], {}, "has a consumer in app 'shop' already"),
        ([(ORDERS, {"uses": [RECEIPTS]})], {}, "uses queue 'receipts', which has no consumer in this app"),
        ([(ORDERS, {"handler": "charge"})], {}, "name it as Lambda does, by module and function"),
        ([(ORDERS, {"queue_url": f"{BASE}/q.fifo"})], {}, "give a standard queue's URL, beginning with https://"),
        (
            [(FIFO, {"dead_letters_url": f"{BASE}/q"})],
            {},
            "give a FIFO queue's URL, beginning with https:// and ending in .fifo",
        ),
        ([(ORDERS, {"queue_url": "orders"})], {}, "beginning with https://"),
        ([(ORDERS, {"capacity": Capacity(instances=1)})], {}, "use instances=2"),
        ([(ORDERS, {"window": 301})], {}, "use window=300"),
        ([(Queue("q" * 60), {})], {}, "shorten either by 14"),
        ([(ORDERS, {})], {"stage": Stage(log_days=8)}, "log_days=8.*use 14"),
        ([(ORDERS, {})], {"stage": Stage(thresholds=Thresholds(failures=100))}, "use at most failures=99"),
        ([(ORDERS, {})], {"subnets": ["subnet-1"]}, "give both, or neither"),
        ([(ORDERS, {})], {"topics": {"urgent": TOPIC}}, "severities are high, medium and low"),
        ([(ORDERS, {})], {"key": "alias/mine"}, "key='alias/mine': use the ARN"),
    ],
)
def test_what_cannot_be_is_refused(bundle, consumers, options, fix):
    """With what to change."""
    with pytest.raises(ConfigError, match=fix):
        app_with(bundle, *consumers, **options)


def test_a_bundle_that_is_not_there(tmp_path):
    """The command that makes it is named."""
    with pytest.raises(ConfigError, match="make it first: peeklock bundle aws"):
        app_with(str(tmp_path / "none.zip"))
