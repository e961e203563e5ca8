"""Rules of values on Google Cloud: enumerations, regions, runtimes and addresses."""

from __future__ import annotations

from collections.abc import Mapping

from cloudqueues.pulumi.rules.checks import Check, Rule, duration_within, matches, one_of, rule, where
from cloudqueues.pulumi.rules.gcp_enumerations import ENUMERATIONS
from cloudqueues.pulumi.rules.gcp_run import FUNCTION, SERVICE, Instances, quantity
from cloudqueues.quotas import google as quotas

LOCATIONS = "https://cloud.google.com/about/locations"
BUCKETS = "https://cloud.google.com/storage/docs/locations"
BUCKET = "https://cloud.google.com/storage/docs/json_api/v1/buckets"
DATABASES = "https://cloud.google.com/firestore/docs/locations"
RUNTIMES = "https://cloud.google.com/functions/docs/runtime-support"
MEMORY = "https://cloud.google.com/run/docs/configuring/services/memory-limits"
ACCOUNTS = "https://cloud.google.com/iam/docs/service-account-types"
ENABLING = "https://cloud.google.com/service-usage/docs/reference/rest/v1/services"
QUEUES = "https://cloud.google.com/tasks/docs/reference/rest/v2/projects.locations.queues"
TOPICS = "https://cloud.google.com/pubsub/docs/reference/rest/v1/projects.topics"

API_PAGES: Mapping[str, str] = {
    "cloudfunctionsv2/function:Function": "https://cloud.google.com/functions/docs/reference/rest/v2/projects.locations.functions",
    "cloudrunv2/service:Service": "https://cloud.google.com/run/docs/reference/rest/v2/projects.locations.services",
    "cloudtasks/queue:Queue": QUEUES,
    "firestore/database:Database": "https://cloud.google.com/firestore/docs/reference/rest/v1/projects.databases",
    "firestore/field:Field": "https://cloud.google.com/firestore/docs/reference/rest/v1/projects.databases.collectionGroups.fields",
    "logging/metric:Metric": "https://cloud.google.com/logging/docs/reference/v2/rest/v2/projects.metrics",
    "monitoring/alertPolicy:AlertPolicy": "https://cloud.google.com/monitoring/api/ref_v3/rest/v3/projects.alertPolicies",
    "pubsub/topic:Topic": TOPICS,
}
"""Page of each API in ENUMERATIONS."""

DAY = 86_400


def _value_rule(path: str, source: str, *values: str) -> Rule:
    return rule(f"{path} is one of {', '.join(values)}", source, one_of(path, *values))


def _region_rule(path: str) -> Rule:
    return rule("there is no such region", LOCATIONS, one_of(path, *quotas.REGIONS))


def _any_case(path: str, *values: str) -> Check:
    return where(path, lambda value: str(value).upper() in values)


def _memory_rule(instances: Instances) -> Rule:
    path = instances.paths[1]
    return rule(
        f"an instance has {quotas.LEAST_MEMORY_BYTES // 10**6} MB or more",
        MEMORY,
        where(path, lambda text: (quantity(text) or quotas.LEAST_MEMORY_BYTES) >= quotas.LEAST_MEMORY_BYTES),
    )


def _account_rule(path: str) -> Rule:
    return rule(
        "a service account is an address that ends with .gserviceaccount.com",
        ACCOUNTS,
        matches(path, r"[^@\s]+@[^@\s]+\.gserviceaccount\.com"),
    )


VALUES: Mapping[str, tuple[Rule, ...]] = {
    "cloudtasks/queue:Queue": (
        _region_rule("location"),
        _value_rule("desiredState", f"{QUEUES}#state", "RUNNING", "PAUSED"),
    ),
    "cloudfunctionsv2/function:Function": (
        _region_rule("location"),
        rule("there is no such runtime", RUNTIMES, one_of("buildConfig.runtime", *quotas.RUNTIMES)),
        _memory_rule(FUNCTION),
        _account_rule("serviceConfig.serviceAccountEmail"),
    ),
    "cloudrunv2/service:Service": (
        _region_rule("location"),
        _memory_rule(SERVICE),
        _account_rule("template.serviceAccount"),
    ),
    "firestore/database:Database": (
        rule(
            "there is no such location of a database",
            DATABASES,
            one_of("locationId", *quotas.REGIONS, *quotas.DATABASE_LOCATIONS),
        ),
    ),
    "storage/bucket:Bucket": (
        rule(
            "there is no such location of a bucket",
            BUCKETS,
            _any_case("location", *map(str.upper, quotas.REGIONS), *quotas.BUCKET_LOCATIONS),
        ),
        rule(
            f"a storage class is one of {', '.join(quotas.STORAGE_CLASSES)}",
            f"{BUCKET}#storageClass",
            _any_case("storageClass", *quotas.STORAGE_CLASSES),
        ),
        _value_rule(
            "publicAccessPrevention", f"{BUCKET}#iamConfiguration.publicAccessPrevention", "inherited", "enforced"
        ),
    ),
    "pubsub/topic:Topic": (
        rule(
            f"a topic retains messages for {quotas.LEAST_RETENTION_SECONDS} s to {quotas.RETENTION_DAYS} days",
            f"{TOPICS}#Topic",
            duration_within("messageRetentionDuration", quotas.LEAST_RETENTION_SECONDS, quotas.RETENTION_DAYS * DAY),
        ),
    ),
    "projects/service:Service": (
        rule(
            "a service is a DNS name, such as run.googleapis.com",
            f"{ENABLING}#Service",
            matches("service", r"[a-z0-9-]+(?:\.[a-z0-9-]+)+"),
        ),
    ),
}

RULES: Mapping[str, tuple[Rule, ...]] = {
    type_: (
        *VALUES.get(type_, ()),
        *(_value_rule(path, API_PAGES[type_], *values) for path, values in ENUMERATIONS.get(type_, {}).items()),
    )
    for type_ in sorted({*VALUES, *ENUMERATIONS})
}
