"""Resources that the consumers of an app share: the store, the topics of the alarms, and the bucket for large bundles."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pulumi
from pulumi_aws import dynamodb, s3, sns

from peeklock.errors import ConfigError
from peeklock.infra.inputs import check_text, checked, is_given, text
from peeklock.infra.options import SEVERITIES, Stage, check_severities
from peeklock.infra.protection import data_options
from peeklock.infra.settings.aws import check_log_days
from peeklock.quotas.aws import UPLOAD_BYTES as MOST_DIRECT


@dataclass(frozen=True, slots=True, kw_only=True)
class Existing:
    """Existing resources to use: read, never modified."""

    store: pulumi.Input[str] | None = None
    """The name of a DynamoDB table."""
    key: pulumi.Input[str] | None = None
    """The ARN of a KMS key for queues, table, logs, topics, variables and code. Without one, each service uses its own key,
    free of charge."""
    subnets: pulumi.Input[Sequence[pulumi.Input[str]]] = ()
    security_groups: pulumi.Input[Sequence[pulumi.Input[str]]] = ()
    topics: Mapping[str, pulumi.Input[str]] = field(default_factory=dict)
    """ARNs of SNS topics, by severity."""
    permissions_boundary: pulumi.Input[str] | None = None
    """The ARN of a policy that limits the roles."""

    @property
    def network(self) -> bool:
        """True if the functions are in a VPC."""
        return is_given(self.subnets)


def existing_resources(
    *,
    store: pulumi.Input[str] | None,
    key: pulumi.Input[str] | None,
    subnets: pulumi.Input[Sequence[pulumi.Input[str]]],
    security_groups: pulumi.Input[Sequence[pulumi.Input[str]]],
    topics: Mapping[str, pulumi.Input[str]],
    permissions_boundary: pulumi.Input[str] | None,
) -> Existing:
    """Return existing resources. Raises ConfigError, during the update for outputs, for values that are none."""
    if is_given(subnets) != is_given(security_groups):
        raise ConfigError("a function in a VPC has subnets= and security_groups=; give both, or neither")
    check_severities("topics=", topics)
    return Existing(
        store=None if store is None else text("store", store),
        key=arn("key", key),
        subnets=subnets,
        security_groups=security_groups,
        topics={severity: text(f"topics[{severity!r}]", topic) for severity, topic in topics.items()},
        permissions_boundary=arn("permissions_boundary", permissions_boundary),
    )


def arn(argument: str, value: pulumi.Input[str] | None) -> pulumi.Input[str] | None:
    """Return an ARN. Raises ConfigError, during the update for an output, for any other text."""

    def check(resolved: object) -> None:
        check_text(argument, resolved)
        if not str(resolved).startswith("arn:"):
            raise ConfigError(
                f"{argument}={resolved!r}: use the ARN, such as arn:aws:kms:eu-west-1:123456789012:key/1234"
            )

    return None if value is None else checked(value, check)


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
        table=_table(parent, app, stage, tags, existing),
        topics={
            severity: existing.topics[severity]
            if severity in existing.topics
            else _topic(parent, app, severity, stage, tags, existing.key)
            for severity in SEVERITIES
        },
        code=_code(parent, app, tags, bundle, existing.key),
        notes=f"{app}, stack {pulumi.get_stack()}",
    )


def _table(parent: pulumi.Resource, app: str, stage: Stage, tags: Mapping[str, str], existing: Existing) -> Any:
    """Make the table that docs/stores-dynamodb.md describes, or read it. A protected one can also be restored to any second of
    the last 35 days."""
    name = f"{app}-store"
    if existing.store is not None:
        return dynamodb.Table.get(name, existing.store, opts=pulumi.ResourceOptions(parent=parent))
    return dynamodb.Table(
        name,
        attributes=[{"name": "key", "type": "S"}],
        hash_key="key",
        billing_mode="PAY_PER_REQUEST",
        ttl={"attribute_name": "ttl", "enabled": True},
        point_in_time_recovery={"enabled": stage.protect},
        deletion_protection_enabled=stage.protect,
        server_side_encryption=None if existing.key is None else {"enabled": True, "kms_key_arn": existing.key},
        tags=tags,
        opts=data_options(stage, parent),
    )


def _topic(
    parent: pulumi.Resource,
    app: str,
    severity: str,
    stage: Stage,
    tags: Mapping[str, str],
    key: pulumi.Input[str] | None,
) -> Any:
    """Make a topic, encrypted with an existing key only: CloudWatch may not use the key that SNS would use.
    https://docs.aws.amazon.com/sns/latest/dg/sns-key-management.html#compatibility-with-aws-services"""
    opts = pulumi.ResourceOptions(parent=parent)
    topic = sns.Topic(f"{app}-{severity}", kms_master_key_id=key, tags=tags, opts=opts)
    if address := stage.notify.get(severity):
        sns.TopicSubscription(f"{app}-{severity}-mail", topic=topic.arn, protocol="email", endpoint=address, opts=opts)
    return topic.arn


def _code(
    parent: pulumi.Resource, app: str, tags: Mapping[str, str], bundle: Path, key: pulumi.Input[str] | None
) -> Mapping[str, Any]:
    if bundle.stat().st_size <= MOST_DIRECT:
        return {"code": pulumi.FileArchive(str(bundle))}
    stored = _uploaded(parent, app, tags, bundle, key)
    return {"s3_bucket": stored.bucket, "s3_key": stored.key, "s3_object_version": stored.version_id}


def _uploaded(
    parent: pulumi.Resource, app: str, tags: Mapping[str, str], bundle: Path, key: pulumi.Input[str] | None
) -> Any:
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
        server_side_encryption=None if key is None else "aws:kms",
        kms_key_id=key,
        source=pulumi.FileAsset(str(bundle)),
        opts=pulumi.ResourceOptions(parent=parent, depends_on=[closed, versioned]),
    )
