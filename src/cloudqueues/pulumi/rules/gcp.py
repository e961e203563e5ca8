"""Rules of Google Cloud."""

from __future__ import annotations

import re
from collections.abc import Mapping

from cloudqueues.pulumi.rules.checks import (
    Rule,
    Values,
    Violations,
    duration_within,
    first,
    matches,
    one_of,
    only_if,
    seconds,
    values_at,
    where,
    within,
)
from peeklock.quotas import google as quotas

POLICIES = "https://cloud.google.com/monitoring/api/ref_v3/rest/v3/projects.alertPolicies"
LABELS = "https://cloud.google.com/monitoring/api/resources"
QUEUES = "https://cloud.google.com/tasks/docs/reference/rest/v2/projects.locations.queues"
SUBSCRIPTIONS = "https://cloud.google.com/pubsub/docs/reference/rest/v1/projects.subscriptions"
TOPICS = "https://cloud.google.com/pubsub/docs/pubsub-basics#resource_names"
FUNCTIONS = "https://cloud.google.com/functions/docs/reference/rest/v2/projects.locations.functions"
MEMORY = "https://cloud.google.com/run/docs/configuring/services/memory-limits"
DAY = 86_400

OF_RESOURCE: Mapping[str, frozenset[str]] = {
    "cloud_tasks_queue": frozenset({"project_id", "queue_id", "location", "target_type"}),
    "pubsub_subscription": frozenset({"project_id", "subscription_id"}),
    "pubsub_topic": frozenset({"project_id", "topic_id"}),
    "cloud_run_revision": frozenset({"project_id", "service_name", "revision_name", "location", "configuration_name"}),
}
"""Labels of the resources whose metrics are watched here. See LABELS."""

RESOURCE_OF = {
    "cloudtasks.googleapis.com": "cloud_tasks_queue",
    "pubsub.googleapis.com/subscription": "pubsub_subscription",
    "pubsub.googleapis.com/topic": "pubsub_topic",
    "run.googleapis.com": "cloud_run_revision",
}
"""Resource of a metric, by how the metric's name begins. https://cloud.google.com/monitoring/api/metrics_gcp"""

THRESHOLD, QUERY = "conditions.conditionThreshold", "conditions.conditionPrometheusQueryLanguage"


def _missing_data(inputs: Values) -> Violations:
    for place, one in values_at(inputs, THRESHOLD):
        if one.get("evaluationMissingData") and (seconds(one.get("duration")) or 0) < quotas.DATA_MISSING_SECONDS:
            yield f"{place}.evaluationMissingData", one["evaluationMissingData"]


def _label_of_filter(inputs: Values) -> Violations:
    """A filter whose metric, resource and labels do not belong together."""
    for place, text in values_at(inputs, f"{THRESHOLD}.filter"):
        kind = _word(text, r'resource\.type *= *"([^"]+)"')
        prefixes = [one for one in RESOURCE_OF if _word(text, r'metric\.type *= *"([^"]+)"').startswith(one)]
        labels = set(re.findall(r"resource\.labels?\.(\w+)", text))
        if any(RESOURCE_OF[one] != kind for one in prefixes) or labels - OF_RESOURCE.get(kind, frozenset(labels)):
            yield place, text


def _word(text: str, pattern: str) -> str:
    found = re.search(pattern, text)
    return found[1] if found else ""


def _label_of_query(inputs: Values) -> Violations:
    """A selector with a label that its resource has not; labels of the metric itself are not known here."""
    for place, text in values_at(inputs, f"{QUERY}.query"):
        for kind, names in re.findall(r'\{monitored_resource="(\w+)"((?:,\w+(?:=|!=|=~|!~)"[^"]*")*)\}', text):
            told = {one for one in re.findall(r",(\w+)", names) if one.endswith(("_id", "_name"))}
            if told - OF_RESOURCE.get(kind, frozenset(told)):
                yield place, text


def _cpu(inputs: Values) -> Violations:
    memory = re.fullmatch(r"(\d+)Mi", str(first(inputs, "serviceConfig.availableMemory")))
    cpus = first(inputs, "serviceConfig.availableCpu")
    if memory and cpus and float(cpus) < next((least for most, least in quotas.CPUS if int(memory[1]) <= most), 99):
        yield "serviceConfig.availableCpu", cpus


RESERVED = frozenset(
    {"PORT", "FUNCTION_TARGET", "FUNCTION_SIGNATURE_TYPE", "K_SERVICE", "K_REVISION", "K_CONFIGURATION"}
)
"""https://cloud.google.com/functions/docs/configuring/env-var#reserved_environment_variable_names"""


def _reserved(inputs: Values) -> Violations:
    for name, value in (first(inputs, "serviceConfig.environmentVariables") or {}).items():
        if name in RESERVED or name.startswith("X_GOOGLE_"):
            yield f"serviceConfig.environmentVariables.{name}", value


def _name_rule(words: str, pattern: str, source: str, path: str = "name") -> Rule:
    return Rule(words=words, source=source, check=matches(path, pattern))


PUBSUB_NAME = _name_rule(
    "a name has 3 to 255 characters, begins with a letter and not with goog",
    r"(?!goog)[A-Za-z][\w.~+%-]{2,254}",
    TOPICS,
)

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
            check=where(f"{THRESHOLD}.duration", lambda value: seconds(value) is not None and not seconds(value) % 60),  # type: ignore[operator]
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
            check=where(f"{QUERY}.evaluationInterval", lambda value: bool(seconds(value)) and not seconds(value) % 30),  # type: ignore[operator]
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
    ),
    "cloudfunctionsv2/function:Function": (
        _name_rule(
            "a name has 1 to 63 small letters, digits and hyphens", r"[a-z](?:[a-z0-9-]{0,61}[a-z0-9])?", FUNCTIONS
        ),
        Rule(
            words=f"a function answers within {quotas.FUNCTION_SECONDS:,} s",
            source="https://cloud.google.com/run/quotas",
            check=only_if(
                lambda one: "eventTrigger" not in one,
                within("serviceConfig.timeoutSeconds", 1, quotas.FUNCTION_SECONDS),
            ),
        ),
        Rule(
            words=f"an instance takes 1 to {quotas.REQUESTS:,} requests at once",
            source="https://cloud.google.com/run/docs/about-concurrency",
            check=within("serviceConfig.maxInstanceRequestConcurrency", 1, quotas.REQUESTS),
        ),
        Rule(words="so much memory needs more CPUs", source=MEMORY, check=_cpu, reads=("serviceConfig.availableCpu",)),
        Rule(
            words="the name is the platform's",
            source="https://cloud.google.com/functions/docs/configuring/env-var#reserved_environment_variable_names",
            check=_reserved,
            reads=("serviceConfig.environmentVariables",),
        ),
    ),
    "serviceaccount/account:Account": (
        _name_rule(
            "an account's id has 6 to 30 small letters, digits and hyphens, and begins with a letter",
            r"[a-z][a-z0-9-]{4,28}[a-z0-9]",
            "https://cloud.google.com/iam/docs/service-accounts-create",
            "accountId",
        ),
    ),
    "firestore/database:Database": (
        _name_rule(
            "a database's id is (default), or has 4 to 63 small letters, digits and hyphens",
            r"\(default\)|[a-z][a-z0-9-]{2,61}[a-z0-9]",
            "https://cloud.google.com/firestore/docs/manage-databases#database_id",
        ),
    ),
    "storage/bucket:Bucket": (
        _name_rule(
            "a bucket's name has 3 to 63 small letters, digits, hyphens and underscores, and does not begin with goog",
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
