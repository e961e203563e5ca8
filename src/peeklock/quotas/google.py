"""Cloud Tasks, Pub/Sub, Cloud Run functions and Cloud Monitoring. Seconds, bytes and counts."""

from __future__ import annotations

DISPATCHES, DISPATCHES_AT_ONCE = 500, 5000
"""Dispatches of a queue in a second, and those under way at once.
Read 2026-12. https://cloud.google.com/tasks/docs/reference/rest/v2/projects.locations.queues#ratelimits"""

TASK_DAYS = 31
"""Life of a task, after which it is deleted.
Read 2026-11. https://cloud.google.com/tasks/docs/quotas"""

QUEUE_NAME = 100
"""Characters of a queue's name.
Read 2026-12. https://cloud.google.com/tasks/docs/reference/rest/v2/projects.locations.queues#Queue"""

LEAST_ACK_SECONDS, ACK_SECONDS = 10, 600
"""Acknowledgement deadline of a subscription.
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

INSTANCES = 1000
"""Instances of a service; a region may allow fewer until asked for more.
Read 2026-11. https://cloud.google.com/run/quotas"""

CPUS = ((4096, 1), (8192, 2), (16_384, 4), (24_576, 6), (32_768, 8))
"""MiB up to which so many vCPUs suffice.
Read 2026-11. https://cloud.google.com/run/docs/configuring/services/memory-limits"""

SERVICE_NAME = 49
"""Characters of a service's name.
Read 2026-11. https://cloud.google.com/run/docs/deploying#service"""

LEAST_ACCOUNT_NAME, ACCOUNT_NAME = 6, 30
"""Characters of a service account's id.
Read 2026-12. https://cloud.google.com/iam/docs/service-accounts-create"""

LABEL = 63
"""Characters of a label's value.
Read 2026-11. https://cloud.google.com/resource-manager/docs/labels-overview#requirements"""

LOG_DAYS = 3650
"""Longest retention of a log bucket.
Read 2026-11. https://cloud.google.com/logging/quotas#logs_retention_periods"""

DATA_MISSING_SECONDS = 60
"""Shortest duration of a condition that says what missing data means.
Read 2026-12. https://cloud.google.com/monitoring/api/ref_v3/rest/v3/projects.alertPolicies#metricthreshold"""
