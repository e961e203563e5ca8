"""A queue and its dead letters: made, or read where they were there before."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pulumi
from pulumi_gcp import cloudtasks, pubsub

from peeklock.infra import outages
from peeklock.infra.gcp.naming import Place, parts
from peeklock.infra.gcp.shared import Shared
from peeklock.infra.settings.gcp import Settings, duration
from peeklock.infra.settings.gcp.numbers import DEAD_LETTERS_LIFE, DOUBLINGS, FOR_EVER
from peeklock.queue import Queue
from peeklock.quotas.google import QUEUE_RATE

SAMPLED = 0.1
"""Of a protected stack's dispatches, so many are logged; of another's, all.
https://cloud.google.com/tasks/docs/creating-queues#logging"""


@dataclass(frozen=True, slots=True, kw_only=True)
class DeadLetters:
    """Whole names, and the resources."""

    topic: str
    subscription: str
    made: tuple[Any, ...]


def queue(
    shared: Shared,
    queue: Queue,
    settings: Settings,
    parent: pulumi.Resource,
    *,
    named: str,
    service: str,
    caller: Any,
    consuming: bool,
    own: str | None,
) -> Any:
    """`named`: its short name. `service`: its function's. `caller`: the account that the function is called as."""
    name, opts = f"{shared.place.app}-{queue.name}", pulumi.ResourceOptions(parent=parent)
    if own is not None:
        read = cloudtasks.Queue.get(name, own, opts=opts)
        read.retry_config.apply(
            lambda retry: outages.warn_of_limit(
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
        name=named,
        project=shared.place.project,
        location=shared.place.region,
        desired_state="RUNNING" if consuming else "PAUSED",
        http_target=_target(shared.place, service, caller),
        rate_limits={"max_dispatches_per_second": QUEUE_RATE, "max_concurrent_dispatches": settings.at_once},
        retry_config={
            "max_attempts": FOR_EVER,
            "max_retry_duration": duration(0),
            "min_backoff": duration(settings.first_backoff),
            "max_backoff": duration(settings.longest_backoff),
            "max_doublings": DOUBLINGS,
        },
        stackdriver_logging_config={"sampling_ratio": SAMPLED if shared.stage.protect else 1},
        opts=shared.keep(parent),
    )


def _target(place: Place, service: str, caller: Any) -> dict[str, Any]:
    """Whatever a task says, it goes to the function and nowhere else, and so does the caller's token."""
    return {
        "http_method": "POST",
        "uri_override": {
            "scheme": "HTTPS",
            "host": place.host(),
            "path_override": {"path": f"/{service}"},
            "uri_override_enforce_mode": "ALWAYS",
        },
        "oidc_token": {"service_account_email": caller, "audience": place.url(service)},
    }


def dead_letters(
    shared: Shared, queue: Queue, labels: Mapping[str, str], parent: pulumi.Resource, own: tuple[str, str] | None
) -> DeadLetters:
    """A topic, and a subscription that keeps what is published to it: without one, Pub/Sub keeps nothing.

    `own`: the whole names of both.
    """
    name, opts = f"{shared.place.app}-{queue.name}-dead-letters", pulumi.ResourceOptions(parent=parent)
    if own is not None:
        read = (pubsub.Topic.get(name, own[0], opts=opts), pubsub.Subscription.get(name, own[1], opts=opts))
        return DeadLetters(topic=own[0], subscription=own[1], made=read)
    place, short = shared.place, shared.place.named(queue.name, "dead-letters", most=200)
    topic = pubsub.Topic(
        name,
        name=short,
        project=place.project,
        kms_key_name=shared.own.key,
        labels=labels,
        opts=shared.keep(parent, *shared.encrypting),
    )
    subscription = pubsub.Subscription(
        name,
        name=short,
        project=place.project,
        topic=topic.id,
        ack_deadline_seconds=60,
        message_retention_duration=duration(DEAD_LETTERS_LIFE),
        expiration_policy={"ttl": ""},
        labels=labels,
        opts=shared.keep(parent),
    )
    whole = f"projects/{place.project}/{{}}/{short}"
    return DeadLetters(
        topic=whole.format("topics"), subscription=whole.format("subscriptions"), made=(topic, subscription)
    )


def short(name: str) -> str:
    """The last word of a whole name."""
    return name.rpartition("/")[2]


def check_queue(name: str) -> str:
    """A queue's whole name. Raises ConfigError."""
    parts(name, "projects", "locations", "queues")
    return name


def check_dead_letters(topic: str, subscription: str) -> tuple[str, str]:
    """Both whole names. Raises ConfigError."""
    parts(topic, "projects", "topics")
    parts(subscription, "projects", "subscriptions")
    return topic, subscription
