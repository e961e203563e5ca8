"""Resources that the consumers of an app share: the store, the topics of the alarms, and the bucket for large bundles."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pulumi
from pulumi_aws import dynamodb, s3, sns

from peeklock.errors import ConfigError
from peeklock.infra.options import SEVERITIES, Stage, check_severities
from peeklock.infra.protection import data_options
from peeklock.infra.settings.aws import check_log_days
from peeklock.quotas.aws import UPLOAD_BYTES as MOST_DIRECT


@dataclass(frozen=True, slots=True, kw_only=True)
class Existing:
    """Existing resources to use: read, never modified."""

    store: str | None = None
    """The name of a DynamoDB table."""
    key: str | None = None
    """The ARN of a KMS key for the queues. Without one, SQS uses its own key, free of charge."""
    subnets: Sequence[str] = ()
    security_groups: Sequence[str] = ()
    topics: Mapping[str, str] = field(default_factory=dict)
    """ARNs of SNS topics, by severity."""

    def __post_init__(self) -> None:
        if bool(self.subnets) != bool(self.security_groups):
            raise ConfigError("a function in a VPC has subnets= and security_groups=; give both, or neither")
        check_severities("topics=", self.topics)
        if self.key is not None and not self.key.startswith("arn:"):
            raise ConfigError(f"key={self.key!r}: use the key's ARN, which the roles are granted")


@dataclass(frozen=True, slots=True, kw_only=True)
class Shared:
    """The shared resources."""

    app: str
    stage: Stage
    tags: Mapping[str, str]
    existing: Existing
    table: Any
    topics: Mapping[str, Any]
    """ARNs by severity."""
    code: Mapping[str, Any]
    """Arguments of a function that say where its code is."""
    notes: str
    """App and stack, for descriptions."""

    def data_options(self, parent: pulumi.Resource) -> pulumi.ResourceOptions:
        """Return the options of a resource that holds data."""
        return data_options(self.stage, parent)


def make_shared(
    parent: pulumi.Resource, app: str, stage: Stage, tags: Mapping[str, str], existing: Existing, bundle: Path
) -> Shared:
    """Make or read the shared resources. Raises ConfigError for a log retention that CloudWatch does not offer."""
    check_log_days(stage.log_days)
    return Shared(
        app=app,
        stage=stage,
        tags=tags,
        existing=existing,
        table=_table(parent, app, stage, tags, existing.store),
        topics={
            severity: existing.topics.get(severity) or _topic(parent, app, severity, stage, tags)
            for severity in SEVERITIES
        },
        code=_code(parent, app, tags, bundle),
        notes=f"{app}, stack {pulumi.get_stack()}",
    )


def _table(parent: pulumi.Resource, app: str, stage: Stage, tags: Mapping[str, str], existing: str | None) -> Any:
    """Make the table that docs/stores-dynamodb.md describes, or read it. A protected one can also be restored to any second of
    the last 35 days."""
    name = f"{app}-store"
    if existing is not None:
        return dynamodb.Table.get(name, existing, opts=pulumi.ResourceOptions(parent=parent))
    return dynamodb.Table(
        name,
        attributes=[{"name": "key", "type": "S"}],
        hash_key="key",
        billing_mode="PAY_PER_REQUEST",
        ttl={"attribute_name": "ttl", "enabled": True},
        point_in_time_recovery={"enabled": stage.protect},
        deletion_protection_enabled=stage.protect,
        tags=tags,
        opts=data_options(stage, parent),
    )


def _topic(parent: pulumi.Resource, app: str, severity: str, stage: Stage, tags: Mapping[str, str]) -> Any:
    """Make a topic. It is not encrypted: CloudWatch may not use the key that SNS would use. An alarm's text is no secret.
    https://docs.aws.amazon.com/sns/latest/dg/sns-key-management.html#compatibility-with-aws-services"""
    opts = pulumi.ResourceOptions(parent=parent)
    topic = sns.Topic(f"{app}-{severity}", tags=tags, opts=opts)
    if address := stage.notify.get(severity):
        sns.TopicSubscription(f"{app}-{severity}-mail", topic=topic.arn, protocol="email", endpoint=address, opts=opts)
    return topic.arn


def _code(parent: pulumi.Resource, app: str, tags: Mapping[str, str], bundle: Path) -> Mapping[str, Any]:
    if bundle.stat().st_size <= MOST_DIRECT:
        return {"code": pulumi.FileArchive(str(bundle))}
    stored = _uploaded(parent, app, tags, bundle)
    return {"s3_bucket": stored.bucket, "s3_key": stored.key, "s3_object_version": stored.version_id}


def _uploaded(parent: pulumi.Resource, app: str, tags: Mapping[str, str], bundle: Path) -> Any:
    """Upload the bundle to a versioned bucket: a function's code is one version of an object, and a new bundle is a new one."""
    opts = pulumi.ResourceOptions(parent=parent)
    bucket = s3.Bucket(f"{app}-code", tags=tags, force_destroy=True, opts=opts)
    closed = s3.BucketPublicAccessBlock(
        f"{app}-code-closed",
        bucket=bucket.id,
        block_public_acls=True,
        block_public_policy=True,
        ignore_public_acls=True,
        restrict_public_buckets=True,
        opts=opts,
    )
    versioned = s3.BucketVersioning(
        f"{app}-code-versions", bucket=bucket.id, versioning_configuration={"status": "Enabled"}, opts=opts
    )
    return s3.BucketObjectv2(
        f"{app}-bundle",
        bucket=bucket.id,
        key="bundle.zip",
        source=pulumi.FileAsset(str(bundle)),
        opts=pulumi.ResourceOptions(parent=parent, depends_on=[closed, versioned]),
    )
