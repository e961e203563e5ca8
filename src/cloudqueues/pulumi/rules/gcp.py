"""Rules of Cloud Tasks, Pub/Sub, Cloud Monitoring and other services of Google Cloud."""

from __future__ import annotations

import re
from collections.abc import Mapping

from cloudqueues.pulumi.rules import gcp_run
from cloudqueues.pulumi.rules.checks import (
    Rule,
    Values,
    Violations,
    duration_within,
    matches,
    one_of,
    ordered,
    seconds,
    values_at,
    where,
    within,
)
from cloudqueues.quotas import google as quotas

POLICIES = "https://cloud.google.com/monitoring/api/ref_v3/rest/v3/projects.alertPolicies"
LABELS = "https://cloud.google.com/monitoring/api/resources"
QUEUES = "https://cloud.google.com/tasks/docs/reference/rest/v2/projects.locations.queues"
SUBSCRIPTIONS = "https://cloud.google.com/pubsub/docs/reference/rest/v1/projects.subscriptions"
TOPICS = "https://cloud.google.com/pubsub/docs/pubsub-basics#resource_names"
DAY = 86_400

OF_RESOURCE: Mapping[str, frozenset[str]] = {
    "cloud_tasks_queue": frozenset({"project_id", "queue_id", "location", "target_type"}),
    "pubsub_subscription": frozenset({"project_id", "subscription_id"}),
    "pubsub_topic": frozenset({"project_id", "topic_id"}),
    "cloud_run_revision": frozenset({"project_id", "service_name", "revision_name", "location", "configuration_name"}),
}
"""Labels of monitored resources. See LABELS."""

RESOURCE_OF = {
    "cloudtasks.googleapis.com": "cloud_tasks_queue",
    "pubsub.googleapis.com/subscription": "pubsub_subscription",
    "pubsub.googleapis.com/topic": "pubsub_topic",
    "run.googleapis.com": "cloud_run_revision",
}
"""Monitored resource of a metric, by the prefix of the metric's name. https://cloud.google.com/monitoring/api/metrics_gcp"""

THRESHOLD, QUERY = "conditions.conditionThreshold", "conditions.conditionPrometheusQueryLanguage"


def _missing_data(inputs: Values) -> Violations:
    for place, condition in values_at(inputs, THRESHOLD):
        duration = seconds(condition.get("duration")) or 0
        if condition.get("evaluationMissingData") and duration < quotas.DATA_MISSING_SECONDS:
            yield f"{place}.evaluationMissingData", condition["evaluationMissingData"]


def _label_of_filter(inputs: Values) -> Violations:
    """Yield a filter whose metric, resource and labels do not belong together."""
    for place, text in values_at(inputs, f"{THRESHOLD}.filter"):
        resource = _first_group(text, r'resource\.type *= *"([^"]+)"')
        metric = _first_group(text, r'metric\.type *= *"([^"]+)"')
        prefixes = [prefix for prefix in RESOURCE_OF if metric.startswith(prefix)]
        labels = set(re.findall(r"resource\.labels?\.(\w+)", text))
        wrong_resource = any(RESOURCE_OF[prefix] != resource for prefix in prefixes)
        if wrong_resource or labels - OF_RESOURCE.get(resource, frozenset(labels)):
            yield place, text


def _first_group(text: str, pattern: str) -> str:
    match = re.search(pattern, text)
    return match[1] if match else ""


def _label_of_query(inputs: Values) -> Violations:
    """Yield a query with a label that its resource lacks. Labels of the metric itself are not checked."""
    for place, text in values_at(inputs, f"{QUERY}.query"):
        for resource, selectors in re.findall(r'\{monitored_resource="(\w+)"((?:,\w+(?:=|!=|=~|!~)"[^"]*")*)\}', text):
            labels = {name for name in re.findall(r",(\w+)", selectors) if name.endswith(("_id", "_name"))}
            if labels - OF_RESOURCE.get(resource, frozenset(labels)):
                yield place, text


def _cleanup(inputs: Values) -> Violations:
    for policy in inputs.get("cleanupPolicies") or ():
        if isinstance(policy, Mapping):
            conditional, newest = "condition" in policy, "mostRecentVersions" in policy
            if conditional == newest or (newest and policy.get("action") != "KEEP"):
                yield "cleanupPolicies", policy


def _name_rule(words: str, pattern: str, source: str, path: str = "name") -> Rule:
    return Rule(words=words, source=source, check=matches(path, pattern))


PUBSUB_NAME = _name_rule(
    "a name has 3 to 255 characters, begins with a letter and not with goog",
    r"(?!goog)[A-Za-z][\w.~+%-]{2,254}",
    TOPICS,
)

BACKOFF_SECONDS = quotas.SUBSCRIPTION_BACKOFF.total_seconds()

RULES: Mapping[str, tuple[Rule, ...]] = {
    "monitoring/alertPolicy:AlertPolicy": (
        Rule(
            # The service: "Conditions setting evaluation_missing_data must have a non-zero duration."
            # https://github.com/hashicorp/terraform-provider-google/issues/16892
            words=f"evaluation_missing_data needs a duration of {quotas.DATA_MISSING_SECONDS} s or more",
            source=f"{POLICIES}#evaluationmissingdata",
            check=_missing_data,
            reads=(THRESHOLD,),
        ),
        Rule(
            words="a duration is a multiple of a minute",
            source=f"{POLICIES}#metricthreshold",
            check=where(
                f"{THRESHOLD}.duration", lambda value: (number := seconds(value)) is not None and not number % 60
            ),
        ),
        Rule(
            words="an alignment period is a minute to 25 hours",
            source="https://cloud.google.com/monitoring/api/ref_v3/rest/v3/projects.alertPolicies#aggregation",
            check=duration_within(f"{THRESHOLD}.aggregations.alignmentPeriod", 60, 25 * 3600),
        ),
        Rule(
            words="only COMPARISON_GT and COMPARISON_LT are supported",
            source=f"{POLICIES}#metricthreshold",
            check=one_of(f"{THRESHOLD}.comparison", "COMPARISON_GT", "COMPARISON_LT"),
        ),
        Rule(
            words="an evaluation interval is a multiple of 30 s",
            source=f"{POLICIES}#prometheusquerylanguagecondition",
            check=where(
                f"{QUERY}.evaluationInterval", lambda value: bool((number := seconds(value)) and not number % 30)
            ),
        ),
        Rule(
            words="the metric is of another resource, or its resource has no such label",
            source=LABELS,
            check=_label_of_filter,
            reads=(f"{THRESHOLD}.filter",),
        ),
        Rule(
            words="the metric's resource has no such label",
            source=LABELS,
            check=_label_of_query,
            reads=(f"{QUERY}.query",),
        ),
    ),
    "cloudtasks/queue:Queue": (
        _name_rule(
            f"a name has 1 to {quotas.QUEUE_NAME} letters, digits and hyphens",
            rf"[A-Za-z0-9-]{{1,{quotas.QUEUE_NAME}}}",
            f"{QUEUES}#Queue",
        ),
        Rule(
            words=f"a queue dispatches up to {quotas.QUEUE_RATE} tasks a second",
            source="https://cloud.google.com/tasks/docs/quotas",
            check=within("rateLimits.maxDispatchesPerSecond", 0, quotas.QUEUE_RATE),
        ),
        Rule(
            words=f"up to {quotas.QUEUE_AT_ONCE:,} tasks of a queue are dispatched at once",
            source=f"{QUEUES}#RateLimits",
            check=within("rateLimits.maxConcurrentDispatches", 1, quotas.QUEUE_AT_ONCE),
        ),
    ),
    "pubsub/topic:Topic": (PUBSUB_NAME,),
    "pubsub/subscription:Subscription": (
        PUBSUB_NAME,
        Rule(
            words=f"an acknowledgement deadline is {quotas.LEAST_ACK_SECONDS} to {quotas.ACK_DEADLINE.total_seconds():g} s",
            source=f"{SUBSCRIPTIONS}#Subscription",
            check=within("ackDeadlineSeconds", quotas.LEAST_ACK_SECONDS, quotas.ACK_DEADLINE.total_seconds()),
        ),
        Rule(
            words=f"messages are retained for {quotas.LEAST_RETENTION_SECONDS} s to {quotas.RETENTION_DAYS} days",
            source=f"{SUBSCRIPTIONS}#Subscription",
            check=duration_within(
                "messageRetentionDuration", quotas.LEAST_RETENTION_SECONDS, quotas.RETENTION_DAYS * DAY
            ),
        ),
        Rule(
            words="a subscription expires after a day or more of idleness, or never (an empty ttl)",
            source=f"{SUBSCRIPTIONS}#ExpirationPolicy",
            check=where("expirationPolicy.ttl", lambda value: value == "" or (seconds(value) or 0) >= DAY),
        ),
        Rule(
            words=f"a message is delivered {quotas.LEAST_ATTEMPTS} to {quotas.ATTEMPTS} times before it is a dead letter",
            source=f"{SUBSCRIPTIONS}#DeadLetterPolicy",
            check=within("deadLetterPolicy.maxDeliveryAttempts", quotas.LEAST_ATTEMPTS, quotas.ATTEMPTS),
        ),
        *(
            Rule(
                words=f"a back-off is 0 to {BACKOFF_SECONDS:g} s",
                source=f"{SUBSCRIPTIONS}#RetryPolicy",
                check=duration_within(f"retryPolicy.{name}", 0, BACKOFF_SECONDS),
            )
            for name in ("minimumBackoff", "maximumBackoff")
        ),
        Rule(
            words="the minimum back-off is not above the maximum",
            source=f"{SUBSCRIPTIONS}#RetryPolicy",
            check=ordered("retryPolicy", "minimumBackoff", "maximumBackoff", seconds),
            reads=("retryPolicy",),
        ),
    ),
    **gcp_run.RULES,
    "artifactregistry/repository:Repository": (
        Rule(
            words="a clean-up policy deletes by a condition, or keeps by a condition or the newest versions, not by both",
            source="https://cloud.google.com/artifact-registry/docs/repositories/cleanup-policy-overview",
            check=_cleanup,
            reads=("cleanupPolicies", "cleanupPolicies.action"),
        ),
    ),
    "serviceaccount/account:Account": (
        _name_rule(
            "an account's id has 6 to 30 lowercase letters, digits and hyphens, and begins with a letter",
            r"[a-z][a-z0-9-]{4,28}[a-z0-9]",
            "https://cloud.google.com/iam/docs/service-accounts-create",
            "accountId",
        ),
    ),
    "firestore/database:Database": (
        _name_rule(
            "a database's id is (default), or has 4 to 63 lowercase letters, digits and hyphens",
            r"\(default\)|[a-z][a-z0-9-]{2,61}[a-z0-9]",
            "https://cloud.google.com/firestore/docs/manage-databases#database_id",
        ),
    ),
    "storage/bucket:Bucket": (
        _name_rule(
            "a bucket's name has 3 to 63 lowercase letters, digits, hyphens and underscores, and does not begin with goog",
            r"(?!goog)[a-z0-9][a-z0-9_.-]{1,61}[a-z0-9]",
            "https://cloud.google.com/storage/docs/buckets#naming",
        ),
    ),
    "logging/projectBucketConfig:ProjectBucketConfig": (
        Rule(
            words=f"logs are retained for 1 to {quotas.LOG_DAYS:,} days",
            source="https://cloud.google.com/logging/quotas#logs_retention_periods",
            check=within("retentionDays", 1, quotas.LOG_DAYS),
        ),
    ),
}
