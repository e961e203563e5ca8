"""App and Consumer: what can be brought, left out, paused and granted."""

from __future__ import annotations

import re

import pulumi
import pytest

from handlers.orders.queue import ORDERS, RECEIPTS
from peeklock import ConfigError, Queue
from peeklock.infra.gcp import App
from peeklock.infra.options import Capacity, Stage
from tests.infra.running import bundled, differences, run

CONFIG = {"gcp:project": "contoso", "gcp:region": "europe-west1"}
QUEUE, FUNCTION = "gcp:cloudtasks/queue:Queue", "gcp:cloudfunctionsv2/function:Function"
OWN_QUEUE = "projects/other/locations/europe-west3/queues/mine"
OWN_DEAD_LETTERS = ("projects/other/topics/dead", "projects/other/subscriptions/dead-all")
OWN_STORE = "projects/other/databases/keys/collectionGroups/mine"
OWN_KEY = "projects/other/locations/europe-west1/keyRings/r/cryptoKeys/k"
OWN_SUBNET = "projects/net/regions/europe-west1/subnetworks/functions"
CHANNEL = "projects/contoso/notificationChannels/1"


@pytest.fixture
def bundle(tmp_path):
    return str(bundled(tmp_path / "gcp.zip"))


def app_with(bundle, *consumers, config=None, **options):
    """A program with these consumers; `orders` where none is given."""

    def program():
        app = App("shop", bundle=bundle, **options)
        for queue, more in consumers or [(ORDERS, {})]:
            app.consumer(queue, **{"handler": "main.f", **more})
        app.all()

    return run(program, {**CONFIG, **(config or {})})


def environment(recorded, name="shop-orders"):
    return recorded.named(name, FUNCTION).inputs["serviceConfig"]["environmentVariables"]


FINGERPRINT = {"serviceConfig.environmentVariables.PEEKLOCK_ORDERS_FINGERPRINT", "labels.fingerprint"}
LABELLED = {("Topic", "shop-orders-dead-letters"), ("Subscription", "shop-orders-dead-letters")}


@pytest.mark.parametrize(
    ("change", "queue", "function", "alarms"),
    [
        ({"max_attempts": 6}, set(), set(), set()),
        ({"keep": 60}, set(), set(), set()),
        (
            {"timeout": 60},
            set(),
            {"serviceConfig.timeoutSeconds"}
            | {f"serviceConfig.environmentVariables.PEEKLOCK_ORDERS_{variable}" for variable in ("LOCK", "URL")},
            set(),
        ),
        ({"first_delay": 5}, {"retryConfig.minBackoff"}, set(), set()),
        ({"max_delay": 60}, {"retryConfig.maxBackoff"}, set(), {"age"}),
    ],
)
def test_one_number_changes_what_follows_from_it(bundle, change, queue, function, alarms):
    """These inputs, the fingerprint wherever it is told, and nothing else."""
    before = app_with(bundle, (Queue("orders"), {}))
    changes = differences(before, app_with(bundle, (Queue("orders", **change), {})))
    assert changes.pop(("Queue", "shop-orders"), set()) == queue
    assert changes.pop(("Function", "shop-orders")) == function | FINGERPRINT
    assert {changes.pop(resource) and resource for resource in LABELLED} == LABELLED
    policies = {
        name.partition("-alarm-")[2]: inputs for (kind, name), inputs in changes.items() if kind == "AlertPolicy"
    }
    assert {name for name, inputs in policies.items() if inputs != {"userLabels.fingerprint"}} == alarms
    assert {kind for kind, _ in changes} - {"AlertPolicy"} <= {"Dashboard"}


def test_tasks_are_never_given_up(bundle):
    """A task out of attempts would be deleted."""
    retries = app_with(bundle).named("shop-orders", QUEUE).inputs["retryConfig"]
    assert (retries["maxAttempts"], retries["maxRetryDuration"]) == (-1, "0s")


def test_a_queue_sends_to_its_function_only(bundle):
    """With the caller's token for it, whatever the task says; the token's audience is what the code checks."""
    recorded = app_with(bundle)
    target = recorded.named("shop-orders", QUEUE).inputs["httpTarget"]
    uri = target["uriOverride"]
    url = f"https://{uri['host']}{uri['pathOverride']['path']}"
    variables = environment(recorded)
    assert uri["uriOverrideEnforceMode"] == "ALWAYS"
    assert url == target["oidcToken"]["audience"] == variables["PEEKLOCK_ORDERS_AUDIENCE"]
    assert target["oidcToken"]["serviceAccountEmail"] == variables["PEEKLOCK_ORDERS_SERVICE_ACCOUNT"]
    invoker = recorded.named("shop-orders-may-be-called").inputs
    assert invoker["member"] == f"serviceAccount:{variables['PEEKLOCK_ORDERS_SERVICE_ACCOUNT']}"
    assert invoker["name"] == recorded.named("shop-orders", FUNCTION).inputs["name"]


def test_dead_letters_are_kept_for_ever(bundle):
    """Dead letters are kept as long as the platform can: a subscription that never expires, and 31 days of dead letters."""
    inputs = app_with(bundle).named("shop-orders-dead-letters", "gcp:pubsub/subscription:Subscription").inputs
    assert (inputs["expirationPolicy"], inputs["messageRetentionDuration"]) == ({"ttl": ""}, "2678400s")


def test_the_store_is_as_its_manual_says(bundle):
    """The TTL on `expires_at`, and no index at all."""
    fields = {
        registration.inputs["field"]: registration.inputs
        for registration in app_with(bundle).of("gcp:firestore/field:Field")
    }
    assert set(fields) == {"expires_at", "key", "r"}
    assert [name for name, inputs in fields.items() if "ttlConfig" in inputs] == ["expires_at"]
    assert all(inputs["indexConfig"] == {} and inputs["collection"] == "leases" for inputs in fields.values())


def test_the_order_of_declarations_is_the_users(bundle):
    """A function waits until the queues that it uses are declared."""
    first = app_with(bundle, (ORDERS, {"uses": [RECEIPTS]}), (RECEIPTS, {}))
    second = app_with(bundle, (RECEIPTS, {}), (ORDERS, {"uses": [RECEIPTS]}))
    assert [registration.urn for registration in first.registrations] == [
        registration.urn for registration in second.registrations
    ]
    assert first.named("shop-orders-may-send-receipts").inputs["name"] == "shop-receipts-dev"
    account = first.named("shop-orders-may-send-receipts-as").inputs["serviceAccountId"]
    assert account.endswith("/shop-receipts-call-dev@contoso.iam.gserviceaccount.com")
    assert environment(first)["PEEKLOCK_RECEIPTS_URL"] == first.outputs["receipts"]["queue"]


def test_two_queues_may_send_to_each_other(bundle):
    """Each is granted once."""
    recorded = app_with(bundle, (ORDERS, {"uses": [RECEIPTS]}), (RECEIPTS, {"uses": [ORDERS]}))
    assert recorded.named("shop-orders-may-send-receipts")
    assert recorded.named("shop-receipts-may-send-orders")


def test_a_paused_consumer_only_stops(bundle):
    """The queue goes on taking tasks; one input differs."""
    running, paused = (app_with(bundle, (ORDERS, {"consuming": on})) for on in (True, False))
    assert differences(running, paused) == {("Queue", "shop-orders"): {"desiredState"}}
    assert paused.named("shop-orders", QUEUE).inputs["desiredState"] == "PAUSED"


def test_what_is_brought_is_read_and_never_made(bundle):
    """Queue, dead letters, identity, store, key, subnet and channels."""
    more = {
        "queue_name": OWN_QUEUE,
        "dead_letters_names": OWN_DEAD_LETTERS,
        "identity": "me@other.iam.gserviceaccount.com",
    }
    recorded = app_with(
        bundle, (ORDERS, more), store=OWN_STORE, key=OWN_KEY, subnet=OWN_SUBNET, channels={"high": CHANNEL}
    )
    read = {registration.inputs["id"] for registration in recorded.registrations if registration.read}
    assert read == {OWN_QUEUE, *OWN_DEAD_LETTERS, "projects/other/databases/keys"}
    created = {
        registration.type for registration in recorded.registrations if registration.custom and not registration.read
    }
    assert not created & {
        QUEUE,
        "gcp:pubsub/topic:Topic",
        "gcp:pubsub/subscription:Subscription",
        "gcp:firestore/database:Database",
        "gcp:firestore/field:Field",
        "gcp:cloudtasks/queueIamMember:QueueIamMember",
        "gcp:monitoring/notificationChannel:NotificationChannel",
    }
    variables = environment(recorded)
    assert variables["PEEKLOCK_STORE"] == "firestore://other/keys/mine"
    assert variables["PEEKLOCK_ORDERS_URL"].startswith(f"cloudtasks://{OWN_QUEUE}?")
    assert variables["PEEKLOCK_ORDERS_DEAD_LETTER"] == "pubsub://projects/other/topics/dead"
    service = recorded.named("shop-orders", FUNCTION).inputs["serviceConfig"]
    assert service["serviceAccountEmail"] == recorded.outputs["orders"]["identity"] == more["identity"]
    assert service["directVpcNetworkInterfaces"] == [{"subnetwork": OWN_SUBNET}]
    dead_letters = recorded.named("shop-orders-alarm-dead-letters").inputs
    assert '"dead-all"' in dead_letters["conditions"][0]["conditionThreshold"]["filter"]
    assert dead_letters["notificationChannels"] == [CHANNEL]


def test_a_key_is_the_dead_letters_and_the_stores(bundle):
    """Which both take only when they are made."""
    recorded = app_with(bundle, key=OWN_KEY)
    assert recorded.named("shop-orders-dead-letters", "gcp:pubsub/topic:Topic").inputs["kmsKeyName"] == OWN_KEY
    assert recorded.named("shop-store").inputs["cmekConfig"] == {"kmsKeyName": OWN_KEY}


@pytest.mark.parametrize(
    ("service", "type_"), [("pubsub", "gcp:pubsub/topic:Topic"), ("firestore", "gcp:firestore/database:Database")]
)
def test_google_may_use_the_key_before_it_has_to(bundle, service, type_):
    """The service's own account may use the key; the project gets that account when it is asked for."""
    recorded = app_with(bundle, key=OWN_KEY)
    grant = recorded.named(f"shop-agent-{service}-may-encrypt")
    assert grant.inputs["cryptoKeyId"] == OWN_KEY
    assert grant.inputs["role"] == "roles/cloudkms.cryptoKeyEncrypterDecrypter"
    assert grant.inputs["member"].endswith(f"@gcp-sa-{service}.iam.gserviceaccount.com")
    assert recorded.of(type_)
    assert all(recorded.depends(resource, grant) for resource in recorded.of(type_))


def test_a_store_that_was_brought_has_its_own_key(bundle):
    """Only dead letters are encrypted here, so only Pub/Sub is let."""
    recorded = app_with(bundle, key=OWN_KEY, store=OWN_STORE)
    (grant,) = recorded.of("gcp:kms/cryptoKeyIAMMember:CryptoKeyIAMMember")
    assert grant.name == "shop-agent-pubsub-may-encrypt"


@pytest.mark.parametrize(("options", "more"), [({}, set()), ({"subnet": OWN_SUBNET}, {"compute.googleapis.com"})])
def test_what_is_used_is_enabled(bundle, options, more):
    """Members of the project's policy need the API of projects, and a subnet that of networks."""
    apis = {service.inputs["service"] for service in app_with(bundle, **options).of("gcp:projects/service:Service")}
    assert "cloudresourcemanager.googleapis.com" in apis
    assert apis & {"compute.googleapis.com"} == more


def test_builds_may_do_no_more_than_they_need(bundle):
    """Logs in the project, objects with sources only, and the app's own images. (trials 5.10)"""
    recorded = app_with(bundle)
    grants = {
        registration.name.removeprefix("shop-builder-may-"): registration.inputs
        for registration in recorded.registrations
        if "-builder-may-" in registration.name
    }
    assert {name: inputs["role"] for name, inputs in grants.items()} == {
        "log": "roles/logging.logWriter",
        "read-sources": "roles/storage.objectViewer",
        "store-images": "roles/artifactregistry.writer",
    }
    assert grants["store-images"]["repository"] == "shop-images-dev"
    condition = grants["read-sources"]["condition"]["expression"]
    assert condition.startswith('resource.type == "storage.googleapis.com/Object" && (resource.name.startsWith(')
    assert set(re.findall(r"/buckets/([^\"]*)", condition)) == {
        "contoso-shop-code-dev/",
        "gcf-v2-sources-",
        "gcf-v2-uploads-",
        "run-sources-",
    }


def test_old_images_are_deleted(bundle):
    """Those of the app, in a repository of its own. (trials 5.14)"""
    recorded = app_with(bundle)
    images = recorded.named("shop-images").inputs
    assert [policy["action"] for policy in images["cleanupPolicies"]] == ["DELETE", "KEEP"]
    assert images["cleanupPolicies"][0]["condition"] == {"tagState": "ANY", "olderThan": "2592000s"}
    assert images["cleanupPolicyDryRun"] is False
    repository = "projects/contoso/locations/europe-west1/repositories/shop-images-dev"
    assert recorded.named("shop-orders", FUNCTION).inputs["buildConfig"]["dockerRepository"] == repository


def test_a_queue_is_made_again_under_another_name(bundle):
    """The old name is not free for days after the queue is deleted. The function stays, and gets the new address."""
    recorded = app_with(bundle, (ORDERS, {"suffix": "2"}))
    assert recorded.named("shop-orders", QUEUE).inputs["name"] == "shop-orders-dev-2"
    assert recorded.named("shop-orders", FUNCTION).inputs["name"] == "shop-orders-dev"
    whole = "projects/contoso/locations/europe-west1/queues/shop-orders-dev-2"
    assert environment(recorded)["PEEKLOCK_ORDERS_URL"].startswith(f"cloudtasks://{whole}?")
    assert recorded.named("shop-orders-may-delay").inputs["name"] == "shop-orders-dev-2"
    depth = recorded.named("shop-orders-alarm-length").inputs["conditions"][0]["conditionThreshold"]["filter"]
    assert '"shop-orders-dev-2"' in depth


def test_producers_and_operators_are_granted(bundle):
    """A producer on the queue and its caller; an operator also on the dead letters."""

    def program():
        app = App("shop", bundle=bundle)
        orders = app.consumer(ORDERS, handler="main.f")
        orders.grant_send("web", "web@contoso.iam.gserviceaccount.com")
        orders.grant_redrive("ada", "user:ada@example.com")
        app.all()

    recorded = run(program, CONFIG)
    web = recorded.named("shop-orders-may-send-from-web").inputs
    assert (web["member"], web["role"]) == (
        "serviceAccount:web@contoso.iam.gserviceaccount.com",
        "roles/cloudtasks.enqueuer",
    )
    assert recorded.named("shop-orders-may-send-from-web-as").inputs["role"] == "roles/iam.serviceAccountUser"
    ada = recorded.named("shop-orders-may-redrive-by-ada").inputs
    assert (ada["role"], ada["member"], ada["subscription"]) == (
        "roles/pubsub.subscriber",
        "user:ada@example.com",
        "shop-orders-dead-letters-dev",
    )
    assert recorded.named("shop-orders-may-send-from-redrive-by-ada")


def test_a_transform_has_the_last_word(bundle):
    """On every resource below the app."""

    def slower(resource_args):
        if resource_args.type_ == QUEUE:
            resource_args.props["rate_limits"]["max_dispatches_per_second"] = 5
        return pulumi.ResourceTransformationResult(resource_args.props, resource_args.opts)

    limits = app_with(bundle, transform=slower).named("shop-orders", QUEUE).inputs["rateLimits"]
    assert limits["maxDispatchesPerSecond"] == 5


def test_stage_and_capacity_are_the_stacks(bundle):
    """Where the program says nothing."""
    config = {"stage": {"log_days": 90, "protect": False}, "capacity": {"orders": {"parallel": 2, "instances": 7}}}
    recorded = app_with(bundle, config=config)
    assert recorded.named("shop-orders", QUEUE).inputs["rateLimits"]["maxConcurrentDispatches"] == 14
    assert recorded.named("shop-logs").inputs["retentionDays"] == 90
    assert not recorded.named("shop-logs").protect


def test_short_retention_needs_no_bucket(bundle):
    """The project keeps logs 30 days anyway."""
    recorded = app_with(bundle, stage=Stage(log_days=30))
    assert not recorded.of("gcp:logging/projectBucketConfig:ProjectBucketConfig")
    assert not recorded.of("gcp:logging/projectSink:ProjectSink")


def test_who_is_told(bundle):
    """A mail for each severity that has an address; the others only show."""
    recorded = app_with(bundle, stage=Stage(notify={"high": "oncall@example.com"}))
    (channel,) = recorded.of("gcp:monitoring/notificationChannel:NotificationChannel")
    assert channel.inputs["labels"] == {"email_address": "oncall@example.com"}
    assert len(recorded.named("shop-orders-alarm-length").inputs["notificationChannels"]) == 1
    assert recorded.named("shop-orders-alarm-age").inputs["notificationChannels"] == []


@pytest.mark.parametrize(
    ("consumers", "options", "fix"),
    [
        ([(ORDERS, {}), (ORDERS, {})], {}, "has a consumer in app 'shop' already"),
        ([(ORDERS, {"uses": [RECEIPTS]})], {}, "uses queue 'receipts', which has no consumer in this app"),
        ([(ORDERS, {"queue_name": OWN_QUEUE, "consuming": False})], {}, "exists already, and is never modified"),
        ([(ORDERS, {"handler": "charge"})], {}, "name it as 'main.<function>'"),
        ([(ORDERS, {"capacity": Capacity(memory=1)})], {}, "use 128"),
        ([(ORDERS, {"suffix": "_b"})], {}, "use up to 20 small letters, digits and '-', such as suffix='2'"),
        ([(ORDERS, {})], {"channels": {"urgent": CHANNEL}}, "severities are high, medium and low"),
        ([(ORDERS, {})], {"store": "firestore://p/leases"}, "is not a full name of the form projects"),
        ([(ORDERS, {})], {"stage": Stage(log_days=5000)}, "at most 3650 days; lower it"),
        ([(ORDERS, {})], {"config": {"gcp:region": ""}}, "the stack has no gcp:region; set it: pulumi config set"),
    ],
)
def test_what_cannot_work_is_refused(bundle, consumers, options, fix):
    """With the fix."""
    with pytest.raises(ConfigError, match=fix):
        app_with(bundle, *consumers, **options)


def test_a_bundle_that_is_missing_is_said(tmp_path):
    """With the command that makes it."""
    with pytest.raises(ConfigError, match="make it first: peeklock bundle gcp"):
        app_with(str(tmp_path / "none.zip"))


def test_another_bundle_is_another_object(tmp_path):
    """So that the functions are built anew."""
    first, second = bundled(tmp_path / "one.zip"), tmp_path / "other.zip"
    second.write_bytes(first.read_bytes() + b"x")
    changes = differences(app_with(str(first)), app_with(str(second)))
    assert changes == {
        ("BucketObject", "shop-bundle"): {"name", "source.$asset"},
        ("Function", "shop-orders"): {"buildConfig.source.storageSource.object"},
    }
