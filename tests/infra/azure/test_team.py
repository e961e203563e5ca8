"""A team's own program: variables, secrets, grants, sources, resources of other programs, ready instances."""

from __future__ import annotations

import pulumi
import pytest
from pulumi_azure_native import managedidentity, operationalinsights, servicebus

from handlers.orders.queue import ORDERS, RECEIPTS
from peeklock import ConfigError, Queue
from peeklock.infra.azure import App, Deployed, Grant
from peeklock.infra.azure.identity import Role
from peeklock.infra.options import Capacity
from tests.infra.azure.test_components import APP, BUS, IDENTITY, ONE, QUEUE, ROLE, STORE, app_with, environment
from tests.infra.running import bundled, run, wrapped
from tests.infra.schema import problems

GROUP = "/subscriptions/s/resourceGroups/g/providers"
WORKSPACE = f"{GROUP}/Microsoft.OperationalInsights/workspaces/all"
ONCALL = f"{GROUP}/Microsoft.Insights/actionGroups/oncall"
SUBNET = f"{GROUP}/Microsoft.Network/virtualNetworks/net/subnets/apps"
VAULT = f"{GROUP}/Microsoft.KeyVault/vaults/shop-vault"
CONTAINER = f"{GROUP}/Microsoft.Storage/storageAccounts/keep/blobServices/default/containers/invoices"
SECRET = "https://shop-vault.vault.azure.net/secrets/gateway"
PRINCIPAL = "11111111-2222-3333-4444-555555555555"
INVOICES = Queue("invoices")


@pytest.fixture
def bundle(tmp_path):
    return str(bundled(tmp_path / "azure.zip"))


def may(recorded, name, consumer="shop-orders"):
    return recorded.named(f"{consumer}-may-{name}", ROLE).inputs


def test_variables_are_app_settings(bundle):
    recorded = app_with(bundle, (ORDERS, {"variables": {"CURRENCY": "EUR"}}))
    assert environment(recorded)["CURRENCY"] == "EUR"


def test_secrets_are_references_that_the_identity_may_read(bundle):
    """Each on that secret alone, before the app starts."""
    recorded = app_with(bundle, (ORDERS, {"secrets": {"GATEWAY_KEY": f"{SECRET}/0a1b"}}), vault=VAULT)
    assert environment(recorded)["GATEWAY_KEY"] == f"@Microsoft.KeyVault(SecretUri={SECRET}/0a1b)"
    grant = may(recorded, "read-GATEWAY_KEY")
    assert grant["scope"] == f"{VAULT}/secrets/gateway"
    assert grant["roleDefinitionId"].endswith(Role.KEY_VAULT_SECRETS_USER.value)
    assert recorded.depends(
        recorded.named("shop-orders", APP), recorded.named("shop-orders-may-read-GATEWAY_KEY", ROLE)
    )


def test_without_a_vault_its_owner_grants_the_secrets(bundle):
    recorded = app_with(bundle, (ORDERS, {"secrets": {"GATEWAY_KEY": SECRET}}))
    assert not [resource for resource in recorded.of(ROLE) if "GATEWAY_KEY" in resource.name]


@pytest.mark.parametrize(
    ("role", "id_"),
    [
        ("Storage Blob Data Reader", Role.STORAGE_BLOB_DATA_READER.value),
        ("Azure Service Bus Data Sender", Role.SERVICE_BUS_DATA_SENDER.value),
        (Role.KEY_VAULT_SECRETS_USER, Role.KEY_VAULT_SECRETS_USER.value),
        (PRINCIPAL, PRINCIPAL),
    ],
)
def test_a_grant_is_a_role_on_a_resource(bundle, role, id_):
    recorded = app_with(bundle, (ORDERS, {"grants": [Grant(name="invoices", role=role, on=CONTAINER)]}))
    grant = may(recorded, "invoices")
    assert (grant["scope"], grant["roleDefinitionId"].rpartition("/")[2]) == (CONTAINER, id_)
    assert grant["principalId"] == may(recorded, "receive")["principalId"]


def test_a_grant_on_the_own_queue(bundle):
    """So that the platform may read its length."""
    grant = Grant(name="scale", role="Service Bus Data Owner", on="queue")
    assert may(app_with(bundle, (ORDERS, {"grants": [grant]})), "scale")["scope"].endswith("/queues/orders")


@pytest.mark.parametrize(
    ("grant", "fix"),
    [
        (Grant(name="Read it", role="Storage Blob Data Reader", on=CONTAINER), "use letters, digits and hyphens"),
        (Grant(name="receive", role="Storage Blob Data Reader", on=CONTAINER), "the name 'receive' is taken"),
        (Grant(name="read", role="Storage Blob Data Raeder", on=CONTAINER), "did you mean 'Storage Blob Data Reader'"),
        (Grant(name="read", role="Storage Blob Data Reader", on=""), "is on nothing"),
    ],
)
def test_a_grant_that_azure_would_refuse_is_refused(bundle, grant, fix):
    with pytest.raises(ConfigError, match=fix):
        app_with(bundle, (ORDERS, {"grants": [grant]}))


def test_two_grants_of_one_name_are_refused(bundle):
    grant = Grant(name="read", role="Storage Blob Data Reader", on=CONTAINER)
    with pytest.raises(ConfigError, match="the name 'read' is taken"):
        app_with(bundle, (ORDERS, {"grants": [grant, grant]}))


def test_grants_to_an_existing_identity_are_its_owners(bundle):
    grant = Grant(name="read", role="Storage Blob Data Reader", on=CONTAINER)
    with pytest.raises(ConfigError, match="its owner grants its roles; drop grants="):
        app_with(bundle, (ORDERS, {"identity": IDENTITY, "grants": [grant]}))
    recorded = app_with(bundle, (ORDERS, {"identity": IDENTITY, "secrets": {"GATEWAY_KEY": SECRET}}), vault=VAULT)
    assert not recorded.of(ROLE)


def test_tags_are_on_every_resource_that_has_tags(bundle):
    consumers = ((ORDERS, {"tags": {"team": "payments"}}), (RECEIPTS, {}))
    recorded = app_with(bundle, *consumers, tags={"cost": "42"})
    tagged = [resource for resource in recorded.registrations if "tags" in resource.inputs]
    assert {resource.inputs["tags"]["cost"] for resource in tagged} == {"42"}
    assert recorded.named("shop-orders", APP).inputs["tags"]["team"] == "payments"
    assert "team" not in recorded.named("shop-receipts", APP).inputs["tags"]


def test_existing_workspace_and_action_groups_are_used(bundle):
    recorded = app_with(bundle, workspace=WORKSPACE, action_groups={"high": ONCALL})
    assert not recorded.of("azure-native:operationalinsights:Workspace")
    assert recorded.named("shop-insights").inputs["workspaceResourceId"] == WORKSPACE
    assert recorded.named("shop-orders-alarm-failures").inputs["scopes"] == [WORKSPACE]
    assert recorded.named("shop-orders-alarm-length").inputs["actions"][0]["actionGroupId"] == ONCALL
    assert {resource.name for resource in recorded.of("azure-native:monitor:ActionGroup")} == {
        "shop-medium",
        "shop-low",
    }


def test_alerts_in_a_shared_workspace_are_on_this_app(bundle):
    """Another app, or stack, may have a queue of the same name."""
    recorded = app_with(bundle, workspace=WORKSPACE)
    for name in ("failures", "latency", "utilisation"):
        (condition,) = recorded.named(f"shop-orders-alarm-{name}").inputs["criteria"]["allOf"]
        assert 'AppRoleName =~ "shop-orders"' in condition["query"]


def test_ready_instances_are_of_the_function(bundle):
    recorded = app_with(bundle, (ORDERS, {"capacity": Capacity(batch=1, ready=2)}))
    scale = recorded.named("shop-orders", APP).inputs["functionAppConfig"]["scaleAndConcurrency"]
    assert scale["alwaysReady"] == [{"name": "function:b", "instanceCount": 2}]
    none = app_with(bundle).named("shop-orders", APP).inputs["functionAppConfig"]["scaleAndConcurrency"]
    assert "alwaysReady" not in none


def test_event_grid_sends_with_the_identity_of_its_topic(bundle):
    """The namespace takes no key, and without an identity Event Grid uses resource."""

    def program():
        app = App("shop", bundle=bundle)
        charge = app.consumer(ORDERS, handler="a.b", capacity=ONE)
        charge.accept("eventgrid", PRINCIPAL)
        charge.accept("eventgrid", pulumi.Output.from_input(f"{PRINCIPAL[:-1]}6"))
        app.all()

    recorded = run(program)
    first, second = (may(recorded, f"send-from-eventgrid-{number}") for number in (1, 2))
    assert (first["principalId"], second["principalId"]) == (PRINCIPAL, f"{PRINCIPAL[:-1]}6")
    assert first["scope"].endswith("/queues/orders")
    assert first["roleDefinitionId"].endswith(Role.SERVICE_BUS_DATA_SENDER.value)


@pytest.mark.parametrize(
    ("source", "fix"),
    [
        (("eventgird", PRINCIPAL), "did you mean 'eventgrid'"),
        (
            ("eventgrid", f"{GROUP}/Microsoft.EventGrid/systemTopics/blobs"),
            "give the principal id of the topic's identity",
        ),
        (("eventgrid", ""), "principal_id is empty"),
    ],
)
def test_a_source_that_cannot_send_is_refused(bundle, source, fix):
    def program():
        App("shop", bundle=bundle).consumer(ORDERS, handler="a.b", capacity=ONE).accept(*source)

    with pytest.raises(ConfigError, match=fix):
        run(program)


def test_arguments_may_be_outputs_of_the_same_program(bundle):
    """Each argument for something that exists already. (trials 5.11)"""

    def program():
        output = pulumi.Output.from_input
        bus = servicebus.Namespace("ours", resource_group_name="g")
        logs = operationalinsights.Workspace("logs", resource_group_name="g")
        me = managedidentity.UserAssignedIdentity("me", resource_group_name="g")
        queue = servicebus.Queue("orders", namespace_name=bus.name, resource_group_name="g", queue_name="orders")
        app = App(
            "shop",
            bundle=bundle,
            resource_group=output("theirs"),
            namespace=output(BUS),
            store=output(STORE),
            subnet=output(SUBNET),
            workspace=logs.id,
            vault=output(VAULT),
            action_groups={"high": output(ONCALL)},
        )
        app.consumer(
            ORDERS,
            handler="a.b",
            capacity=ONE,
            queue_id=output(f"{BUS}/queues/orders"),
            dead_letters_id=output(f"{BUS}/queues/dead"),
            topic=output(f"{BUS}/topics/events"),
            identity=me.id,
            variables={"QUEUE": queue.name},
        )
        app.consumer(
            RECEIPTS,
            handler="a.b",
            capacity=ONE,
            secrets={"GATEWAY_KEY": output(SECRET)},
            grants=[Grant(name="read", role="Storage Blob Data Reader", on=output(CONTAINER))],
        )
        app.all()

    recorded = run(program)
    assert [message for resource in recorded.registrations for message in problems(resource)] == []
    read = {resource.inputs["id"] for resource in recorded.registrations if resource.read}
    assert {BUS, f"{BUS}/queues/orders", f"{BUS}/queues/dead", f"{BUS}/topics/events"} <= read
    assert recorded.named("shop-orders", APP).inputs["virtualNetworkSubnetId"] == SUBNET
    settings = environment(recorded)
    assert (settings["PEEKLOCK_STORE"], settings["QUEUE"]) == ("tables://keep/mine", "orders")
    (dead_letters,) = recorded.named("shop-orders-alarm-dead-letters").inputs["criteria"]["allOf"]
    assert dead_letters["dimensions"][0]["values"] == ["dead"]
    assert may(recorded, "read-GATEWAY_KEY", "shop-receipts")["scope"] == f"{VAULT}/secrets/gateway"
    assert may(recorded, "read", "shop-receipts")["scope"] == CONTAINER
    assert recorded.outputs["orders"]["dead_letters"].endswith("/dead")


@pytest.mark.parametrize(
    ("options", "consumer", "fix"),
    [
        ({"resource_group": 5}, {}, "resource_group=5: use a text"),
        ({"namespace": "shop"}, {}, "namespace: 'shop' is not a resource id with /namespaces/"),
        ({"store": WORKSPACE}, {}, "store: .* is not a resource id with /tables/"),
        ({"subnet": f"{SUBNET}_1"}, {}, "takes no subnet with an underscore"),
        ({"workspace": "logs"}, {}, "workspace: 'logs' is not a resource id"),
        ({"vault": ""}, {}, "vault is empty"),
        ({"action_groups": {"high": WORKSPACE}}, {}, r"action_groups\['high'\]: .* is not a resource id"),
        ({"namespace": BUS}, {"queue_id": f"{BUS}/queues/other"}, "is not queue 'orders'"),
        ({"namespace": BUS}, {"queue_id": f"{BUS}x/queues/orders"}, "queue_id=.* is not in the app's namespace"),
        ({"namespace": BUS}, {"dead_letters_id": "dead"}, "dead_letters_id: 'dead' is not a resource id"),
        ({"namespace": BUS}, {"topic": f"{BUS}x/topics/events"}, "topic=.* is not in the app's namespace"),
        ({}, {"identity": WORKSPACE}, "identity: .* is not a resource id with /userAssignedIdentities/"),
        ({}, {"secrets": {"GATEWAY_KEY": "s3cret"}}, r"secrets\['GATEWAY_KEY'\]: give the URI of a secret .* not its"),
        ({"vault": f"{VAULT}2"}, {"secrets": {"GATEWAY_KEY": SECRET}}, "is not in the vault of App vault="),
        ({}, {"variables": {"A": 5}}, r"variables\['A'\]=5: use a text"),
    ],
)
@pytest.mark.parametrize("wrap", [lambda value: value, pulumi.Output.from_input], ids=["literal", "output"])
def test_a_value_of_a_wrong_shape_names_its_argument(bundle, options, consumer, fix, wrap):
    """At once for a literal, and during the update for an output."""

    with pytest.raises(Exception, match=fix) as refused:
        app_with(bundle, (ORDERS, wrapped(consumer, wrap)), **wrapped(options, wrap))
    assert "s3cret" not in str(refused.value)


@pytest.mark.parametrize(
    "name",
    ["WEBSITE_TIME_ZONE", "FUNCTIONS_WORKER_RUNTIME", "AzureWebJobsStorage", "APPLICATIONINSIGHTS_X", "PYTHONPATH"],
)
def test_a_setting_of_the_platform_is_refused(bundle, name):
    with pytest.raises(ConfigError, match="is set by peeklock or by the platform"):
        app_with(bundle, (ORDERS, {"variables": {name: "x"}}))


@pytest.mark.parametrize("argument", [{"tags": {"app": "x"}}, {"tags": {"cost": 42}}])
def test_tags_that_cannot_be_are_refused(bundle, argument):
    with pytest.raises(ConfigError, match="tags: "):
        app_with(bundle, **argument)


@pytest.mark.parametrize(
    ("options", "fix"),
    [
        ({"action_groups": {"urgent": ONCALL}}, "severities are high, medium and low"),
        ({"redundancy": "Standard_ZSR"}, "redundancy='Standard_ZSR': did you mean 'Standard_ZRS'"),
    ],
)
def test_an_option_that_cannot_be_is_refused(bundle, options, fix):
    with pytest.raises(ConfigError, match=fix):
        app_with(bundle, **options)


def test_a_queue_of_another_app_may_be_used(bundle):
    """Named by the output object of its consumer, from a stack reference or from the same program."""
    address = "sb://shop-bus.servicebus.windows.net/{}".format
    outputs = {"queue": address("invoices"), "resource": f"{BUS}/queues/invoices"}

    def program():
        elsewhere = pulumi.StackReference("acme/billing/prod").require_output("invoices")
        app = App("shop", bundle=bundle, namespace=BUS)
        app.consumer(ORDERS, handler="a.b", capacity=ONE, uses=[Deployed(INVOICES, elsewhere), RECEIPTS])
        app.consumer(RECEIPTS, handler="a.b", capacity=ONE)
        app.all()

    recorded = run(program, answers={"pulumi:pulumi:StackReference": lambda _: {"outputs": {"invoices": outputs}}})
    assert environment(recorded)["PEEKLOCK_INVOICES_URL"] == address("invoices")
    assert may(recorded, "send-invoices")["scope"] == f"{BUS}/queues/invoices"
    assert may(recorded, "send-receipts")["scope"].endswith("/queues/receipts")


@pytest.mark.parametrize(
    ("outputs", "fix"),
    [
        ({"queue": "sb://shop-bus.servicebus.windows.net/invoices"}, "have no 'resource'"),
        (
            {"queue": "sb://other.servicebus.windows.net/invoices", "resource": f"{BUS}/queues/invoices"},
            "same namespace=",
        ),
        (
            {"queue": "sb://shop-bus.servicebus.windows.net/invoices", "resource": BUS},
            "is not a resource id with /queues/",
        ),
    ],
)
def test_outputs_of_a_wrong_shape_are_refused(bundle, outputs, fix):
    with pytest.raises(Exception, match=fix):
        app_with(bundle, (ORDERS, {"uses": [Deployed(INVOICES, outputs)]}), namespace=BUS)


def test_an_update_lets_running_events_end(bundle):
    """The default of Flex Consumption kills them, and a killed run is an attempt. (trials 5.6)"""
    config = app_with(bundle).named("shop-orders", APP).inputs["functionAppConfig"]
    assert config["siteUpdateStrategy"] == {"type": "RollingUpdate"}


def test_queues_are_as_large_as_they_can_be(bundle):
    """A full one refuses copies and dead letters, too. (trials 5.8)"""
    recorded = app_with(bundle)
    assert {resource.inputs["maxSizeInMegabytes"] for resource in recorded.of(QUEUE)} == {5120}
    (size,) = recorded.named("shop-orders-alarm-size").inputs["criteria"]["allOf"]
    assert (size["metricName"], size["threshold"]) == ("Size", 4 * 1024**3)


def test_an_app_cannot_write_the_code_of_another(bundle):
    """Blob Data Owner is on an account that holds no code. (trials 5.10)"""
    recorded = app_with(bundle, (ORDERS, {}), (RECEIPTS, {}))
    owner = may(recorded, "host")["scope"]
    for name in ("orders", "receipts"):
        container = recorded.named(f"shop-{name}-code")
        assert container.inputs["accountName"] == "shopcode"
        assert not owner.endswith("/shopcode")
        grant = may(recorded, "deploy", f"shop-{name}")
        assert grant["scope"].endswith(f"/shop-{name}-code") or container.inputs["containerName"] in grant["scope"]
        assert grant["roleDefinitionId"].endswith(Role.STORAGE_BLOB_DATA_CONTRIBUTOR.value)


def test_the_bill_of_the_logs_has_a_cap(bundle):
    """(trials 5.14)"""
    assert app_with(bundle).named("shop-logs").inputs["workspaceCapping"] == {"dailyQuotaGb": 10}


def test_a_region_without_zones(bundle):
    """(trials 5.14)"""
    accounts = app_with(bundle, redundancy="Standard_LRS").of("azure-native:storage:StorageAccount")
    assert {resource.inputs["sku"]["name"] for resource in accounts} == {"Standard_LRS"}


def test_a_queue_without_options_is_accepted(bundle):
    """With as many messages in an event as its locks cover. (trials 5.23)"""
    recorded = app_with(bundle, (Queue("plain"), {"capacity": None}))
    assert recorded.named("shop-plain", QUEUE).inputs["lockDuration"] == "PT295S"
