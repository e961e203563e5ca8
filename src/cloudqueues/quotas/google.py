"""Cloud Tasks, Pub/Sub, Cloud Run functions and Cloud Monitoring. Seconds, bytes and counts."""

from __future__ import annotations

from datetime import timedelta

QUEUE_NAME = 100
"""Characters of a queue's name.
Read 2026-12. https://cloud.google.com/tasks/docs/reference/rest/v2/projects.locations.queues#Queue"""

LEAST_ACK_SECONDS = 10
"""Shortest acknowledgement deadline of a subscription, and the default.
Read 2026-12. https://cloud.google.com/pubsub/docs/reference/rest/v1/projects.subscriptions#Subscription"""

LEAST_RETENTION_SECONDS, RETENTION_DAYS = 600, 31
"""Retention of a message in a subscription.
Read 2026-12. https://cloud.google.com/pubsub/docs/reference/rest/v1/projects.subscriptions#Subscription"""

FUNCTION_SECONDS = 3600
"""Longest time of a request.
Read 2026-11. https://cloud.google.com/run/quotas"""

REQUESTS = 1000
"""Requests at once in an instance.
Read 2026-11. https://cloud.google.com/run/docs/about-concurrency"""

CPUS = ((4096, 1), (8192, 2), (16_384, 4), (24_576, 6), (32_768, 8))
"""MiB up to which so many vCPUs suffice.
Read 2026-11. https://cloud.google.com/run/docs/configuring/services/memory-limits"""

LOG_DAYS = 3650
"""Longest retention of a log bucket.
Read 2026-11. https://cloud.google.com/logging/quotas#logs_retention_periods"""

DATA_MISSING_SECONDS = 60
"""Shortest duration of a condition that says what missing data means.
Read 2026-12. https://cloud.google.com/monitoring/api/ref_v3/rest/v3/projects.alertPolicies#metricthreshold"""

QUEUE_RATE, QUEUE_AT_ONCE = 500, 5000
"""Dispatches of a queue in a second, and under way.
Read 2026-12. https://cloud.google.com/tasks/docs/reference/rest/v2/projects.locations.queues#RateLimits"""

ACK_DEADLINE = timedelta(seconds=600)
"""How long a subscription waits for an acknowledgement, at most; a push request, too.
Read 2026-12. https://cloud.google.com/pubsub/docs/reference/rest/v1/projects.subscriptions#Subscription"""

FRACTIONS = ((128, 0.083), (256, 0.166), (512, 0.333))
"""MiB, and the least vCPUs of an instance with as much memory, cut after three digits.
Read 2026-12. https://cloud.google.com/run/docs/configuring/services/memory-limits"""

LEAST_CPU, HALF_CPU, HALF_CPU_MEBIBYTES = 0.08, 0.5, 1024
"""Smallest fraction of a vCPU; fraction that suffices up to so many MiB, beyond the memory sizes of FRACTIONS.
Read 2026-12. https://cloud.google.com/run/docs/configuring/services/cpu"""

WHOLE_CPU_MEBIBYTES = 2048
"""MiB from which an instance of a function has a whole vCPU where its number is not set.
Read 2026-12. https://cloud.google.com/run/docs/configuring/services/memory-limits"""

LEAST_MEMORY_OF_CPUS = {1: 128, 2: 128, 4: 2048, 6: 4096, 8: 4096}
"""Whole numbers of vCPUs of an instance, and the least MiB that each needs.
Read 2026-12. https://cloud.google.com/run/docs/configuring/services/cpu"""

LEAST_ATTEMPTS, ATTEMPTS = 5, 100
"""Deliveries of a message before a subscription forwards it to its dead-letter topic.
Read 2026-12. https://cloud.google.com/pubsub/docs/reference/rest/v1/projects.subscriptions#DeadLetterPolicy"""

SERVICE_NAME = 49
"""Characters of a service's name.
Read 2026-11. https://cloud.google.com/run/docs/deploying#service"""

SUBSCRIPTION_BACKOFF = timedelta(seconds=600)
"""The longest delay of a subscription's retry policy.
Read 2026-12. https://cloud.google.com/pubsub/docs/reference/rest/v1/projects.subscriptions#RetryPolicy"""

REGIONS = (
    "africa-south1", "asia-east1", "asia-east2", "asia-northeast1", "asia-northeast2", "asia-northeast3", "asia-south1",
    "asia-south2", "asia-southeast1", "asia-southeast2", "asia-southeast3", "asia-southeast4", "australia-southeast1",
    "australia-southeast2", "europe-central2", "europe-north1", "europe-north2", "europe-southwest1", "europe-west1",
    "europe-west10", "europe-west12", "europe-west15", "europe-west2", "europe-west3", "europe-west4", "europe-west6",
    "europe-west8", "europe-west9", "me-central1", "me-central2", "me-west1", "northamerica-northeast1",
    "northamerica-northeast2", "northamerica-south1", "southamerica-east1", "southamerica-west1", "us-central1",
    "us-central2", "us-east1", "us-east4", "us-east5", "us-east7", "us-south1", "us-west1", "us-west2", "us-west3",
    "us-west4", "us-west8",
)  # fmt: skip
"""Regions of any service. Some services are not in all of them.
Read 2026-12. https://cloud.google.com/about/locations"""

BUCKET_LOCATIONS = ("ASIA", "EU", "US", "ASIA1", "EUR4", "EUR5", "EUR7", "EUR8", "NAM4")
"""Locations of a bucket that have several regions.
Read 2026-12. https://cloud.google.com/storage/docs/locations"""

DATABASE_LOCATIONS = ("eur3", "nam5", "nam7")
"""Locations of a database that have several regions.
Read 2026-12. https://cloud.google.com/firestore/docs/locations"""

STORAGE_CLASSES = (
    "STANDARD", "NEARLINE", "COLDLINE", "ARCHIVE", "MULTI_REGIONAL", "REGIONAL", "DURABLE_REDUCED_AVAILABILITY",
)  # fmt: skip
"""Storage classes of a bucket; the last three are older ones that the API still accepts.
Read 2026-12. https://cloud.google.com/storage/docs/storage-classes"""

RUNTIMES = (
    "dotnet3", "dotnet6", "dotnet8", "dotnet10", "go111", "go113", "go116", "go118", "go119", "go120", "go121", "go122",
    "go123", "go124", "go125", "go126", "java11", "java17", "java21", "java25", "nodejs6", "nodejs8", "nodejs10", "nodejs12",
    "nodejs14", "nodejs16", "nodejs18", "nodejs20", "nodejs22", "nodejs24", "php74", "php81", "php82", "php83", "php84",
    "php85", "python37", "python38", "python39", "python310", "python311", "python312", "python313", "python314", "ruby26",
    "ruby27", "ruby30", "ruby32", "ruby33", "ruby34", "ruby40",
)  # fmt: skip
"""Runtimes of functions, older ones that can no longer be deployed included.
Read 2026-12. https://cloud.google.com/functions/docs/runtime-support"""

LEAST_MEMORY_BYTES = 128 * 10**6
"""Smallest memory of an instance.
Read 2026-12. https://cloud.google.com/run/docs/configuring/services/memory-limits"""
