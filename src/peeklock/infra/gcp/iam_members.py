"""Grants as IAM members: each adds one member to one resource's policy and leaves the others."""

from __future__ import annotations

from typing import Any

import pulumi
from pulumi_gcp import cloudtasks, projects, pubsub, serviceaccount

from peeklock.infra.gcp import naming
from peeklock.infra.gcp.identity import Role, only_database
from peeklock.infra.gcp.shared import Shared


def on_queue(name: str, queue: str, member: Any, parent: pulumi.Resource, after: Any) -> Any:
    """Let the member create tasks. `queue`: full name."""
    project, location, short = naming.parts(queue, "projects", "locations", "queues")
    return cloudtasks.QueueIamMember(
        name,
        project=project,
        location=location,
        name=short,
        role=Role.ENQUEUER.value,
        member=member,
        opts=pulumi.ResourceOptions(parent=parent, depends_on=[after]),
    )


def on_account(name: str, account: Any, member: Any, parent: pulumi.Resource) -> Any:
    """Let the member create tasks that are dispatched as that account."""
    opts = pulumi.ResourceOptions(parent=parent)
    return serviceaccount.IAMMember(
        name, service_account_id=account.name, role=Role.ACT_AS.value, member=member, opts=opts
    )


def on_topic(name: str, topic: str, member: Any, parent: pulumi.Resource, after: Any) -> Any:
    """Let the member publish. `topic`: full name."""
    project, short = naming.parts(topic, "projects", "topics")
    opts = pulumi.ResourceOptions(parent=parent, depends_on=[after])
    return pubsub.TopicIAMMember(
        name, project=project, topic=short, role=Role.PUBLISHER.value, member=member, opts=opts
    )


def on_subscription(name: str, subscription: str, member: Any, parent: pulumi.Resource, after: Any) -> Any:
    """Let the member receive dead letters. `subscription`: full name."""
    project, short = naming.parts(subscription, "projects", "subscriptions")
    opts = pulumi.ResourceOptions(parent=parent, depends_on=[after])
    return pubsub.SubscriptionIAMMember(
        name, project=project, subscription=short, role=Role.SUBSCRIBER.value, member=member, opts=opts
    )


def on_database(shared: Shared, name: str, member: Any, parent: pulumi.Resource) -> Any:
    """Let the member use the database: a grant on the project with a condition, since databases have no policies."""
    return projects.IAMMember(
        name,
        project=shared.database.split("/")[1],
        role=Role.DATASTORE.value,
        member=member,
        condition=only_database(shared.database),
        opts=pulumi.ResourceOptions(parent=parent),
    )
