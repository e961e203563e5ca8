"""A consumer's role, its log group, its function, and the mapping that brings it messages."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import pulumi
from pulumi_aws import cloudwatch, iam, lambda_

from peeklock.infra.aws import identity
from peeklock.infra.aws.queues import Pair
from peeklock.infra.aws.shared import Shared
from peeklock.infra.settings.aws import Settings

RUNTIME = "python3.13"
ARCHITECTURE = "arm64"
"""Cheaper by a fifth for the same work; `peeklock bundle aws` builds for it.
https://docs.aws.amazon.com/lambda/latest/dg/foundation-arch.html"""


def log_group(shared: Shared, name: str, tags: Mapping[str, str], parent: pulumi.Resource) -> Any:
    """Made before the function, which would otherwise make one that keeps its logs for ever."""
    return cloudwatch.LogGroup(
        f"{name}-logs", retention_in_days=shared.stage.log_days, tags=tags, opts=shared.keep(parent)
    )


def role(shared: Shared, name: str, tags: Mapping[str, str], brought: str | None, parent: pulumi.Resource) -> Any:
    """`brought`: the name of one that is there."""
    opts = pulumi.ResourceOptions(parent=parent)
    if brought is not None:
        return iam.Role.get(f"{name}-role", brought, opts=opts)
    return iam.Role(
        f"{name}-role",
        description=f"{name} of {shared.notes}",
        assume_role_policy=identity.assumed_by_lambda(),
        tags=tags,
        opts=opts,
    )


def permitted(
    shared: Shared, name: str, who: Any, queues: Pair, logs: Any, sends: Sequence[Any], parent: pulumi.Resource
) -> Any:
    """The role's only policy. `sends`: ARNs of other queues."""
    known = {
        "queue": queues.queue.arn,
        "dead_letters": queues.dead_letters.arn,
        "table": shared.table.arn,
        "logs": logs.arn,
    }
    own = shared.own
    policy = pulumi.Output.all(**known, sends=pulumi.Output.all(*sends)).apply(
        lambda at: identity.document(
            identity.grants(
                identity.Places(**{**at, "sends": tuple(at["sends"])}, key=own.key, network=bool(own.subnets))
            )
        )
    )
    return iam.RolePolicy(f"{name}-may", role=who.name, policy=policy, opts=pulumi.ResourceOptions(parent=parent))


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
    """`after`: the role's policy, if it is ours."""
    own = shared.own
    network = {"subnet_ids": list(own.subnets), "security_group_ids": list(own.security_groups)}
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
        vpc_config=network if own.subnets else None,
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
    """`after`: the role's policy, since Lambda refuses a mapping whose role may not receive. `only`: patterns; what none of
    them matches is deleted by Lambda."""
    patterns = [{"pattern": json.dumps(one, sort_keys=True)} for one in only]
    return lambda_.EventSourceMapping(
        f"{name}-mapping",
        event_source_arn=queue_arn,
        function_name=function_name,
        enabled=consuming,
        batch_size=settings.batch,
        maximum_batching_window_in_seconds=None if settings.fifo else settings.window,
        function_response_types=["ReportBatchItemFailures"],
        scaling_config={"maximum_concurrency": settings.concurrency},
        metrics_config={"metrics": ["EventCount"]},
        filter_criteria={"filters": patterns} if patterns else None,
        tags=tags,
        opts=pulumi.ResourceOptions(parent=parent, depends_on=list(after)),
    )
