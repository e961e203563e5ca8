"""Function app of a consumer on Flex Consumption, and the deployment of its code."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pulumi
from pulumi_azure_native import resources, storage, web

from peeklock.infra.azure import naming
from peeklock.infra.azure.package import PACKAGE
from peeklock.infra.azure.shared import Shared
from peeklock.infra.settings.azure import Settings

PYTHON = "3.12"
"""The newest version that azure-functions 1.x supports; the bundle is built for it.
https://learn.microsoft.com/azure/azure-functions/supported-languages"""


def function_app(
    shared: Shared,
    name: str,
    settings: Settings,
    *,
    function: str,
    identity: Any,
    container: Any,
    environment: Any,
    tags: Mapping[str, str],
    parent: pulumi.Resource,
    after: Sequence[pulumi.Resource],
) -> Any:
    """Make the app, alone on its plan, as Flex Consumption requires. `function`: name of its function; `container`:
    where the platform keeps its code; `after`: its role assignments."""
    base = naming.function_app(shared.app, name)
    plan = _plan(shared, base, tags, parent)
    return web.WebApp(
        base,
        resource_group_name=shared.group,
        kind="functionapp,linux",
        reserved=True,
        server_farm_id=plan.id,
        https_only=True,
        identity={
            "type": web.ManagedServiceIdentityType.USER_ASSIGNED,
            "user_assigned_identities": [identity.id],
        },
        key_vault_reference_identity=identity.id,
        virtual_network_subnet_id=shared.existing.subnet,
        function_app_config=_config(shared, settings, container, identity, function),
        site_config={
            "min_tls_version": web.SupportedTlsVersions.SUPPORTED_TLS_VERSIONS_1_2,
            "app_settings": environment.apply(
                lambda variables: [{"name": key, "value": variables[key]} for key in sorted(variables)]
            ),
        },
        tags=tags,
        opts=pulumi.ResourceOptions(parent=parent, depends_on=list(after)),
    )


def _plan(shared: Shared, base: str, tags: Mapping[str, str], parent: pulumi.Resource) -> Any:
    return web.AppServicePlan(
        base,
        resource_group_name=shared.group,
        kind="functionapp",
        reserved=True,
        sku={"name": "FC1", "tier": "FlexConsumption"},
        tags=tags,
        opts=pulumi.ResourceOptions(parent=parent),
    )


def code_container(shared: Shared, name: str, parent: pulumi.Resource) -> Any:
    """Make the container in which the platform keeps the deployed package. It is not in the account `host`, where each app may
    write everywhere: an app could replace the code of another one."""
    base = naming.function_app(shared.app, name)
    return storage.BlobContainer(
        f"{base}-code",
        account_name=shared.code.name,
        resource_group_name=shared.group,
        container_name=f"code-{naming.host_id(shared.app, name, pulumi.get_stack())}",
        public_access=storage.PublicAccess.NONE,
        opts=pulumi.ResourceOptions(parent=parent),
    )


def _config(shared: Shared, settings: Settings, container: Any, identity: Any, function: str) -> dict[str, Any]:
    """Return the app's code, runtime, scaling and updates.

    A rolling update lets the running events end: https://learn.microsoft.com/azure/azure-functions/flex-consumption-site-updates
    (read 2026-12: a preview; the default kills them, and a run that is killed counts as an attempt). Always-ready instances belong
    to one function: https://learn.microsoft.com/azure/azure-functions/flex-consumption-how-to#set-always-ready-instance-counts
    """
    address = pulumi.Output.all(shared.code.name, container.name).apply(
        lambda names: f"https://{names[0]}.blob.core.windows.net/{names[1]}"
    )
    return {
        "deployment": {
            "storage": {
                "type": web.FunctionsDeploymentStorageType.BLOB_CONTAINER,
                "value": address,
                "authentication": {
                    "type": web.AuthenticationType.USER_ASSIGNED_IDENTITY,
                    "user_assigned_identity_resource_id": identity.id,
                },
            }
        },
        "runtime": {"name": web.RuntimeName.PYTHON, "version": PYTHON},
        "scale_and_concurrency": {
            "instance_memory_mb": settings.memory,
            "maximum_instance_count": settings.instances,
            **(
                {"always_ready": [{"name": f"function:{function}", "instance_count": settings.ready}]}
                if settings.ready
                else {}
            ),
        },
        "site_update_strategy": {"type": web.SiteUpdateStrategyType.ROLLING_UPDATE},
    }


def disable_passwords(shared: Shared, name: str, app: Any, parent: pulumi.Resource) -> None:
    """Disable publishing by user name and password, over FTP and over the deployment site."""
    for kind, resource in (("ftp", web.WebAppFtpAllowed), ("scm", web.WebAppScmAllowed)):
        resource(
            f"{naming.function_app(shared.app, name)}-{kind}",
            name=app.name,
            resource_group_name=shared.group,
            allow=False,
            opts=pulumi.ResourceOptions(parent=parent),
        )


def deploy(shared: Shared, name: str, app: Any, package: tuple[Path, str], parent: pulumi.Resource) -> None:
    """Upload the package under its digest, and have the platform deploy it: other contents have another address, which starts
    a new deployment. https://learn.microsoft.com/azure/azure-functions/functions-infrastructure-as-code#deployment-package"""
    path, digest = package
    base = naming.function_app(shared.app, name)
    blob = storage.Blob(
        f"{base}-package",
        account_name=shared.code.name,
        container_name=shared.packages.name,
        resource_group_name=shared.group,
        blob_name=f"{name}/{digest}/{PACKAGE}",
        source=pulumi.FileAsset(str(path)),
        type=storage.BlobType.BLOCK,
        opts=pulumi.ResourceOptions(parent=parent),
    )
    uri = pulumi.Output.all(shared.code.name, shared.packages.name, blob.name).apply(
        lambda names: f"https://{names[0]}.blob.core.windows.net/{names[1]}/{names[2]}"
    )
    resources.Deployment(
        f"{base}-deploy",
        resource_group_name=shared.group,
        properties={
            "mode": resources.DeploymentMode.INCREMENTAL,
            "template": pulumi.Output.all(app.name, uri).apply(lambda resolved: one_deploy(*resolved)),
        },
        opts=pulumi.ResourceOptions(parent=parent, depends_on=[app, blob]),
    )


def one_deploy(app: str, uri: str) -> dict[str, Any]:
    """Return the deployment template: the SDK has no class for this resource, which can be written but not read."""
    return {
        "$schema": "https://schema.management.azure.com/schemas/2019-04-01/deploymentTemplate.json#",
        "contentVersion": "1.0.0.0",
        "resources": [
            {
                "type": "Microsoft.Web/sites/extensions",
                "apiVersion": "2022-09-01",
                "name": f"{app}/onedeploy",
                "properties": {"packageUri": uri, "remoteBuild": False},
            }
        ],
    }
