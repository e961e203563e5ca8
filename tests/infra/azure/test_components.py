"""App and Consumer: what can be brought, left out, paused and granted."""

from __future__ import annotations

from contextlib import nullcontext

import pulumi
import pytest

from handlers.orders.queue import ORDERS, RECEIPTS
from peeklock import ConfigError, Queue
from peeklock.infra.azure import App, locks
from peeklock.infra.azure.identity import Role
from peeklock.infra.options import Capacity, Stage
from peeklock.infra.settings.azure import compute
from tests.infra.running import bundled, run

BUS = "/subscriptions/s/resourceGroups/net/providers/Microsoft.ServiceBus/namespaces/company"
STORE = "/subscriptions/s/resourceGroups/g/providers/Microsoft.Storage/storageAccounts/keep/tableServices/default/tables/mine"
IDENTITY = "/subscriptions/s/resourceGroups/g/providers/Microsoft.ManagedIdentity/userAssignedIdentities/me"
ONE = Capacity(batch=1)
FIFO = Queue("ordered", fifo=True)

QUEUE, APP, ROLE = (
    "azure-native:servicebus:Queue",
    "azure-native:web:WebApp",
    "azure-native:authorization:RoleAssignment",
)


@pytest.fixture
def bundle(tmp_path):
    return str(bundled(tmp_path / "azure.zip"))


def app_with(bundle, *consumers, config=None, **options):
    """A program with these consumers; `orders` where none is given."""

    def program():
        app = App("shop", bundle=bundle, **options)
        for queue, more in consumers or [(ORDERS, {})]:
            app.consumer(queue, **{"handler": "a.b", "capacity": ONE, **more})
        app.all()

    return run(program, config)


def environment(recorded, name="shop-orders"):
    return {
        app_setting["name"]: app_setting["value"]
        for app_setting in recorded.named(name, APP).inputs["siteConfig"]["appSettings"]
    }


def test_a_queue_declares_the_queue(bundle):
    """One number changed is one input changed."""
    before = app_with(bundle).named("shop-orders", QUEUE).inputs
    after = app_with(bundle, (Queue("orders", timeout=60), {})).named("shop-orders", QUEUE).inputs
    assert before["lockDuration"] == "PT1M"
    assert {key: after[key] for key in after if after[key] != before[key]} == {"lockDuration": "PT85S"}
    assert before["forwardDeadLetteredMessagesTo"] == "orders-dead-letters"


def test_a_changed_contract_is_told_to_the_code(bundle):
    """max_attempts changes no setting of Azure's, only the fingerprint."""
    before, after = (environment(app_with(bundle, (Queue("orders", max_attempts=n), {}))) for n in (5, 6))
    assert {key for key in after if after[key] != before[key]} == {"PEEKLOCK_ORDERS_FINGERPRINT"}


def test_fifo_is_a_queue_with_sessions(bundle):
    """And the trigger of the package has them too."""
    recorded = app_with(bundle, (FIFO, {}))
    assert recorded.named("shop-ordered", QUEUE).inputs["requiresSession"] is True


def test_the_order_of_declarations_is_the_users(bundle):
    """A grant on another queue waits until that is declared."""
    first = app_with(bundle, (ORDERS, {"uses": [RECEIPTS]}), (RECEIPTS, {}))
    second = app_with(bundle, (RECEIPTS, {}), (ORDERS, {"uses": [RECEIPTS]}))
    assert [registration.urn for registration in first.registrations] == [
        registration.urn for registration in second.registrations
    ]
    grant = first.named("shop-orders-may-send-receipts")
    assert grant.inputs["scope"].endswith("/queues/receipts")
    assert environment(first)["PEEKLOCK_RECEIPTS_URL"] == "sb://shop-bus.servicebus.windows.net/receipts"


def test_two_queues_may_send_to_each_other(bundle):
    """Each is granted once."""
    recorded = app_with(bundle, (ORDERS, {"uses": [RECEIPTS]}), (RECEIPTS, {"uses": [ORDERS]}))
    assert recorded.named("shop-orders-may-send-receipts")
    assert recorded.named("shop-receipts-may-send-orders")


def test_a_paused_consumer_only_stops(bundle):
    """The queue stays open; one setting differs."""
    running, paused = (app_with(bundle, (ORDERS, {"consuming": on})) for on in (True, False))
    assert set(environment(paused).items()) - set(environment(running).items()) == {("AzureWebJobs.b.Disabled", "true")}
    assert running.named("shop-orders", QUEUE) == paused.named("shop-orders", QUEUE)


def test_a_topic_is_forwarded_to_the_queue(bundle):
    """One topic for all consumers that name it, a child of the app."""
    recorded = app_with(bundle, (ORDERS, {"topic": "events"}), (RECEIPTS, {"topic": "events"}))
    (topic,) = recorded.of("azure-native:servicebus:Topic")
    assert topic.parent == recorded.named("shop", "peeklock:azure:App").urn
    for name in ("orders", "receipts"):
        inputs = recorded.named(f"shop-{name}-subscription").inputs
        assert (inputs["topicName"], inputs["forwardTo"]) == ("events", name)


def test_what_is_brought_is_read_and_never_made(bundle):
    """Group, namespace, store, queue, dead letters, identity and topic."""
    more = {
        "queue_id": f"{BUS}/queues/orders",
        "dead_letters_id": f"{BUS}/queues/dead",
        "identity": IDENTITY,
        "topic": f"{BUS}/topics/events",
    }
    recorded = app_with(bundle, (ORDERS, more), resource_group="g", namespace=BUS, store=STORE, subnet="/subnets/x")
    read = {registration.inputs["id"] for registration in recorded.registrations if registration.read}
    assert read == {BUS, IDENTITY, f"{BUS}/queues/orders", f"{BUS}/queues/dead", f"{BUS}/topics/events"}
    created = {
        registration.type for registration in recorded.registrations if registration.custom and not registration.read
    }
    assert not created & {
        "azure-native:resources:ResourceGroup",
        "azure-native:servicebus:Namespace",
        "azure-native:storage:Table",
        "azure-native:managedidentity:UserAssignedIdentity",
        QUEUE,
        ROLE,
    }
    assert environment(recorded)["PEEKLOCK_STORE"] == "tables://keep/mine"
    assert recorded.named("shop-orders", APP).inputs["virtualNetworkSubnetId"] == "/subnets/x"
    assert recorded.named("shop-orders-alarm-dead-letters").inputs["criteria"]["allOf"][0]["dimensions"][0][
        "values"
    ] == ["dead"]
    assert recorded.named("shop-orders-subscription").inputs["resourceGroupName"] == "net"
    (native,) = recorded.named("shop-orders-alarm-native").inputs["criteria"]["allOf"]
    assert (native["metricName"], native["dimensions"][0]["values"]) == ("DeadletteredMessages", ["orders"])


def test_a_table_that_is_brought_is_what_is_granted(bundle):
    """And nothing else of that account."""
    recorded = app_with(bundle, store=STORE)
    assert recorded.named("shop-orders-may-remember").inputs["scope"] == STORE


def test_a_producer_is_granted_to_send(bundle):
    """On the queue alone."""

    def program():
        app = App("shop", bundle=bundle)
        app.consumer(ORDERS, handler="a.b", capacity=ONE).grant_send("web", "principal-1")
        app.all()

    grant = run(program).named("shop-orders-may-send-from-web").inputs
    assert (grant["principalId"], grant["scope"].rpartition("/")[2]) == ("principal-1", "orders")


def test_an_operator_is_granted_to_redrive(bundle):
    """On the dead letters and the queue."""

    def program():
        app = App("shop", bundle=bundle)
        app.consumer(ORDERS, handler="a.b", capacity=ONE).grant_redrive("oncall", "group-1", kind="Group")
        app.all()

    recorded = run(program)
    taken, back = (recorded.named(f"shop-orders-may-{part}-by-oncall").inputs for part in ("redrive", "put-back"))
    assert [grant["scope"].rpartition("/")[2] for grant in (taken, back)] == ["orders-dead-letters", "orders"]
    assert taken["roleDefinitionId"].endswith(Role.SERVICE_BUS_DATA_RECEIVER.value)
    assert back["roleDefinitionId"].endswith(Role.SERVICE_BUS_DATA_SENDER.value)
    assert {grant["principalId"] for grant in (taken, back)} == {"group-1"}
    assert {grant["principalType"] for grant in (taken, back)} == {"Group"}


def test_a_transform_has_the_last_word(bundle):
    """On every resource below the app."""

    def premium(resource_args):
        if resource_args.type_ == "azure-native:servicebus:Namespace":
            return pulumi.ResourceTransformationResult(
                {**resource_args.props, "zone_redundant": True}, resource_args.opts
            )
        return None

    assert app_with(bundle, transform=premium).named("shop-bus").inputs["zoneRedundant"] is True


def with_lock(duration):
    """Return a transform that sets the lock of `orders`."""

    def transform(resource_args):
        if resource_args.type_ == QUEUE and resource_args.name == "shop-orders":
            return pulumi.ResourceTransformationResult(
                {**resource_args.props, "lock_duration": duration}, resource_args.opts
            )
        return None

    return transform


BATCH = (Queue("orders", timeout=20), {"capacity": Capacity(batch=10, parallel=1)})


def test_a_lock_ends_after_its_batch(bundle):
    """A transform that shortens it is refused: the locks of a batch are not renewed."""
    why = r"its lock of 10 s is shorter than the 225 s .* not renewed.* set lockDuration to PT225S, or use batch=1"
    with pytest.raises(ConfigError, match=why):
        app_with(bundle, BATCH, transform=with_lock("PT10S"))
    assert app_with(bundle, BATCH, transform=with_lock("PT3M45S")).named("shop-orders", QUEUE)
    assert app_with(bundle, (BATCH[0], {}), transform=with_lock("PT10S")).named("shop-orders", QUEUE)


@pytest.mark.parametrize(
    ("lock", "is_refused"),
    [
        ("PT224S", True),
        ("PT3M44.9S", True),
        ("P", True),
        ("PT225S", False),
        ("P1DT1H", False),
        (None, False),
        ("225", False),
    ],
)
def test_locks_are_read_as_durations(lock, is_refused):
    """Texts in another form are left to Azure, which refuses them."""
    queue, more = BATCH
    settings = compute(queue, more["capacity"])
    with pytest.raises(ConfigError, match="shorter than the 225 s") if is_refused else nullcontext():
        locks.check(queue, settings, lock)


def test_stage_and_capacity_are_the_stacks(bundle):
    """Where the program says nothing."""
    config = {"stage": {"log_days": 90, "protect": False}, "capacity": {"orders": {"batch": 1, "instances": 77}}}
    recorded = app_with(bundle, (ORDERS, {"capacity": None}), config=config)
    scale = recorded.named("shop-orders", APP).inputs["functionAppConfig"]["scaleAndConcurrency"]
    assert scale["maximumInstanceCount"] == 77
    assert recorded.named("shop-logs").inputs["retentionInDays"] == 90
    assert not recorded.named("shop-bus").protect


def test_who_is_told(bundle):
    """A mail for each severity that has an address."""
    recorded = app_with(bundle, stage=Stage(notify={"high": "oncall@example.com"}))
    assert recorded.named("shop-high").inputs["emailReceivers"][0]["emailAddress"] == "oncall@example.com"
    assert recorded.named("shop-low").inputs["emailReceivers"] == []


@pytest.mark.parametrize(
    ("consumers", "options", "fix"),
    [
        ([(ORDERS, {}), (ORDERS, {})], {}, "has a consumer in app 'shop' already"),
        ([(ORDERS, {"uses": [RECEIPTS]})], {}, "uses queue 'receipts', which has no consumer in this app"),
        ([(FIFO, {"topic": "events"})], {}, "forwarding from a topic does not keep a session's order"),
        ([(ORDERS, {"handler": "charge"})], {}, "name the consumer as module and function"),
        ([(ORDERS, {"queue_id": f"{BUS}/queues/other"})], {"namespace": BUS}, "is not queue 'orders'"),
        ([(ORDERS, {"queue_id": f"{BUS}/queues/orders"})], {}, "is not in the app's namespace; give App namespace="),
        ([(ORDERS, {"dead_letters_id": f"{BUS}x/queues/dead"})], {"namespace": BUS}, "is not in the app's namespace"),
        ([(ORDERS, {"topic": f"{BUS}/topics/events"})], {}, "is not in the app's namespace"),
        ([(ORDERS, {"queue_id": "orders"})], {}, "is not a resource id with /queues/"),
        ([(ORDERS, {})], {"stage": Stage(log_days=7)}, "log_days=7, but logs are kept 30 to 730 days"),
        ([(ORDERS, {"capacity": Capacity(memory=768)})], {}, "use one of these"),
    ],
)
def test_what_cannot_be_is_refused(bundle, consumers, options, fix):
    """With what to change."""
    with pytest.raises(ConfigError, match=fix):
        app_with(bundle, *consumers, **options)
