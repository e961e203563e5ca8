"""Additions of a team's own program: variables, secrets, grants, labels, resources of other programs, ready instances."""

from __future__ import annotations

import pulumi
import pytest
from pulumi_gcp import pubsub, secretmanager, serviceaccount, storage

from handlers.orders.queue import ORDERS, RECEIPTS
from peeklock import ConfigError, Queue
from peeklock.infra.gcp import App, Deployed, Grant
from peeklock.infra.options import Capacity
from peeklock.platforms.cloudtasks.address import from_url
from tests.infra.gcp.test_components import (
    CHANNEL,
    CONFIG,
    FUNCTION,
    OWN_DEAD_LETTERS,
    OWN_KEY,
    OWN_QUEUE,
    OWN_STORE,
    OWN_SUBNET,
    app_with,
    environment,
)
from tests.infra.running import bundled, run, wrapped
from tests.infra.schema import problems

SECRET = "projects/contoso/secrets/gateway"
INVOICES = Queue("invoices")
BILLING = "projects/billing/locations/europe-west1/queues/billing-invoices-prod"
BILLING_CALLER = "billing-invoices-call-prod@billing.iam.gserviceaccount.com"
BILLING_ADDRESS = f"cloudtasks://{BILLING}?target=https%3A%2F%2Fx.y%2Fz&service_account={BILLING_CALLER.replace('@', '%40')}&deadline=40"
RUNNER = "serviceAccount:shop-orders-run-dev@contoso.iam.gserviceaccount.com"


@pytest.fixture
def bundle(tmp_path):
    return str(bundled(tmp_path / "gcp.zip"))


def service_of(recorded):
    return recorded.named("shop-orders", FUNCTION).inputs["serviceConfig"]


def refused(recorded):
    return [message for registration in recorded.registrations for message in problems(registration)]


def test_variables_are_in_the_environment(bundle):
    recorded = app_with(bundle, (ORDERS, {"variables": {"CURRENCY": "EUR", "GOOGLE_CLIENT_ID": "7", "PORTAL": "x"}}))
    assert environment(recorded)["CURRENCY"] == "EUR"


@pytest.mark.parametrize("name", ["K_SERVICE", "PORT", "threads", "FUNCTION_TARGET", "X_GOOGLE_A", "PEEKLOCK_STORE"])
@pytest.mark.parametrize("argument", ["variables", "secrets"])
def test_variables_of_the_platform_are_refused(bundle, argument, name):
    with pytest.raises(ConfigError, match="is set by peeklock or by the platform"):
        app_with(bundle, (ORDERS, {argument: {name: SECRET}}))


def test_secrets_are_references_that_the_account_may_read(bundle):
    """Their values are nowhere in the program's state."""
    pinned = "projects/vault/secrets/mail/versions/3"
    recorded = app_with(bundle, (ORDERS, {"secrets": {"GATEWAY_KEY": SECRET, "MAIL_KEY": pinned}}))
    assert service_of(recorded)["secretEnvironmentVariables"] == [
        {"key": "GATEWAY_KEY", "projectId": "contoso", "secret": "gateway", "version": "latest"},
        {"key": "MAIL_KEY", "projectId": "vault", "secret": "mail", "version": "3"},
    ]
    assert "GATEWAY_KEY" not in environment(recorded)
    grant = recorded.named("shop-orders-may-read-MAIL_KEY")
    assert (grant.inputs["project"], grant.inputs["secretId"]) == ("vault", "mail")
    assert (grant.inputs["role"], grant.inputs["member"]) == ("roles/secretmanager.secretAccessor", RUNNER)
    assert recorded.depends(recorded.named("shop-orders", FUNCTION), grant)  # it starts with the secret's value
    assert refused(recorded) == []


def test_an_account_without_secrets_may_read_none(bundle):
    recorded = app_with(bundle)
    assert "secretEnvironmentVariables" not in service_of(recorded)
    assert not recorded.of("gcp:secretmanager/secretIamMember:SecretIamMember")


@pytest.mark.parametrize(
    ("on", "kind", "inputs"),
    [
        ("projects/other", "projects/iAMMember:IAMMember", {"project": "other"}),
        ("projects/_/buckets/invoices", "storage/bucketIAMMember:BucketIAMMember", {"bucket": "invoices"}),
        (SECRET, "secretmanager/secretIamMember:SecretIamMember", {"project": "contoso", "secretId": "gateway"}),
        ("projects/p/topics/t", "pubsub/topicIAMMember:TopicIAMMember", {"project": "p", "topic": "t"}),
        (
            "projects/p/subscriptions/s",
            "pubsub/subscriptionIAMMember:SubscriptionIAMMember",
            {"project": "p", "subscription": "s"},
        ),
        (
            "projects/p/datasets/d",
            "bigquery/datasetIamMember:DatasetIamMember",
            {"project": "p", "datasetId": "d"},
        ),
        (
            OWN_QUEUE,
            "cloudtasks/queueIamMember:QueueIamMember",
            {"project": "other", "location": "europe-west3", "name": "mine"},
        ),
        (
            "projects/p/locations/l/services/s",
            "cloudrunv2/serviceIamMember:ServiceIamMember",
            {"project": "p", "location": "l", "name": "s"},
        ),
        (OWN_KEY, "kms/cryptoKeyIAMMember:CryptoKeyIAMMember", {"cryptoKeyId": OWN_KEY}),
    ],
)
def test_grants_are_members_of_the_resources_policy(bundle, on, kind, inputs):
    recorded = app_with(bundle, (ORDERS, {"grants": [Grant(name="extra", role="roles/some.viewer", on=on)]}))
    grant = recorded.named("shop-orders-has-extra", f"gcp:{kind}")
    assert grant.inputs == {**inputs, "role": "roles/some.viewer", "member": RUNNER}
    assert recorded.depends(recorded.named("shop-orders", FUNCTION), grant)
    assert refused(recorded) == []


@pytest.mark.parametrize(
    ("grant", "fix"),
    [
        ({"name": "Read it"}, "name='Read it': use small letters"),
        ({"role": "viewer"}, "'viewer' is no role such as roles/storage.objectViewer"),
        ({"on": "projects/p/instances/i"}, "is no full name, .* of one of these: project, bucket, secret, .*identity"),
        ({"on": 5}, "on=5: use a text"),
        ({"kind": "buckets"}, "kind='buckets': use one of project, bucket"),
        ({"kind": "topic"}, "'extra': on: .* is not a full name of the form projects/.../topics"),
        ({"on": pulumi.Output.from_input("projects/_/buckets/b")}, "on= is an output; say what it is by kind="),
    ],
)
def test_a_grant_that_cannot_be_made_is_refused(bundle, grant, fix):
    usual = {"name": "extra", "role": "roles/storage.objectViewer", "on": "projects/_/buckets/invoices"}

    def program():
        App("shop", bundle=bundle).consumer(ORDERS, handler="main.f", grants=[Grant(**{**usual, **grant})])

    with pytest.raises(ConfigError, match=fix):
        run(program, CONFIG)


def test_two_grants_of_one_name_are_refused(bundle):
    grant = Grant(name="extra", role="roles/viewer", on="projects/p")
    with pytest.raises(ConfigError, match="two are named 'extra'"):
        app_with(bundle, (ORDERS, {"grants": [grant, grant]}))


def test_an_existing_identity_gets_its_roles_from_its_owner(bundle):
    identity = {"identity": "me@other.iam.gserviceaccount.com", "secrets": {"GATEWAY_KEY": SECRET}}
    recorded = app_with(bundle, (ORDERS, identity))
    assert service_of(recorded)["secretEnvironmentVariables"][0]["key"] == "GATEWAY_KEY"
    assert not recorded.of("gcp:secretmanager/secretIamMember:SecretIamMember")
    with pytest.raises(ConfigError, match="its owner grants its roles; drop grants="):
        app_with(bundle, (ORDERS, {**identity, "grants": [Grant(name="a", role="roles/viewer", on="projects/p")]}))


def test_tags_are_labels(bundle):
    recorded = app_with(bundle, (ORDERS, {"tags": {"team": "payments"}}), (RECEIPTS, {}), tags={"cost": "42"})
    labels = [
        registration.inputs[name]
        for registration in recorded.registrations
        for name in ("labels", "userLabels")
        if name in registration.inputs and registration.type != "gcp:monitoring/notificationChannel:NotificationChannel"
    ]
    assert {texts["cost"] for texts in labels} == {"42"}
    assert recorded.named("shop-orders", FUNCTION).inputs["labels"]["team"] == "payments"
    assert "team" not in recorded.named("shop-receipts", FUNCTION).inputs["labels"]


@pytest.mark.parametrize(
    "tags", [{"app": "x"}, {"Cost": "x"}, {"cost": "A b"}, {"cost": 42}, {"9": "x"}, {"a": "x" * 64}]
)
def test_tags_that_cannot_be_are_refused(bundle, tags):
    with pytest.raises(ConfigError, match="tags: "):
        app_with(bundle, tags=tags)
    with pytest.raises(ConfigError, match="tags: "):
        app_with(bundle, (ORDERS, {"tags": tags}))


def test_ready_instances_are_kept_warm(bundle):
    assert service_of(app_with(bundle, (ORDERS, {"capacity": Capacity(ready=2)})))["minInstanceCount"] == 2
    assert "minInstanceCount" not in service_of(app_with(bundle))


def test_a_queue_of_another_app_may_be_used(bundle):
    """The sender needs the queue, and to act as the account that the queue calls as."""
    outputs = {"queue": BILLING_ADDRESS, "resource": BILLING}

    def program():
        elsewhere = pulumi.StackReference("acme/billing/prod").require_output("invoices")
        app = App("shop", bundle=bundle)
        app.consumer(ORDERS, handler="main.f", uses=[Deployed(INVOICES, elsewhere), RECEIPTS])
        app.consumer(RECEIPTS, handler="main.f", uses=[Deployed(Queue("refunds"), outputs)])
        app.all()

    recorded = run(
        program, CONFIG, answers={"pulumi:pulumi:StackReference": lambda _: {"outputs": {"invoices": outputs}}}
    )
    url = environment(recorded)["PEEKLOCK_INVOICES_URL"]
    assert from_url(url).service_account == BILLING_CALLER
    enqueuer = recorded.named("shop-orders-may-send-invoices").inputs
    assert (enqueuer["project"], enqueuer["name"]) == ("billing", "billing-invoices-prod")
    assert (enqueuer["role"], enqueuer["member"]) == ("roles/cloudtasks.enqueuer", RUNNER)
    act_as = recorded.named("shop-orders-may-send-invoices-as").inputs
    assert act_as["serviceAccountId"] == f"projects/billing/serviceAccounts/{BILLING_CALLER}"
    assert act_as["role"] == "roles/iam.serviceAccountUser"
    assert environment(recorded, "shop-receipts")["PEEKLOCK_REFUNDS_URL"] == BILLING_ADDRESS


def test_the_outputs_of_a_consumer_are_what_another_app_uses(bundle):
    """The object that `all()` returns, in one program."""

    def program():
        billing = App("billing", bundle=bundle)
        billing.consumer(INVOICES, handler="main.f")
        outputs = billing.all(export=False)
        shop = App("shop", bundle=bundle)
        shop.consumer(ORDERS, handler="main.f", uses=[Deployed(INVOICES, outputs["invoices"])])
        shop.all()

    recorded = run(program, CONFIG)
    assert "/queues/billing-invoices-dev?" in environment(recorded)["PEEKLOCK_INVOICES_URL"]
    act_as = recorded.named("shop-orders-may-send-invoices-as").inputs["serviceAccountId"]
    assert act_as == recorded.named("billing-invoices-may-delay-as").inputs["serviceAccountId"]


@pytest.mark.parametrize(
    ("outputs", "fix"),
    [
        ({"queue": BILLING_ADDRESS}, "have no 'resource'"),
        ({"queue": "https://x.y", "resource": BILLING}, "queue: give the address of a Cloud Tasks queue"),
        ({"queue": BILLING_ADDRESS.partition("&service")[0], "resource": BILLING}, "with the service_account"),
        ({"queue": BILLING_ADDRESS, "resource": "invoices"}, "resource: 'invoices' is not a full name"),
        ({"queue": "", "resource": BILLING}, "queue is empty"),
    ],
)
def test_outputs_of_a_wrong_shape_are_refused(bundle, outputs, fix):
    with pytest.raises(Exception, match=fix):
        app_with(bundle, (ORDERS, {"uses": [Deployed(INVOICES, outputs)]}))


def outputs_for_all(bundle):
    """Make an app of which each argument for something that exists is an output."""
    output = pulumi.Output.from_input
    secret = secretmanager.Secret("gateway", secret_id="gateway", project="contoso", replication={"auto": {}})
    bucket, topic = storage.Bucket("invoices", location="EU"), pubsub.Topic("dead", project="other")
    account = serviceaccount.Account("theirs", account_id="theirs", project="other")
    existing = {"store": output(OWN_STORE), "key": output(OWN_KEY), "subnet": output(OWN_SUBNET)}
    app = App("shop", bundle=bundle, channels={"high": output(CHANNEL)}, **existing)
    app.consumer(
        ORDERS,
        handler="main.f",
        queue_name=output(OWN_QUEUE),
        dead_letters_names=(topic.id, output(OWN_DEAD_LETTERS[1])),
        identity=account.email,
        variables={"BUCKET": bucket.name},
    )
    full_name = bucket.name.apply(lambda name: f"projects/_/buckets/{name}")
    read = Grant(name="invoices", role="roles/storage.objectViewer", on=full_name, kind="bucket")
    app.consumer(RECEIPTS, handler="main.f", secrets={"GATEWAY_KEY": secret.id}, grants=[read], uses=[ORDERS])
    app.all()


@pytest.fixture
def with_outputs(bundle):
    return run(lambda: outputs_for_all(bundle), CONFIG)


def test_arguments_may_be_outputs_of_the_same_program(with_outputs):
    """Each argument for something that exists already. (trials 5.11)"""
    assert refused(with_outputs) == []
    read = {registration.inputs["id"] for registration in with_outputs.registrations if registration.read}
    assert read == {OWN_QUEUE, OWN_DEAD_LETTERS[1], "projects/other/topics/dead", "projects/other/databases/keys"}
    variables = environment(with_outputs)
    assert variables["PEEKLOCK_STORE"] == "firestore://other/keys/mine"
    assert variables["PEEKLOCK_ORDERS_URL"].startswith(f"cloudtasks://{OWN_QUEUE}?")
    assert variables["PEEKLOCK_ORDERS_DEAD_LETTER"] == "pubsub://projects/other/topics/dead"
    assert variables["BUCKET"] == "invoices"
    assert service_of(with_outputs)["serviceAccountEmail"] == "theirs@other.iam.gserviceaccount.com"
    assert service_of(with_outputs)["directVpcNetworkInterfaces"] == [{"subnetwork": OWN_SUBNET}]


def test_alarms_watch_resources_whose_names_are_outputs(with_outputs):
    alarm = with_outputs.named("shop-orders-alarm-dead-letters").inputs
    assert '"dead-all"' in alarm["conditions"][0]["conditionThreshold"]["filter"]
    assert alarm["notificationChannels"] == [CHANNEL]
    assert '"mine"' in with_outputs.named("shop-dashboard").inputs["dashboardJson"].replace("\\", "")


def test_grants_are_on_resources_whose_names_are_outputs(with_outputs):
    sender = with_outputs.named("shop-receipts-may-send-orders").inputs
    assert (sender["project"], sender["name"]) == ("other", "mine")
    expression = with_outputs.named("shop-receipts-may-remember").inputs["condition"]["expression"]
    assert expression == 'resource.name == "projects/other/databases/keys"'
    assert with_outputs.named("shop-receipts-has-invoices").inputs["bucket"] == "invoices"
    assert with_outputs.named("shop-receipts-may-read-GATEWAY_KEY").inputs["secretId"] == "gateway"
    assert with_outputs.named("shop-agent-pubsub-may-encrypt").inputs["cryptoKeyId"] == OWN_KEY
    assert with_outputs.named("shop-receipts-dead-letters", "gcp:pubsub/topic:Topic").inputs["kmsKeyName"] == OWN_KEY


def test_a_first_preview_knows_no_output_and_runs(bundle):
    """Names may be unknown then; the resources are the same."""

    def program():
        account = serviceaccount.Account("theirs", account_id="theirs", project="other")
        topic = pubsub.Topic("dead", project="other")
        app = App("shop", bundle=bundle)
        names = (topic.id, topic.name.apply(lambda name: f"projects/other/subscriptions/{name}"))
        app.consumer(ORDERS, handler="main.f", identity=account.email, dead_letters_names=names)
        app.all()

    recorded = run(program, CONFIG, preview=True)
    assert recorded.named("shop-orders-alarm-dead-letters")
    assert environment(recorded)["PEEKLOCK_ORDERS_FINGERPRINT"] == ORDERS.fingerprint


@pytest.mark.parametrize(
    ("options", "consumer", "fix"),
    [
        ({"store": 5}, {}, "store=5: use a text"),
        ({"key": "alias"}, {}, "key: 'alias' is not a full name of the form projects/.../locations"),
        ({"subnet": "default"}, {}, "subnet: 'default' is not a full name"),
        ({"channels": {"high": ""}}, {}, r"channels\['high'\] is empty"),
        ({}, {"queue_name": "orders"}, "queue_name: 'orders' is not a full name"),
        ({}, {"identity": "user:ada@example.com"}, "identity='user:ada@example.com': use a service account's address"),
        ({}, {"secrets": {"GATEWAY_KEY": "s3cret"}}, r"secrets\['GATEWAY_KEY'\]: give the full name .* not its value"),
        ({}, {"variables": {"A": 5}}, r"variables\['A'\]=5: use a text"),
    ],
)
@pytest.mark.parametrize("wrap", [lambda value: value, pulumi.Output.from_input], ids=["literal", "output"])
def test_a_value_of_a_wrong_shape_names_its_argument(bundle, options, consumer, fix, wrap):
    """At once for a literal, and during the update for an output."""

    def program():
        app = App("shop", bundle=bundle, **wrapped(options, wrap))
        app.consumer(ORDERS, handler="main.f", **wrapped(consumer, wrap))
        app.all()

    with pytest.raises(Exception, match=fix) as error:
        run(program, CONFIG)
    assert "s3cret" not in str(error.value)


@pytest.mark.parametrize("wrap", [lambda value: value, pulumi.Output.from_input], ids=["literal", "output"])
def test_dead_letters_are_a_topic_and_a_subscription(bundle, wrap):
    names = (wrap(OWN_DEAD_LETTERS[0]), wrap("dead-all"))

    def program():
        app = App("shop", bundle=bundle)
        app.consumer(ORDERS, handler="main.f", dead_letters_names=names)
        app.all()

    with pytest.raises(Exception, match=r"dead_letters_names\[1\]: 'dead-all' is not a full name"):
        run(program, CONFIG)
