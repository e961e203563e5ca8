"""Resources that the consumers of an app share: group, namespace, storage accounts, logs, and action groups of the alarms."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pulumi
from pulumi_azure_native import applicationinsights, monitor, operationalinsights, resources, servicebus, storage

from peeklock.errors import ConfigError
from peeklock.infra.azure import naming
from peeklock.infra.azure.alarms import SEVERITIES
from peeklock.infra.azure.environment import store_address
from peeklock.infra.options import Stage
from peeklock.infra.protection import data_options
from peeklock.quotas.azure import LEAST_LOG_DAYS
from peeklock.quotas.azure import LOG_DAYS as MOST_LOG_DAYS


@dataclass(frozen=True, slots=True, kw_only=True)
class Existing:
    """Existing resources to use, by resource id (the group by name): read, never modified."""

    resource_group: str | None = None
    namespace: str | None = None
    store: str | None = None
    """A table: `/subscriptions/.../storageAccounts/<account>/tableServices/default/tables/<table>`."""
    subnet: str | None = None
    """Subnet for the apps' outgoing connections; delegated to Microsoft.App/environments."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Shared:
    """The shared resources: plain texts or outputs, as inputs of others."""

    app: str
    parent: pulumi.Resource
    """The app's component."""
    stage: Stage
    tags: Mapping[str, str]
    group: Any
    namespace: Any
    """The resource, with `name` and `id`."""
    existing_namespace: str | None
    """The id of an existing namespace."""
    store: Any
    """The table's address."""
    table: Any
    """The table's id."""
    host: Any
    code: Any
    packages: Any
    insights: Any
    workspace: Any
    action_groups: Mapping[str, Any]
    """Action groups by severity."""
    subnet: str | None

    def data_options(self, parent: pulumi.Resource) -> pulumi.ResourceOptions:
        """Return the options of a resource that holds data."""
        return data_options(self.stage, parent)


def make_shared(parent: pulumi.Resource, app: str, stage: Stage, tags: Mapping[str, str], existing: Existing) -> Shared:
    """Make or read the shared resources. Raises ConfigError for a log retention that the platform does not offer."""
    if not LEAST_LOG_DAYS <= stage.log_days <= MOST_LOG_DAYS:
        raise ConfigError(
            f"stage: log_days={stage.log_days}, but logs are kept {LEAST_LOG_DAYS} to {MOST_LOG_DAYS} days; use a number within"
        )
    keep = data_options(stage, parent)
    group = existing.resource_group or resources.ResourceGroup(app, tags=tags, opts=keep).name
    host = _account(naming.account(app, "host"), group, tags, keys=False, opts=keep)
    code = _account(naming.account(app, "code"), group, tags, keys=True, opts=pulumi.ResourceOptions(parent=parent))
    packages = storage.BlobContainer(
        f"{app}-packages",
        account_name=code.name,
        resource_group_name=group,
        container_name="packages",
        public_access=storage.PublicAccess.NONE,
        opts=pulumi.ResourceOptions(parent=parent),
    )
    table, address = _store(app, group, host, existing, keep)
    workspace, insights = _telemetry(app, group, stage, tags, keep)
    return Shared(
        app=app,
        parent=parent,
        stage=stage,
        tags=tags,
        group=group,
        namespace=_namespace(app, group, tags, existing, keep),
        existing_namespace=existing.namespace,
        store=address,
        table=table,
        host=host,
        code=code,
        packages=packages,
        insights=insights,
        workspace=workspace,
        action_groups=_action_groups(app, group, stage, tags, parent),
        subnet=existing.subnet,
    )


def _namespace(app: str, group: Any, tags: Mapping[str, str], existing: Existing, keep: pulumi.ResourceOptions) -> Any:
    if existing.namespace is not None:
        return servicebus.Namespace.get(f"{app}-bus", existing.namespace, pulumi.ResourceOptions(parent=keep.parent))
    return servicebus.Namespace(
        f"{app}-bus",
        resource_group_name=group,
        sku={"name": servicebus.SkuName.STANDARD, "tier": servicebus.SkuTier.STANDARD},
        disable_local_auth=True,
        minimum_tls_version=servicebus.TlsVersion.TLS_VERSION_1_2,
        tags=tags,
        opts=keep,
    )


def _account(name: str, group: Any, tags: Mapping[str, str], *, keys: bool, opts: pulumi.ResourceOptions) -> Any:
    """Make a storage account. `keys`: allow access by key. Pulumi's Blob uploads with the account's key (pulumi-azure-native#2015),
    so the account of the packages allows it; it holds nothing else, and no app has the key."""
    return storage.StorageAccount(
        name,
        resource_group_name=group,
        kind=storage.Kind.STORAGE_V2,
        sku={"name": storage.SkuName.STANDARD_LRS if keys else storage.SkuName.STANDARD_ZRS},
        allow_blob_public_access=False,
        allow_shared_key_access=keys,
        default_to_o_auth_authentication=True,
        enable_https_traffic_only=True,
        minimum_tls_version=storage.MinimumTlsVersion.TLS1_2,
        tags=tags,
        opts=opts,
    )


def _store(app: str, group: Any, host: Any, existing: Existing, keep: pulumi.ResourceOptions) -> tuple[Any, Any]:
    """Return the id and the address of the store's table."""
    if existing.store is not None:
        account = naming.part(existing.store, "storageAccounts")
        return existing.store, store_address(account, naming.part(existing.store, "tables"))
    table = storage.Table(
        f"{app}-leases", account_name=host.name, resource_group_name=group, table_name="leases", opts=keep
    )
    return table.id, pulumi.Output.all(host.name, table.name).apply(lambda names: store_address(*names))


def _telemetry(
    app: str, group: Any, stage: Stage, tags: Mapping[str, str], keep: pulumi.ResourceOptions
) -> tuple[Any, Any]:
    workspace = operationalinsights.Workspace(
        f"{app}-logs",
        resource_group_name=group,
        sku={"name": operationalinsights.WorkspaceSkuNameEnum.PER_GB2018},
        retention_in_days=stage.log_days,
        features={"disable_local_auth": True},
        tags=tags,
        opts=keep,
    )
    insights = applicationinsights.Component(
        f"{app}-insights",
        resource_group_name=group,
        kind="web",
        application_type=applicationinsights.ApplicationType.WEB,
        ingestion_mode=applicationinsights.IngestionMode.LOG_ANALYTICS,
        workspace_resource_id=workspace.id,
        disable_local_auth=True,
        tags=tags,
        opts=pulumi.ResourceOptions(parent=keep.parent),
    )
    return workspace, insights


def _action_groups(
    app: str, group: Any, stage: Stage, tags: Mapping[str, str], parent: pulumi.Resource
) -> dict[str, Any]:
    """Make one action group per severity, even without an address, so that somebody can subscribe later."""
    return {
        severity: monitor.ActionGroup(
            f"{app}-{severity}",
            resource_group_name=group,
            location="Global",
            group_short_name=f"{app[: 11 - len(severity)]}-{severity}",  # twelve characters, which sign the mails
            enabled=True,
            email_receivers=[
                {"name": severity, "email_address": address, "use_common_alert_schema": True}
                for address in (stage.notify.get(severity),)
                if address
            ],
            tags=tags,
            opts=pulumi.ResourceOptions(parent=parent),
        )
        for severity in SEVERITIES
    }
