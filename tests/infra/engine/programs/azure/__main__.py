"""A namespace with a queue, a topic with a subscription, and an app that may use them."""

import pulumi
import pulumi_azure_native as azure

timeout = pulumi.Config().require_int("timeout")
name = pulumi.Config().get("name") or "orders"
me = pulumi.ComponentResource("engine:index:Consumer", name)
own = pulumi.ResourceOptions(parent=me)

group = azure.resources.ResourceGroup(f"{name}-group", opts=own)
within = {"resource_group_name": group.name}
bus = azure.servicebus.Namespace(
    f"{name}-bus",
    **within,
    sku=azure.servicebus.SBSkuArgs(name="Standard", tier="Standard"),
    disable_local_auth=True,
    minimum_tls_version="1.2",
    opts=own,
)
queue = azure.servicebus.Queue(
    f"{name}-queue",
    **within,
    namespace_name=bus.name,
    queue_name=name,
    lock_duration=f"PT{timeout}S",
    max_delivery_count=2000,
    default_message_time_to_live="P7D",
    dead_lettering_on_message_expiration=True,
    opts=own,
)
topic = azure.servicebus.Topic(
    f"{name}-topic", **within, namespace_name=bus.name, topic_name=f"{name}-events", opts=own
)
azure.servicebus.Subscription(
    f"{name}-subscription",
    **within,
    namespace_name=bus.name,
    topic_name=topic.name,
    subscription_name="audit",
    forward_dead_lettered_messages_to=queue.name,
    opts=own,
)
identity = azure.managedidentity.UserAssignedIdentity(f"{name}-identity", **within, opts=own)
azure.authorization.RoleAssignment(
    f"{name}-receives",
    principal_id=identity.principal_id,
    principal_type="ServicePrincipal",
    role_definition_id="/providers/Microsoft.Authorization/roleDefinitions/4f6d3b9b-027b-4f4c-9142-0e5a2a2247e0",
    scope=queue.id,
    opts=own,
)
storage = azure.storage.StorageAccount(
    f"{name}store", **within, kind="StorageV2", sku={"name": "Standard_LRS"}, allow_shared_key_access=False, opts=own
)
container = azure.storage.BlobContainer(f"{name}-code", **within, account_name=storage.name, opts=own)
azure.storage.Table(f"{name}leases", **within, account_name=storage.name, opts=own)
plan = azure.web.AppServicePlan(f"{name}-plan", **within, sku={"name": "FC1", "tier": "FlexConsumption"}, opts=own)
insights = azure.applicationinsights.Component(
    f"{name}-insights", **within, kind="web", application_type="web", ingestion_mode="LogAnalytics", opts=own
)
app = azure.web.WebApp(
    f"{name}-app",
    **within,
    server_farm_id=plan.id,
    kind="functionapp,linux",
    identity={"type": "UserAssigned", "user_assigned_identities": [identity.id]},
    site_config={
        "app_settings": [
            {"name": "PEEKLOCK_ORDERS_URL", "value": bus.service_bus_endpoint},
            {"name": "APPLICATIONINSIGHTS_CONNECTION_STRING", "value": insights.connection_string},
        ]
    },
    function_app_config={
        "runtime": {"name": "python", "version": "3.12"},
        "scale_and_concurrency": {"instance_memory_mb": 2048, "maximum_instance_count": 40},
        "deployment": {
            "storage": {
                "type": "blobContainer",
                "value": pulumi.Output.concat(storage.primary_endpoints.blob, container.name),
                "authentication": {"type": "UserAssignedIdentity", "user_assigned_identity_resource_id": identity.id},
            }
        },
    },
    opts=own,
)
azure.monitor.ActionGroup(f"{name}-high", **within, group_short_name="high", enabled=True, location="global", opts=own)
pulumi.export("queue", queue.name)
pulumi.export("host", app.default_host_name)
pulumi.export("tenant", azure.authorization.get_client_config().tenant_id)
