"""Resources that the consumers of an app share: group, namespace, storage accounts, logs, and action groups of the alarms."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import pulumi
from pulumi_azure_native import applicationinsights, monitor, operationalinsights, resources, servicebus, storage

from peeklock.errors import ConfigError
from peeklock.infra.azure import naming
from peeklock.infra.azure.alarms import SEVERITIES
from peeklock.infra.azure.environment import store_address
from peeklock.infra.inputs import text
from peeklock.infra.options import Stage, check_severities
from peeklock.infra.protection import data_options
from peeklock.keywords import nearest
from peeklock.quotas.azure import LEAST_LOG_DAYS
from peeklock.quotas.azure import LOG_DAYS as MOST_LOG_DAYS

DAILY_GIGABYTES = 10
"""Cap on what the workspace takes a day: a loop that logs is then no bill. Beyond it the alarms that query the logs see nothing, and
those on metrics still ring. https://learn.microsoft.com/azure/azure-monitor/logs/daily-cap"""

REDUNDANCIES = ("Standard_ZRS", "Standard_LRS", "Standard_GRS", "Standard_GZRS", "Standard_RAGRS", "Standard_RAGZRS")
"""Redundancy of a storage account. Zones, as in ZRS, are not in every region.
https://learn.microsoft.com/azure/storage/common/storage-redundancy"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Existing:
    """Existing resources to use, by resource id (the group by name): read, never modified."""

    resource_group: pulumi.Input[str] | None = None
    namespace: pulumi.Input[str] | None = None
    store: pulumi.Input[str] | None = None
    """A table: `/subscriptions/.../storageAccounts/<account>/tableServices/default/tables/<table>`."""
    subnet: pulumi.Input[str] | None = None
    """Subnet for the apps' outgoing connections; delegated to Microsoft.App/environments."""
    workspace: pulumi.Input[str] | None = None
    """A Log Analytics workspace."""
    action_groups: Mapping[str, pulumi.Input[str]] = field(default_factory=dict)
    """Action groups, by severity."""
    vault: pulumi.Input[str] | None = None
    """The Key Vault that keeps the handlers' secrets."""


def existing_resources(
    *,
    resource_group: pulumi.Input[str] | None,
    action_groups: Mapping[str, pulumi.Input[str]],
    **ids: pulumi.Input[str] | None,
) -> Existing:
    """Return existing resources. Raises ConfigError, during the update for outputs, for values that are none."""
    check_severities("action_groups=", action_groups)
    return Existing(
        resource_group=None if resource_group is None else text("resource_group", resource_group),
        action_groups={
            severity: naming.resource_id(f"action_groups[{severity!r}]", group, "actionGroups")
            for severity, group in action_groups.items()
        },
        **{
            argument: naming.resource_id(argument, id_, naming.KINDS[argument])
            for argument, id_ in ids.items()
            if id_ is not None
        },
    )


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
    existing: Existing
    store: Any
    """The table's address."""
    table: Any
    """The table's id."""
    host: Any
    code: Any
    packages: Any
    insights: Any
    workspace: Any
    """The workspace's id."""
    action_groups: Mapping[str, Any]
    """Ids of the action groups, by severity."""

    def data_options(self, parent: pulumi.Resource) -> pulumi.ResourceOptions:
        """Return the options of a resource that holds data."""
        return data_options(self.stage, parent)


def _check(stage: Stage, redundancy: str) -> None:
    if redundancy not in REDUNDANCIES:
        raise ConfigError(f"redundancy={redundancy!r}: {nearest(redundancy, REDUNDANCIES)}")
    if not LEAST_LOG_DAYS <= stage.log_days <= MOST_LOG_DAYS:
        raise ConfigError(
            f"stage: log_days={stage.log_days}, but logs are kept {LEAST_LOG_DAYS} to {MOST_LOG_DAYS} days; use a number within"
        )


def make_shared(
    parent: pulumi.Resource, app: str, stage: Stage, tags: Mapping[str, str], existing: Existing, redundancy: str
) -> Shared:
    """Make or read the shared resources. Raises ConfigError for a log retention or a redundancy that the platform does not
    offer."""
    _check(stage, redundancy)
    keep = data_options(stage, parent)
    group = existing.resource_group or resources.ResourceGroup(app, tags=tags, opts=keep).name
    host = _account(naming.account(app, "host"), group, tags, redundancy, keys=False, opts=keep)
    code = _account(
        naming.account(app, "code"), group, tags, redundancy, keys=True, opts=pulumi.ResourceOptions(parent=parent)
    )
    packages = storage.BlobContainer(
        f"{app}-packages",
        account_name=code.name,
        resource_group_name=group,
        container_name="packages",
        public_access=storage.PublicAccess.NONE,
        opts=pulumi.ResourceOptions(parent=parent),
    )
    table, address = _store(app, group, host, existing, keep)
    workspace, insights = _telemetry(app, group, stage, tags, existing, keep)
    return Shared(
        app=app,
        parent=parent,
        stage=stage,
        tags=tags,
        group=group,
        namespace=_namespace(app, group, tags, existing, keep),
        existing=existing,
        store=address,
        table=table,
        host=host,
        code=code,
        packages=packages,
        insights=insights,
        workspace=workspace,
        action_groups={
            severity: existing.action_groups[severity]
            if severity in existing.action_groups
            else _action_group(app, severity, group, stage, tags, parent)
            for severity in SEVERITIES
        },
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


def _account(
    name: str, group: Any, tags: Mapping[str, str], redundancy: str, *, keys: bool, opts: pulumi.ResourceOptions
) -> Any:
    """Make a storage account. `keys`: allow access by key. Pulumi's Blob uploads with the account's key (pulumi-azure-native#2015),
    so the account of the code allows it; it holds nothing else, and no app has the key."""
    return storage.StorageAccount(
        name,
        resource_group_name=group,
        kind=storage.Kind.STORAGE_V2,
        sku={"name": redundancy},
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
        return existing.store, pulumi.Output.from_input(existing.store).apply(
            lambda id_: store_address(naming.part(id_, "storageAccounts"), naming.part(id_, "tables"))
        )
    table = storage.Table(
        f"{app}-leases", account_name=host.name, resource_group_name=group, table_name="leases", opts=keep
    )
    return table.id, pulumi.Output.all(host.name, table.name).apply(lambda names: store_address(*names))


def _telemetry(
    app: str, group: Any, stage: Stage, tags: Mapping[str, str], existing: Existing, keep: pulumi.ResourceOptions
) -> tuple[Any, Any]:
    """Return the workspace's id, and the telemetry of the app, which is in it."""
    workspace = existing.workspace or _workspace(app, group, stage, tags, keep)
    insights = applicationinsights.Component(
        f"{app}-insights",
        resource_group_name=group,
        kind="web",
        application_type=applicationinsights.ApplicationType.WEB,
        ingestion_mode=applicationinsights.IngestionMode.LOG_ANALYTICS,
        workspace_resource_id=workspace,
        disable_local_auth=True,
        tags=tags,
        opts=pulumi.ResourceOptions(parent=keep.parent),
    )
    return workspace, insights


def _workspace(app: str, group: Any, stage: Stage, tags: Mapping[str, str], keep: pulumi.ResourceOptions) -> Any:
    return operationalinsights.Workspace(
        f"{app}-logs",
        resource_group_name=group,
        sku={"name": operationalinsights.WorkspaceSkuNameEnum.PER_GB2018},
        retention_in_days=stage.log_days,
        features={"disable_local_auth": True},
        workspace_capping={"daily_quota_gb": DAILY_GIGABYTES},
        tags=tags,
        opts=keep,
    ).id


def _action_group(
    app: str, severity: str, group: Any, stage: Stage, tags: Mapping[str, str], parent: pulumi.Resource
) -> Any:
    """Make an action group, even without an address, so that somebody can subscribe later. Returns its id."""
    address = stage.notify.get(severity)
    receiver = {"name": severity, "email_address": address, "use_common_alert_schema": True}
    return monitor.ActionGroup(
        f"{app}-{severity}",
        resource_group_name=group,
        location="Global",
        group_short_name=f"{app[: 11 - len(severity)]}-{severity}",  # twelve characters, which sign the mails
        enabled=True,
        email_receivers=[receiver] if address else [],
        tags=tags,
        opts=pulumi.ResourceOptions(parent=parent),
    ).id
