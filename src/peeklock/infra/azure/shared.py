"""What the consumers of an app share: group, namespace, accounts, logs, and whom the alarms tell."""

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
from peeklock.quotas.azure import LEAST_LOG_DAYS
from peeklock.quotas.azure import LOG_DAYS as MOST_LOG_DAYS


@dataclass(frozen=True, slots=True, kw_only=True)
class Own:
    """What was there before, by its resource id (the group: by its name). Read, and never modified."""

    resource_group: str | None = None
    namespace: str | None = None
    store: str | None = None
    """A table: `/subscriptions/.../storageAccounts/<account>/tableServices/default/tables/<table>`."""
    subnet: str | None = None
    """For the apps' outgoing connections; delegated to Microsoft.App/environments."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Shared:
    """The shared resources. Inputs of others, so plain text or outputs."""

    app: str
    parent: pulumi.Resource
    """The app's component."""
    stage: Stage
    tags: Mapping[str, str]
    group: Any
    namespace: Any
    """The resource, with `name` and `id`."""
    brought: str | None
    """The namespace's id, where it was brought along."""
    store: Any
    """The table's address."""
    table: Any
    """The table's id."""
    host: Any
    code: Any
    packages: Any
    insights: Any
    workspace: Any
    notices: Mapping[str, Any]
    """Action groups by severity."""
    subnet: str | None

    def keep(self, parent: pulumi.Resource, **more: Any) -> pulumi.ResourceOptions:
        """Options of what holds data."""
        return kept(self.stage, parent, **more)


def kept(stage: Stage, parent: pulumi.Resource, **more: Any) -> pulumi.ResourceOptions:
    """As `Shared.keep`: a protected stack neither replaces nor deletes it, and when destroyed leaves it."""
    return pulumi.ResourceOptions(parent=parent, protect=stage.protect, retain_on_delete=stage.protect, **more)


def shared(parent: pulumi.Resource, app: str, stage: Stage, tags: Mapping[str, str], own: Own) -> Shared:
    """Make, or read, all of it. Raises ConfigError for a retention that the platform does not have."""
    if not LEAST_LOG_DAYS <= stage.log_days <= MOST_LOG_DAYS:
        raise ConfigError(
            f"stage: log_days={stage.log_days}, but logs are kept {LEAST_LOG_DAYS} to {MOST_LOG_DAYS} days; change it"
        )
    keep = kept(stage, parent)
    group = own.resource_group or resources.ResourceGroup(app, tags=tags, opts=keep).name
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
    table, address = _store(app, group, host, own, keep)
    workspace, insights = _telemetry(app, group, stage, tags, keep)
    return Shared(
        app=app,
        parent=parent,
        stage=stage,
        tags=tags,
        group=group,
        namespace=_namespace(app, group, tags, own, keep),
        brought=own.namespace,
        store=address,
        table=table,
        host=host,
        code=code,
        packages=packages,
        insights=insights,
        workspace=workspace,
        notices=_notices(app, group, stage, tags, parent),
        subnet=own.subnet,
    )


def _namespace(app: str, group: Any, tags: Mapping[str, str], own: Own, keep: pulumi.ResourceOptions) -> Any:
    if own.namespace is not None:
        return servicebus.Namespace.get(f"{app}-bus", own.namespace, pulumi.ResourceOptions(parent=keep.parent))
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
    """`keys`: Pulumi's Blob uploads with the account's key (pulumi-azure-native#2015), so the account that packages are
    uploaded to has one; it holds nothing else, and no app is told the key."""
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


def _store(app: str, group: Any, host: Any, own: Own, keep: pulumi.ResourceOptions) -> tuple[Any, Any]:
    """The table's id and address."""
    if own.store is not None:
        account = naming.part(own.store, "storageAccounts")
        return own.store, store_address(account, naming.part(own.store, "tables"))
    table = storage.Table(
        f"{app}-leases", account_name=host.name, resource_group_name=group, table_name="leases", opts=keep
    )
    return table.id, pulumi.Output.all(host.name, table.name).apply(lambda made: store_address(*made))


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


def _notices(app: str, group: Any, stage: Stage, tags: Mapping[str, str], parent: pulumi.Resource) -> dict[str, Any]:
    """One action group a severity, also where nobody is told yet: whoever subscribes later finds it."""
    return {
        severity: monitor.ActionGroup(
            f"{app}-{severity}",
            resource_group_name=group,
            location="Global",
            group_short_name=f"{app[: 11 - len(severity)]}-{severity}",  # twelve characters, and it signs the mails
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
