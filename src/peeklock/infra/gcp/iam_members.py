"""Grants as IAM members: each adds one member to one resource's policy and leaves the others."""

from __future__ import annotations

from typing import Any

import pulumi
from pulumi_gcp import cloudtasks, projects, pubsub, secretmanager, serviceaccount

from peeklock.infra.gcp.identity import Role, only_database
from peeklock.infra.gcp.naming import words


def on_queue(name: str, queue: pulumi.Input[str], role: str, member: Any, opts: pulumi.ResourceOptions) -> Any:
    """Grant a role on a queue. `queue`: full name."""
    project, location, short = words(queue, "projects", "locations", "queues")
    return cloudtasks.QueueIamMember(
        name, project=project, location=location, name=short, role=role, member=member, opts=opts
    )


def on_account(name: str, account: pulumi.Input[str], member: Any, opts: pulumi.ResourceOptions) -> Any:
    """Let the member create tasks that are dispatched as that account. `account`: full name."""
    return serviceaccount.IAMMember(name, service_account_id=account, role=Role.ACT_AS.value, member=member, opts=opts)


def on_topic(name: str, topic: pulumi.Input[str], role: str, member: Any, opts: pulumi.ResourceOptions) -> Any:
    """Grant a role on a topic. `topic`: full name."""
    project, short = words(topic, "projects", "topics")
    return pubsub.TopicIAMMember(name, project=project, topic=short, role=role, member=member, opts=opts)


def on_subscription(
    name: str, subscription: pulumi.Input[str], role: str, member: Any, opts: pulumi.ResourceOptions
) -> Any:
    """Grant a role on a subscription. `subscription`: full name."""
    project, short = words(subscription, "projects", "subscriptions")
    return pubsub.SubscriptionIAMMember(name, project=project, subscription=short, role=role, member=member, opts=opts)


def on_secret(name: str, secret: pulumi.Input[str], role: str, member: Any, opts: pulumi.ResourceOptions) -> Any:
    """Grant a role on a secret. `secret`: full name, without a version."""
    project, short = words(secret, "projects", "secrets")
    return secretmanager.SecretIamMember(name, project=project, secret_id=short, role=role, member=member, opts=opts)


def on_database(name: str, database: pulumi.Input[str], member: Any, opts: pulumi.ResourceOptions) -> Any:
    """Let the member use the database: a grant on the project with a condition, since databases have no policies.
    `database`: full name."""
    project, _ = words(database, "projects", "databases")
    return projects.IAMMember(
        name,
        project=project,
        role=Role.DATASTORE.value,
        member=member,
        condition=pulumi.Output.from_input(database).apply(only_database),
        opts=opts,
    )
