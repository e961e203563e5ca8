"""What the consumers of an app share: APIs, the bundle and who builds it, the store, logs, and whom the alarms tell."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pulumi
from pulumi_gcp import logging, monitoring, projects, serviceaccount, storage

from peeklock.errors import ConfigError
from peeklock.infra.gcp import database, keys
from peeklock.infra.gcp.alarms import SEVERITIES
from peeklock.infra.gcp.identity import BUILDER
from peeklock.infra.gcp.naming import Place, label, parts, slug
from peeklock.infra.options import Stage
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
"""`cloudresourcemanager` is what members of the project's policy are added by.
https://cloud.google.com/resource-manager/reference/rest"""

APIS_OF_SUBNET = ("compute",)
"""https://cloud.google.com/run/docs/configuring/vpc-direct-vpc#before_you_begin"""

KEPT_ANYWAY = 30
"""Days that a project's own log bucket keeps entries. Longer needs a bucket of the app's; shorter would change the
project's. https://cloud.google.com/logging/quotas#logs_retention_periods"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Own:
    """What was there before, by whole names. Read, and never modified."""

    store: str | None = None
    """`projects/P/databases/D/collectionGroups/C`, with the TTL policy and without the indexes of
    docs/stores-firestore.md."""
    key: str | None = None
    """A Cloud KMS key for dead letters and store: `projects/P/locations/L/keyRings/R/cryptoKeys/K`."""
    subnet: str | None = None
    """For the functions' outgoing connections to private addresses: `projects/P/regions/R/subnetworks/S`."""
    channels: Mapping[str, str] = field(default_factory=dict)
    """Notification channels by severity: `projects/P/notificationChannels/N`."""

    def __post_init__(self) -> None:
        forms = (
            (self.store, ("projects", "databases", "collectionGroups")),
            (self.key, ("projects", "locations", "keyRings", "cryptoKeys")),
            (self.subnet, ("projects", "regions", "subnetworks")),
            *((one, ("projects", "notificationChannels")) for one in self.channels.values()),
        )
        for name, form in forms:
            if name is not None:
                parts(name, *form)
        if unknown := set(self.channels) - set(SEVERITIES):
            raise ConfigError(f"channels= has {sorted(unknown)}; severities are {', '.join(SEVERITIES)}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Shared:
    """The shared resources."""

    place: Place
    stage: Stage
    labels: Mapping[str, str]
    own: Own
    apis: tuple[Any, ...]
    source: Any
    """The bundle, as an object in a bucket."""
    builder: Any
    """The account that builds the functions."""
    built: Any
    """Its grant."""
    store: str
    """The store's address."""
    database: str
    """The store's database, by its whole name."""
    stored: Any
    """What must be there before the store is used."""
    encrypting: list[Any]
    """What must be there before dead letters are made: where a key was brought along, that Pub/Sub may use it."""
    channels: Mapping[str, Any]

    def keep(self, parent: pulumi.Resource, *more: Any) -> pulumi.ResourceOptions:
        """Options of what holds data."""
        return kept(self.stage, parent, [*self.apis, *more])

    def after_apis(self, parent: pulumi.Resource, *more: Any) -> pulumi.ResourceOptions:
        """Options of the rest."""
        return pulumi.ResourceOptions(parent=parent, depends_on=[*self.apis, *more])


def kept(stage: Stage, parent: pulumi.Resource, after: Any) -> pulumi.ResourceOptions:
    """A protected stack neither replaces nor deletes it, and when destroyed leaves it."""
    return pulumi.ResourceOptions(
        parent=parent, protect=stage.protect, retain_on_delete=stage.protect, depends_on=list(after)
    )


def shared(parent: pulumi.Resource, place: Place, stage: Stage, own: Own, bundle: Path) -> Shared:
    """Make, or read, all of it. Raises ConfigError for a retention that there is not."""
    if stage.log_days > MOST_LOG_DAYS:
        raise ConfigError(f"stage: log_days={stage.log_days}, but logs are kept at most {MOST_LOG_DAYS} days; lower it")
    labels = {"app": label(place.app), "stack": label(place.stack)}
    apis = _apis(parent, place, APIS if own.subnet is None else (*APIS, *APIS_OF_SUBNET))
    opts = pulumi.ResourceOptions(parent=parent, depends_on=list(apis))
    keep = kept(stage, parent, apis)
    agents = keys.granted(place, own.key, ("pubsub",) if own.store else ("pubsub", "firestore"), opts)
    encrypted = kept(stage, parent, [*apis, *agents.get("firestore", ())])
    address, whole, stored = database.store(place, stage, own.store, own.key, encrypted, opts)
    builder, built = _builder(place, opts)
    if stage.log_days > KEPT_ANYWAY:
        _logs(place, stage, keep, opts)
    return Shared(
        place=place,
        stage=stage,
        labels=labels,
        own=own,
        apis=apis,
        source=_source(place, labels, bundle, opts),
        builder=builder,
        built=built,
        store=address,
        database=whole,
        stored=stored,
        encrypting=agents["pubsub"],
        channels={**_mails(place, stage, own, labels, opts), **own.channels},
    )


def _apis(parent: pulumi.Resource, place: Place, names: tuple[str, ...]) -> tuple[Any, ...]:
    """Left on when the stack goes: others in the project may use them."""
    return tuple(
        projects.Service(
            f"{place.app}-api-{api}",
            service=f"{api}.googleapis.com",
            project=place.project,
            disable_on_destroy=False,
            opts=pulumi.ResourceOptions(parent=parent),
        )
        for api in names
    )


def _source(place: Place, labels: Mapping[str, str], bundle: Path, opts: pulumi.ResourceOptions) -> Any:
    """By its digest, so that another bundle is another object, and the functions are built anew."""
    digest = hashlib.sha256(bundle.read_bytes()).hexdigest()[:16]
    bucket = storage.Bucket(
        f"{place.app}-code",
        name=f"{place.project}-{place.named('code', most=32)}",  # unique in the world, as the project is
        project=place.project,
        location=place.region,
        uniform_bucket_level_access=True,
        public_access_prevention="enforced",
        force_destroy=True,
        labels=labels,
        opts=opts,
    )
    return storage.BucketObject(
        f"{place.app}-bundle",
        bucket=bucket.name,
        name=f"{digest}.zip",
        source=pulumi.FileAsset(str(bundle)),
        opts=pulumi.ResourceOptions(parent=opts.parent),
    )


def _builder(place: Place, opts: pulumi.ResourceOptions) -> tuple[Any, Any]:
    """An account for builds: the default one may do either nothing or too much, as the project is new or old.
    https://cloud.google.com/build/docs/cloud-build-service-account-updates"""
    account = serviceaccount.Account(
        f"{place.app}-builder",
        account_id=place.account("build"),
        project=place.project,
        display_name=f"Builds the functions of {place.app}",
        opts=opts,
    )
    granted = projects.IAMMember(
        f"{place.app}-builder-may-build",
        project=place.project,
        role=BUILDER.role.value,
        member=account.member,
        opts=pulumi.ResourceOptions(parent=opts.parent),
    )
    return account, granted


def _logs(place: Place, stage: Stage, keep: pulumi.ResourceOptions, opts: pulumi.ResourceOptions) -> None:
    """A bucket for the functions' logs, beside the project's own, that keeps them longer."""
    bucket = logging.ProjectBucketConfig(
        f"{place.app}-logs",
        project=place.project,
        location=place.region,
        bucket_id=place.named("logs"),
        retention_days=stage.log_days,
        description=f"Logs of {place.app}, stack {place.stack}",
        opts=keep,
    )
    logging.ProjectSink(
        f"{place.app}-logs-sink",
        project=place.project,
        name=place.named("logs"),
        destination=bucket.id.apply(lambda id_: f"logging.googleapis.com/{id_}"),
        filter='resource.type="cloud_run_revision" AND resource.labels.service_name=~'
        f'"^{place.app}-.*-{slug(place.stack)}$"',
        unique_writer_identity=True,
        opts=opts,
    )


def _mails(
    place: Place, stage: Stage, own: Own, labels: Mapping[str, str], opts: pulumi.ResourceOptions
) -> dict[str, Any]:
    return {
        severity: monitoring.NotificationChannel(
            f"{place.app}-{severity}",
            project=place.project,
            type="email",
            display_name=f"{place.app} {severity} ({place.stack})",
            labels={"email_address": address},
            user_labels=labels,
            opts=opts,
        ).name
        for severity, address in stage.notify.items()
        if severity not in own.channels
    }
