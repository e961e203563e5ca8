"""A queue and its dead letters, made or read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pulumi
from pulumi_gcp import cloudtasks, pubsub

from peeklock.infra import retry_warnings
from peeklock.infra.gcp.naming import Deployment
from peeklock.infra.gcp.shared import Shared
from peeklock.infra.settings.gcp import Settings, duration
from peeklock.queue import Queue

SAMPLED = 0.1
"""Share of a protected stack's dispatches that is logged; other stacks log all.
https://cloud.google.com/tasks/docs/creating-queues#logging"""


@dataclass(frozen=True, slots=True, kw_only=True)
class DeadLetters:
    """Topic and subscription of the dead letters: full names, and the resources."""

    topic: pulumi.Input[str]
    subscription: pulumi.Input[str]
    resources: tuple[Any, ...]


def queue(
    shared: Shared,
    queue: Queue,
    settings: Settings,
    parent: pulumi.Resource,
    *,
    suffix: str | None,
    service: str,
    caller: Any,
    consuming: bool,
    existing: pulumi.Input[str] | None,
) -> Any:
    """Make or read the queue. `suffix`: of its name. `service`: name of the function. `caller`: the account that the function is
    called as. `existing`: full name of an existing queue."""
    name, opts = f"{shared.deployment.app}-{queue.name}", pulumi.ResourceOptions(parent=parent)
    if existing is not None:
        read = cloudtasks.Queue.get(name, existing, opts=opts)
        read.retry_config.apply(
            lambda retry: retry_warnings.warn_about_limit(
                queue,
                "maxAttempts",
                retry and retry.max_attempts,
                "-1, unlimited, since Cloud Tasks deletes it",
                parent,
            )
        )
        return read
    return cloudtasks.Queue(
        name,
        name=short(shared.deployment.queue(service, suffix)),
        project=shared.deployment.project,
        location=shared.deployment.region,
        desired_state="RUNNING" if consuming else "PAUSED",
        http_target=_target(shared.deployment, service, caller),
        rate_limits={"max_dispatches_per_second": settings.rate, "max_concurrent_dispatches": settings.at_once},
        retry_config={
            "max_attempts": settings.max_attempts,
            "max_retry_duration": duration(settings.retry_duration),
            "min_backoff": duration(settings.first_backoff),
            "max_backoff": duration(settings.longest_backoff),
            "max_doublings": settings.doublings,
        },
        stackdriver_logging_config={"sampling_ratio": SAMPLED if shared.stage.protect else 1},
        opts=shared.data_options(parent),
    )


def _target(deployment: Deployment, service: str, caller: Any) -> dict[str, Any]:
    """Return the target, which overrides a task's own: tasks, and the caller's token, go to the function only."""
    return {
        "http_method": "POST",
        "uri_override": {
            "scheme": "HTTPS",
            "host": deployment.host(),
            "path_override": {"path": f"/{service}"},
            "uri_override_enforce_mode": "ALWAYS",
        },
        "oidc_token": {"service_account_email": caller, "audience": deployment.url(service)},
    }


def dead_letters(
    shared: Shared,
    queue: Queue,
    settings: Settings,
    labels: Mapping[str, str],
    parent: pulumi.Resource,
    existing: tuple[pulumi.Input[str], pulumi.Input[str]] | None,
) -> DeadLetters:
    """Make or read the topic and a subscription, without which Pub/Sub keeps no messages.

    `existing`: full names of an existing topic and subscription.
    """
    name, opts = f"{shared.deployment.app}-{queue.name}-dead-letters", pulumi.ResourceOptions(parent=parent)
    if existing is not None:
        read = (pubsub.Topic.get(name, existing[0], opts=opts), pubsub.Subscription.get(name, existing[1], opts=opts))
        return DeadLetters(topic=existing[0], subscription=existing[1], resources=read)
    deployment, short = shared.deployment, shared.deployment.resource_name(queue.name, "dead-letters", most=200)
    topic = pubsub.Topic(
        name,
        name=short,
        project=deployment.project,
        kms_key_name=shared.existing.key,
        labels=labels,
        opts=shared.data_options(parent, *shared.encryption_grants),
    )
    subscription = pubsub.Subscription(
        name,
        name=short,
        project=deployment.project,
        topic=topic.id,
        ack_deadline_seconds=60,
        message_retention_duration=duration(settings.dead_letters_life),
        expiration_policy={"ttl": settings.expiration},
        labels=labels,
        opts=shared.data_options(parent),
    )
    full_name = f"projects/{deployment.project}/{{}}/{short}"
    return DeadLetters(
        topic=full_name.format("topics"),
        subscription=full_name.format("subscriptions"),
        resources=(topic, subscription),
    )


def short(name: str) -> str:
    """Return the last word of a full name."""
    return name.rpartition("/")[2]
