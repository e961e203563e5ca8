"""A queue and its dead-letter queue, made or read."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pulumi
from pulumi_aws import sqs

from peeklock.errors import ConfigError
from peeklock.infra import retry_warnings
from peeklock.infra.aws import identity
from peeklock.infra.aws.shared import Shared
from peeklock.infra.settings.aws import Settings
from peeklock.queue import Queue


@dataclass(frozen=True, slots=True, kw_only=True)
class QueuePair:
    """A queue and its dead-letter queue, as resources."""

    queue: Any
    dead_letters: Any


def make_queues(
    shared: Shared,
    queue: Queue,
    settings: Settings,
    parent: pulumi.Resource,
    *,
    tags: Mapping[str, str],
    queue_url: pulumi.Input[str] | None,
    dead_letters_url: pulumi.Input[str] | None,
) -> QueuePair:
    """Make or read the queue and its dead-letter queue. An existing queue keeps its policies: the redrive policy is made with
    the queue, the permission to redrive with the dead-letter queue."""
    name = f"{shared.app}-{queue.name}"
    common = _common(shared, settings, tags)
    dead_letters = _read(f"{name}-dead-letters", dead_letters_url, parent) or sqs.Queue(
        f"{name}-dead-letters",
        message_retention_seconds=settings.dead_letters_retention,
        **common,
        opts=shared.data_options(parent),
    )
    main = _read(name, queue_url, parent) or sqs.Queue(
        name,
        visibility_timeout_seconds=settings.visibility,
        message_retention_seconds=settings.retention,
        receive_wait_time_seconds=settings.poll,
        **common,
        opts=shared.data_options(parent),
    )
    if queue_url is None:
        _queue_policies(name, main, dead_letters, settings, parent)
    else:
        main.visibility_timeout_seconds.apply(lambda seconds: check_visibility(queue, settings, seconds))
        main.redrive_policy.apply(
            lambda policy: retry_warnings.warn_about_limit(
                queue, "maxReceiveCount", receives(policy), str(settings.receives), parent
            )
        )
    if dead_letters_url is None:
        _dead_letter_policies(name, main, dead_letters, parent)
    return QueuePair(queue=main, dead_letters=dead_letters)


def check_visibility(queue: Queue, settings: Settings, seconds: float | None) -> None:
    """Raise ConfigError where the visibility timeout of an existing queue is shorter than the function's timeout: Lambda refuses
    it. https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-configure.html"""
    if seconds is not None and seconds < settings.timeout:
        raise ConfigError(
            f"queue {queue.name!r}: its visibility timeout is {seconds:g} s, and the function takes up to {settings.timeout} s;"
            f" set it to {settings.visibility}, or lower batch"
        )


def receives(policy: str | None) -> int | None:
    """Return the maxReceiveCount of a redrive policy, or None without a policy."""
    return int(json.loads(policy)["maxReceiveCount"]) if policy else None


def _read(name: str, url: pulumi.Input[str] | None, parent: pulumi.Resource) -> Any:
    return None if url is None else sqs.Queue.get(name, url, opts=pulumi.ResourceOptions(parent=parent))


def _common(shared: Shared, settings: Settings, tags: Mapping[str, str]) -> dict[str, Any]:
    """Return the arguments of both queues: the dead-letter queue of a FIFO queue is FIFO too. peeklock's sender sets the
    deduplication ids, so that SQS derives none from bodies: two equal bodies may be two orders."""
    key = shared.existing.key
    encrypted = {"sqs_managed_sse_enabled": True} if key is None else {"kms_master_key_id": key}
    if not settings.fifo:
        return {**encrypted, "tags": tags}
    fast = {"deduplication_scope": "messageGroup", "fifo_throughput_limit": "perMessageGroupId"}
    return {**encrypted, "tags": tags, "fifo_queue": True, "content_based_deduplication": False, **fast}


def _queue_policies(name: str, queue: Any, dead_letters: Any, settings: Settings, parent: pulumi.Resource) -> None:
    """Make the policies as separate resources, since both queues refer to each other."""
    opts = pulumi.ResourceOptions(parent=parent)
    sqs.RedrivePolicy(
        f"{name}-redrive",
        queue_url=queue.id,
        redrive_policy=dead_letters.arn.apply(lambda arn: identity.redrive(arn, settings.receives)),
        opts=opts,
    )


def queue_policy(
    name: str, queue: Any, sources: Sequence[tuple[str, pulumi.Input[str]]], parent: pulumi.Resource
) -> None:
    """Make the policy of a queue, with the services that may send to it. `sources`: as in `identity.queue_policy`."""
    arns = pulumi.Output.all(*(arn for _, arn in sources))
    policy = pulumi.Output.all(queue.arn, arns).apply(
        lambda resolved: identity.queue_policy(
            resolved[0], [(service, arn) for (service, _), arn in zip(sources, resolved[1], strict=True)]
        )
    )
    sqs.QueuePolicy(f"{name}-tls", queue_url=queue.id, policy=policy, opts=pulumi.ResourceOptions(parent=parent))


def _dead_letter_policies(name: str, queue: Any, dead_letters: Any, parent: pulumi.Resource) -> None:
    opts = pulumi.ResourceOptions(parent=parent)
    sqs.RedriveAllowPolicy(
        f"{name}-redrive-allow",
        queue_url=dead_letters.id,
        redrive_allow_policy=queue.arn.apply(identity.redrive_allow),
        opts=opts,
    )
    queue_policy(f"{name}-dead-letters", dead_letters, (), parent)
