"""Rules for Cloud Tasks, functions, Pub/Sub, storage and IAM."""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import parse_qs, urlsplit

from peeklock.infra.policy.rules import Found, Rule, Stack

QUEUE, SUBSCRIPTION = "gcp:cloudtasks/queue:Queue", "gcp:pubsub/subscription:Subscription"
FUNCTION, POLICY = "gcp:cloudfunctionsv2/function:Function", "gcp:monitoring/alertPolicy:AlertPolicy"
BUCKET, PROJECT = "gcp:storage/bucket:Bucket", "gcp:projects/iAMMember:IAMMember"

BASIC = ("roles/owner", "roles/editor", "roles/viewer")
ANYBODY = ("allUsers", "allAuthenticatedUsers")
WHOLE = frozenset({"roles/cloudbuild.builds.builder", "roles/logging.logWriter", "roles/monitoring.metricWriter"})
"""Roles that are granted on a project, since their services have no smaller resource to name."""

FOR_EVER = -1


def _dead_letters(stack: Stack) -> Found:
    for queue in stack.of(QUEUE):
        retry = queue.props.get("retryConfig", {})
        if retry.get("maxAttempts") != FOR_EVER:
            yield (
                queue,
                "a task out of attempts is deleted: set retryConfig.maxAttempts to -1, and count attempts in the code",
            )
        elif str(retry.get("maxRetryDuration", "0s")) not in ("", "0s"):
            yield queue, "a task is deleted when its time is over: leave retryConfig.maxRetryDuration out"
    for subscription in stack.of(SUBSCRIPTION):
        if subscription.props.get("pushConfig") and not subscription.props.get("deadLetterPolicy"):
            yield subscription, "a message that always fails comes back until it expires: give it a deadLetterPolicy"


def _wildcards(stack: Stack) -> Found:
    for resource in stack.resources:
        role, who = resource.props.get("role"), resource.props.get("member")
        if not resource.type.endswith("Member") or not isinstance(role, str):
            continue
        if role in BASIC or role.endswith(".admin"):
            yield resource, f"{role} has all permissions: give a narrower role"
        elif who in ANYBODY:
            yield resource, f"{who} is everybody: name an account"
        elif resource.type == PROJECT and role not in WHOLE and not resource.props.get("condition"):
            yield resource, f"{role} holds in the whole project: grant it on one resource, or on a condition"


def _encrypted(stack: Stack) -> Found:
    for bucket in stack.of(BUCKET):
        if bucket.props.get("publicAccessPrevention") != "enforced" or not bucket.props.get("uniformBucketLevelAccess"):
            yield (
                bucket,
                "an object in it may be made public: enforce publicAccessPrevention, with uniformBucketLevelAccess",
            )


def _tls(stack: Stack) -> Found:
    for queue in stack.of(QUEUE):
        target = queue.props.get("httpTarget")
        if not target:
            continue
        if target.get("uriOverride", {}).get("scheme") == "HTTP":
            yield queue, "it sends in plain text: set httpTarget.uriOverride.scheme to HTTPS"
        if not target.get("oidcToken") and not target.get("oauthToken"):
            yield queue, "what it calls cannot tell who calls: give httpTarget an oidcToken"


def _retention(stack: Stack) -> Found:
    for subscription in stack.of(SUBSCRIPTION):
        if not subscription.props.get("pushConfig") and subscription.props.get("expirationPolicy", {}).get("ttl") != "":
            yield subscription, 'it is deleted if it is unused for 31 days: set expirationPolicy.ttl to ""'


def _alarms(stack: Stack) -> Found:
    policies = list(stack.of(POLICY))
    for resource in stack.of(QUEUE, SUBSCRIPTION):
        name = resource.props.get("name")
        if name and not any(policy.mentions(str(name)) or policy.is_made_of(resource) for policy in policies):
            yield resource, "no alert policy watches it: make one of its depth, or of its undelivered messages"


def _timeouts(stack: Stack) -> Found:
    """Compare the time-outs with the environment of peeklock's functions. Other functions are not checked."""
    for function in stack.of(FUNCTION):
        service = function.props.get("serviceConfig", {})
        variables, limit = service.get("environmentVariables", {}), float(service.get("timeoutSeconds", 60))
        for name, value in sorted(variables.items()):
            if re.fullmatch("PEEKLOCK_.*_LOCK", name) and float(value) > limit:
                yield (
                    function,
                    f"it is stopped after {limit:g} s and its environment says {value}: raise timeoutSeconds, or lower {name}",
                )
            waits = _deadline(value)
            if waits is not None and name in _own(variables) and waits <= limit:
                yield (
                    function,
                    f"Cloud Tasks calls again after {waits:g} s while it may run for {limit:g}: raise deadline= in {name}",
                )


def _deadline(value: Any) -> float | None:
    """Return the deadline in a queue's address; None without one."""
    parts = urlsplit(str(value))
    deadlines = parse_qs(parts.query).get("deadline") if parts.scheme == "cloudtasks" else None
    return float(deadlines[-1]) if deadlines else None


def _own(variables: Any) -> set[str]:
    """Return the variables with addresses of queues that the function consumes: those with a lock."""
    return {f"{name.removesuffix('_LOCK')}_URL" for name in variables if name.endswith("_LOCK")}


RULES = (
    Rule(
        name="gcp-dead-letters",
        cloud="gcp",
        why="Cloud Tasks has no dead letters: a task that runs out of attempts or time is deleted",
        source="https://cloud.google.com/tasks/docs/reference/rest/v2/projects.locations.queues",
        check=_dead_letters,
        judges=frozenset({"retryConfig", "deadLetterPolicy"}),
    ),
    Rule(
        name="gcp-no-wildcards",
        cloud="gcp",
        why="an account has only the permissions of its consumer, on the resources that it uses",
        source="https://cloud.google.com/iam/docs/using-iam-securely#least_privilege",
        check=_wildcards,
        judges=frozenset({"condition"}),
    ),
    Rule(
        name="gcp-not-public",
        cloud="gcp",
        why="code and data are private; Google encrypts them at rest",
        source="https://cloud.google.com/storage/docs/public-access-prevention",
        check=_encrypted,
        judges=frozenset({"publicAccessPrevention", "uniformBucketLevelAccess"}),
    ),
    Rule(
        name="gcp-tls-only",
        cloud="gcp",
        why="a task and its token are sent over TLS, and a function accepts only calls from its own queue",
        source="https://cloud.google.com/tasks/docs/creating-http-target-tasks",
        check=_tls,
        judges=frozenset({"httpTarget"}),
    ),
    Rule(
        name="gcp-retention",
        cloud="gcp",
        why="by default, a subscription that is unused for 31 days is deleted with its dead letters",
        source="https://cloud.google.com/pubsub/docs/subscription-properties#expiration_period",
        check=_retention,
        judges=frozenset({"expirationPolicy"}),
    ),
    Rule(
        name="gcp-alarms",
        cloud="gcp",
        why="without alarms nobody notices a stalled queue or a dead letter",
        source="https://cloud.google.com/tasks/docs/monitor",
        check=_alarms,
    ),
    Rule(
        name="gcp-timeouts",
        cloud="gcp",
        why="a task is dispatched again when its deadline passes, even if its first run has not ended",
        source="https://cloud.google.com/tasks/docs/reference/rest/v2/projects.locations.queues.tasks",
        check=_timeouts,
    ),
)
