"""Role, log group, function and event source mapping of a consumer."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import pulumi
from pulumi_aws import cloudwatch, iam, lambda_

from peeklock.infra.aws import identity
from peeklock.infra.aws.queues import QueuePair
from peeklock.infra.aws.shared import Shared
from peeklock.infra.settings.aws import Settings

LIVE = "live"
"""Name of the alias."""

RUNTIME = "python3.13"
ARCHITECTURE = "arm64"
"""Cheaper by a fifth for the same work; `peeklock bundle aws` builds for it.
https://docs.aws.amazon.com/lambda/latest/dg/foundation-arch.html"""


def log_group(
    shared: Shared, name: str, tags: Mapping[str, str], existing: pulumi.Input[str] | None, parent: pulumi.Resource
) -> Any:
    """Make the log group, before the function, which would otherwise make one that keeps its logs for ever; or read it.
    `existing`: name of an existing one."""
    if existing is not None:
        return cloudwatch.LogGroup.get(f"{name}-logs", existing, opts=pulumi.ResourceOptions(parent=parent))
    return cloudwatch.LogGroup(
        f"{name}-logs",
        retention_in_days=shared.stage.log_days,
        kms_key_id=shared.existing.key,
        tags=tags,
        opts=shared.data_options(parent),
    )


def role(
    shared: Shared, name: str, tags: Mapping[str, str], existing: pulumi.Input[str] | None, parent: pulumi.Resource
) -> Any:
    """Make the function's role, or read it. `existing`: name of an existing role."""
    opts = pulumi.ResourceOptions(parent=parent)
    if existing is not None:
        return iam.Role.get(f"{name}-role", existing, opts=opts)
    return iam.Role(
        f"{name}-role",
        description=f"{name} of {shared.notes}",
        assume_role_policy=identity.assumed_by_lambda(),
        permissions_boundary=shared.existing.permissions_boundary,
        tags=tags,
        opts=opts,
    )


def role_policy(
    shared: Shared,
    name: str,
    role: Any,
    queues: QueuePair,
    logs: Any,
    parent: pulumi.Resource,
    *,
    sends: Sequence[Any],
    secrets: Sequence[Any],
    grants: Sequence[identity.Grant],
) -> Any:
    """Make the only policy of the role. `sends`, `secrets`: ARNs of other queues, and of secrets; `grants`: the program's."""
    arns = {
        "queue": queues.queue.arn,
        "dead_letters": queues.dead_letters.arn,
        "table": shared.table.arn,
        "logs": logs.arn,
        "key": shared.existing.key,
        "sends": list(sends),
        "secrets": list(secrets),
    }
    allowed = [list(grant.on) for grant in grants]
    policy = pulumi.Output.all(pulumi.Output.from_input(arns), pulumi.Output.from_input(allowed)).apply(
        lambda resolved: identity.document([
            *identity.grants(identity.ConsumerArns(**_tuples(resolved[0]), network=shared.existing.network)),
            *(replace(grant, on=on) for grant, on in zip(grants, resolved[1], strict=True)),
        ])
    )  # fmt: skip
    return iam.RolePolicy(f"{name}-may", role=role.name, policy=policy, opts=pulumi.ResourceOptions(parent=parent))


def _tuples(arns: Mapping[str, Any]) -> dict[str, Any]:
    return {name: tuple(value) if isinstance(value, list) else value for name, value in arns.items()}


def function(
    shared: Shared,
    name: str,
    settings: Settings,
    parent: pulumi.Resource,
    *,
    handler: str,
    role_arn: Any,
    environment: Any,
    logs: Any,
    layers: Sequence[pulumi.Input[str]],
    tags: Mapping[str, str],
    after: Sequence[Any],
) -> Any:
    """Make the function, and publish a version of it: code and settings of a version never change, so that an event is handled
    by code and settings that belong together. `after`: the role's policy, unless the role exists already."""
    existing = shared.existing
    network = {"subnet_ids": existing.subnets, "security_group_ids": existing.security_groups}
    return lambda_.Function(
        name,
        description=f"{name} of {shared.notes}",
        runtime=RUNTIME,
        architectures=[ARCHITECTURE],
        handler=handler,
        role=role_arn,
        timeout=settings.timeout,
        memory_size=settings.memory,
        environment={"variables": environment},
        kms_key_arn=existing.key,
        layers=list(layers) or None,
        publish=True,
        logging_config={
            "log_format": "JSON",
            "log_group": logs.name,
            "application_log_level": "INFO",
            "system_log_level": "INFO",
        },
        tracing_config={"mode": "Active"},
        vpc_config=network if existing.network else None,
        tags=tags,
        **shared.code,
        opts=pulumi.ResourceOptions(parent=parent, depends_on=list(after)),
    )


def alias(name: str, function: Any, settings: Settings, parent: pulumi.Resource) -> Any:
    """Make the alias of the version in use, which the mapping names: Lambda updates a function's settings and its code one after
    the other, and an event between the two would be refused by its own code. Until the alias is moved, events go to the
    version before.
    https://docs.aws.amazon.com/lambda/latest/dg/configuration-aliases.html"""
    opts = pulumi.ResourceOptions(parent=parent)
    live = lambda_.Alias(
        f"{name}-live", name=LIVE, function_name=function.name, function_version=function.version, opts=opts
    )
    if settings.ready:
        lambda_.ProvisionedConcurrencyConfig(
            f"{name}-ready",
            function_name=function.name,
            qualifier=live.name,
            provisioned_concurrent_executions=settings.ready,
            opts=opts,
        )
    return live


def mapping(
    name: str,
    settings: Settings,
    parent: pulumi.Resource,
    *,
    queue_arn: Any,
    function_name: Any,
    consuming: bool,
    only: Sequence[Mapping[str, Any]],
    tags: Mapping[str, str],
    after: Sequence[Any],
) -> Any:
    """Make the event source mapping.

    `after`: the role's policy, since Lambda refuses a mapping whose role may not receive. `only`: patterns; Lambda deletes
    messages that match none of them.
    """
    patterns = [{"pattern": json.dumps(pattern, sort_keys=True)} for pattern in only]
    return lambda_.EventSourceMapping(
        f"{name}-mapping",
        event_source_arn=queue_arn,
        function_name=function_name,
        enabled=consuming,
        batch_size=settings.batch,
        maximum_batching_window_in_seconds=None if settings.fifo else settings.window,
        function_response_types=list(settings.response_types),
        scaling_config={"maximum_concurrency": settings.concurrency},
        metrics_config={"metrics": list(settings.mapping_metrics)},
        filter_criteria={"filters": patterns} if patterns else None,
        tags=tags,
        opts=pulumi.ResourceOptions(parent=parent, depends_on=list(after)),
    )
