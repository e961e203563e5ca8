"""Role, log group, function and event source mapping of a consumer."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import pulumi
from pulumi_aws import cloudwatch, iam, lambda_

from peeklock.infra.aws import identity
from peeklock.infra.aws.queues import QueuePair
from peeklock.infra.aws.shared import Shared
from peeklock.infra.settings.aws import Settings

RUNTIME = "python3.13"
ARCHITECTURE = "arm64"
"""Cheaper by a fifth for the same work; `peeklock bundle aws` builds for it.
https://docs.aws.amazon.com/lambda/latest/dg/foundation-arch.html"""


def log_group(shared: Shared, name: str, tags: Mapping[str, str], parent: pulumi.Resource) -> Any:
    """Make the log group, before the function, which would otherwise make one that keeps its logs for ever."""
    return cloudwatch.LogGroup(
        f"{name}-logs", retention_in_days=shared.stage.log_days, tags=tags, opts=shared.data_options(parent)
    )


def role(shared: Shared, name: str, tags: Mapping[str, str], existing: str | None, parent: pulumi.Resource) -> Any:
    """Make the function's role, or read it. `existing`: name of an existing role."""
    opts = pulumi.ResourceOptions(parent=parent)
    if existing is not None:
        return iam.Role.get(f"{name}-role", existing, opts=opts)
    return iam.Role(
        f"{name}-role",
        description=f"{name} of {shared.notes}",
        assume_role_policy=identity.assumed_by_lambda(),
        tags=tags,
        opts=opts,
    )


def role_policy(
    shared: Shared, name: str, role: Any, queues: QueuePair, logs: Any, sends: Sequence[Any], parent: pulumi.Resource
) -> Any:
    """Make the only policy of the role. `sends`: ARNs of other queues."""
    arns = {
        "queue": queues.queue.arn,
        "dead_letters": queues.dead_letters.arn,
        "table": shared.table.arn,
        "logs": logs.arn,
    }
    existing = shared.existing
    policy = pulumi.Output.all(**arns, sends=pulumi.Output.all(*sends)).apply(
        lambda resolved: identity.document(
            identity.grants(
                identity.ConsumerArns(
                    **{**resolved, "sends": tuple(resolved["sends"])}, key=existing.key, network=bool(existing.subnets)
                )
            )
        )
    )
    return iam.RolePolicy(f"{name}-may", role=role.name, policy=policy, opts=pulumi.ResourceOptions(parent=parent))


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
    tags: Mapping[str, str],
    after: Sequence[Any],
) -> Any:
    """Make the function. `after`: the role's policy, unless the role exists already."""
    existing = shared.existing
    network = {"subnet_ids": list(existing.subnets), "security_group_ids": list(existing.security_groups)}
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
        logging_config={
            "log_format": "JSON",
            "log_group": logs.name,
            "application_log_level": "INFO",
            "system_log_level": "INFO",
        },
        tracing_config={"mode": "Active"},
        vpc_config=network if existing.subnets else None,
        tags=tags,
        **shared.code,
        opts=pulumi.ResourceOptions(parent=parent, depends_on=list(after)),
    )


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
