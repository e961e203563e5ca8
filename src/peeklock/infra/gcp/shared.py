"""Resources that the consumers of an app share: APIs, bundle and builder, store, logs, and channels of the alarms."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pulumi
from pulumi_gcp import logging, monitoring, projects, storage

from peeklock.errors import ConfigError
from peeklock.infra.gcp import database, keys
from peeklock.infra.gcp.builds import Builds, make_builds
from peeklock.infra.gcp.naming import Deployment, full_name, label, slug
from peeklock.infra.options import Stage, check_severities
from peeklock.infra.protection import data_options
from peeklock.quotas.google import LOG_DAYS as MOST_LOG_DAYS

APIS = (
    "artifactregistry",
    "cloudbuild",
    "cloudfunctions",
    "cloudresourcemanager",
    "cloudtasks",
    "firestore",
    "iam",
    "logging",
    "monitoring",
    "pubsub",
    "run",
    "storage",
)
"""`cloudresourcemanager` adds members to the project's policy.
https://cloud.google.com/resource-manager/reference/rest"""

APIS_OF_SUBNET = ("compute",)
"""https://cloud.google.com/run/docs/configuring/vpc-direct-vpc#before_you_begin"""

KEPT_ANYWAY = 30
"""Days that a project's own log bucket keeps entries. Longer needs a bucket of the app's; shorter would change the
project's. https://cloud.google.com/logging/quotas#logs_retention_periods"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Existing:
    """Existing resources to use, by full names: read, never modified."""

    store: pulumi.Input[str] | None = None
    """`projects/P/databases/D/collectionGroups/C`, with the TTL policy and without the indexes of
    docs/stores-firestore.md."""
    key: pulumi.Input[str] | None = None
    """A Cloud KMS key for dead letters and store: `projects/P/locations/L/keyRings/R/cryptoKeys/K`."""
    subnet: pulumi.Input[str] | None = None
    """Subnet for the functions' outgoing connections to private addresses: `projects/P/regions/R/subnetworks/S`."""
    channels: Mapping[str, pulumi.Input[str]] = field(default_factory=dict)
    """Notification channels by severity: `projects/P/notificationChannels/N`."""


def existing_resources(
    *,
    store: pulumi.Input[str] | None,
    key: pulumi.Input[str] | None,
    subnet: pulumi.Input[str] | None,
    channels: Mapping[str, pulumi.Input[str]],
) -> Existing:
    """Return existing resources. Raises ConfigError, during the update for outputs, for values that are none."""

    def checked(argument: str, value: pulumi.Input[str] | None, *kinds: str) -> pulumi.Input[str] | None:
        return None if value is None else full_name(argument, value, *kinds)

    check_severities("channels=", channels)
    return Existing(
        store=checked("store", store, "projects", "databases", "collectionGroups"),
        key=checked("key", key, "projects", "locations", "keyRings", "cryptoKeys"),
        subnet=checked("subnet", subnet, "projects", "regions", "subnetworks"),
        channels={
            severity: full_name(f"channels[{severity!r}]", channel, "projects", "notificationChannels")
            for severity, channel in channels.items()
        },
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Shared:
    """The shared resources."""

    deployment: Deployment
    stage: Stage
    labels: Mapping[str, str]
    existing: Existing
    apis: tuple[Any, ...]
    source: Any
    """The bundle, as an object in a bucket."""
    builds: Builds
    store: pulumi.Input[str]
    """The store's address."""
    database: pulumi.Input[str]
    """Full name of the store's database."""
    store_resources: Any
    """Resources to make before the store is used."""
    encryption_grants: list[Any]
    """Grants to make before the dead letters' topic: with an existing key, that Pub/Sub may use it."""
    channels: Mapping[str, Any]

    def data_options(self, parent: pulumi.Resource, *more: Any) -> pulumi.ResourceOptions:
        """Return the options of a resource that holds data."""
        return data_options(self.stage, parent, [*self.apis, *more])

    def after_apis(self, parent: pulumi.Resource, *more: Any) -> pulumi.ResourceOptions:
        """Return the options of other resources."""
        return pulumi.ResourceOptions(parent=parent, depends_on=[*self.apis, *more])


def make_shared(
    parent: pulumi.Resource,
    deployment: Deployment,
    stage: Stage,
    tags: Mapping[str, str],
    existing: Existing,
    bundle: Path,
) -> Shared:
    """Make or read the shared resources. Raises ConfigError for a log retention that the platform does not offer."""
    if stage.log_days > MOST_LOG_DAYS:
        raise ConfigError(f"stage: log_days={stage.log_days}, but logs are kept at most {MOST_LOG_DAYS} days; lower it")
    labels = {**tags, "app": label(deployment.app), "stack": label(deployment.stack)}
    apis = _apis(parent, deployment, APIS if existing.subnet is None else (*APIS, *APIS_OF_SUBNET))
    opts = pulumi.ResourceOptions(parent=parent, depends_on=list(apis))
    keep = data_options(stage, parent, list(apis))
    services = ("pubsub",) if existing.store is not None else ("pubsub", "firestore")
    agents = keys.granted(deployment, existing.key, services, opts)
    encrypted = data_options(stage, parent, [*apis, *agents.get("firestore", ())])
    address, full_name, store_resources = database.store(
        deployment, stage, existing.store, existing.key, encrypted, opts
    )
    source = _source(deployment, labels, bundle, opts)
    if stage.log_days > KEPT_ANYWAY:
        _logs(deployment, stage, keep, opts)
    return Shared(
        deployment=deployment,
        stage=stage,
        labels=labels,
        existing=existing,
        apis=apis,
        source=source,
        builds=make_builds(deployment, labels, source.bucket, opts),
        store=address,
        database=full_name,
        store_resources=store_resources,
        encryption_grants=agents["pubsub"],
        channels={**_email_channels(deployment, stage, existing, labels, opts), **existing.channels},
    )


def _apis(parent: pulumi.Resource, deployment: Deployment, names: tuple[str, ...]) -> tuple[Any, ...]:
    """Enable the APIs. They stay enabled when the stack is destroyed: other programs in the project may use them."""
    return tuple(
        projects.Service(
            f"{deployment.app}-api-{api}",
            service=f"{api}.googleapis.com",
            project=deployment.project,
            disable_on_destroy=False,
            opts=pulumi.ResourceOptions(parent=parent),
        )
        for api in names
    )


def _source(deployment: Deployment, labels: Mapping[str, str], bundle: Path, opts: pulumi.ResourceOptions) -> Any:
    """Upload the bundle under its digest: another bundle is another object, so that the functions are built again."""
    digest = hashlib.sha256(bundle.read_bytes()).hexdigest()[:16]
    bucket = storage.Bucket(
        f"{deployment.app}-code",
        name=f"{deployment.project}-{deployment.resource_name('code', most=32)}",  # globally unique, as the project is
        project=deployment.project,
        location=deployment.region,
        uniform_bucket_level_access=True,
        public_access_prevention="enforced",
        force_destroy=True,
        labels=labels,
        opts=opts,
    )
    return storage.BucketObject(
        f"{deployment.app}-bundle",
        bucket=bucket.name,
        name=f"{digest}.zip",
        source=pulumi.FileAsset(str(bundle)),
        opts=pulumi.ResourceOptions(parent=opts.parent),
    )


def _logs(deployment: Deployment, stage: Stage, keep: pulumi.ResourceOptions, opts: pulumi.ResourceOptions) -> None:
    """Make a bucket that keeps the functions' logs longer than the project's own."""
    bucket = logging.ProjectBucketConfig(
        f"{deployment.app}-logs",
        project=deployment.project,
        location=deployment.region,
        bucket_id=deployment.resource_name("logs"),
        retention_days=stage.log_days,
        description=f"Logs of {deployment.app}, stack {deployment.stack}",
        opts=keep,
    )
    logging.ProjectSink(
        f"{deployment.app}-logs-sink",
        project=deployment.project,
        name=deployment.resource_name("logs"),
        destination=bucket.id.apply(lambda id_: f"logging.googleapis.com/{id_}"),
        filter='resource.type="cloud_run_revision" AND resource.labels.service_name=~'
        f'"^{deployment.app}-.*-{slug(deployment.stack)}$"',
        unique_writer_identity=True,
        opts=opts,
    )


def _email_channels(
    deployment: Deployment, stage: Stage, existing: Existing, labels: Mapping[str, str], opts: pulumi.ResourceOptions
) -> dict[str, Any]:
    return {
        severity: monitoring.NotificationChannel(
            f"{deployment.app}-{severity}",
            project=deployment.project,
            type="email",
            display_name=f"{deployment.app} {severity} ({deployment.stack})",
            labels={"email_address": address},
            user_labels=labels,
            opts=opts,
        ).name
        for severity, address in stage.notify.items()
        if severity not in existing.channels
    }
