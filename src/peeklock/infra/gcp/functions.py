"""Function of a consumer, its service accounts, and the permission to call it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pulumi
from pulumi_gcp import cloudfunctionsv2, cloudrunv2, serviceaccount

from peeklock.errors import ConfigError
from peeklock.infra.gcp.identity import CALLER
from peeklock.infra.gcp.shared import Shared
from peeklock.infra.settings.gcp import Settings

RUNTIME = "python313"
VENDOR = {"GOOGLE_VENDOR_PIP_DEPENDENCIES": "vendor"}
"""Variables of the build: packages come from the bundle only.
https://cloud.google.com/functions/docs/writing/specifying-dependencies-python#vendored_dependencies"""


def entry_point(handler: str) -> str:
    """Return the function's name in main.py. Raises ConfigError for a handler in another module."""
    module, _, name = handler.rpartition(".")
    if module != "main" or not name.isidentifier():
        raise ConfigError(
            f"handler={handler!r}: the build looks in main.py at the bundle's root; name it as 'main.<function>'"
        )
    return name


def account(shared: Shared, name: str, account_id: str, description: str, parent: pulumi.Resource) -> Any:
    """Make a service account for the consumer."""
    return serviceaccount.Account(
        name,
        account_id=account_id,
        project=shared.deployment.project,
        display_name=description[:100],
        opts=shared.after_apis(parent),
    )


def function(
    shared: Shared,
    name: str,
    settings: Settings,
    parent: pulumi.Resource,
    *,
    service: str,
    entry: str,
    identity: pulumi.Input[str],
    environment: Mapping[str, pulumi.Input[str]],
    secrets: Sequence[Any],
    labels: Mapping[str, str],
    after: Sequence[Any],
) -> Any:
    """Make the function. `identity`: address of its service account. `secrets`: its variables that hold secrets. `after`: resources that its first request needs."""
    return cloudfunctionsv2.Function(
        name,
        name=service,
        project=shared.deployment.project,
        location=shared.deployment.region,
        build_config={
            "runtime": RUNTIME,
            "entry_point": entry,
            "environment_variables": VENDOR,
            "service_account": shared.builds.account.name,
            "docker_repository": shared.builds.images.id,
            "source": {"storage_source": {"bucket": shared.source.bucket, "object": shared.source.name}},
        },
        service_config={
            **_service(settings, identity, environment),
            **({"secret_environment_variables": list(secrets)} if secrets else {}),
            **_network(shared.existing.subnet),
        },
        labels=labels,
        opts=shared.after_apis(parent, *shared.builds.grants, *shared.store_resources, *after),
    )


def _service(
    settings: Settings, identity: pulumi.Input[str], environment: Mapping[str, pulumi.Input[str]]
) -> dict[str, Any]:
    """Return the service's configuration. It is reachable from everywhere and callable by one account: it is undocumented whether
    requests to a region's address count as internal."""
    return {
        "available_cpu": str(settings.cpus),
        "available_memory": f"{settings.memory}Mi",
        "environment_variables": dict(environment),
        "ingress_settings": "ALLOW_ALL",
        "all_traffic_on_latest_revision": True,
        "max_instance_count": settings.instances,
        **({"min_instance_count": settings.ready} if settings.ready else {}),
        "max_instance_request_concurrency": settings.parallel,
        "service_account_email": identity,
        "timeout_seconds": settings.limit,
    }


def _network(subnet: pulumi.Input[str] | None) -> dict[str, Any]:
    """Return the network: private addresses are reached through the subnet, others directly.
    https://cloud.google.com/run/docs/configuring/vpc-direct-vpc"""
    if subnet is None:
        return {}
    return {
        "direct_vpc_egress": "VPC_EGRESS_PRIVATE_RANGES_ONLY",
        "direct_vpc_network_interfaces": [{"subnetwork": subnet}],
    }


def callable_by(shared: Shared, name: str, function: Any, member: Any, parent: pulumi.Resource) -> Any:
    """Let only the given account call the function's service."""
    return cloudrunv2.ServiceIamMember(
        name,
        project=shared.deployment.project,
        location=shared.deployment.region,
        name=function.name,
        role=CALLER.role.value,
        member=member,
        opts=pulumi.ResourceOptions(parent=parent),
    )
