"""Service Bus, Functions on Flex Consumption and Azure Monitor. Seconds, bytes and counts."""

from __future__ import annotations

LEAST_LOCK_SECONDS, LOCK_SECONDS = 5, 300
"""Lock duration of a queue or a subscription.
Read 2026-12. https://learn.microsoft.com/azure/service-bus-messaging/message-transfers-locks-settlement"""

MESSAGE_ID = 128
"""Characters of a message's id.
Read 2026-11. https://learn.microsoft.com/azure/service-bus-messaging/service-bus-quotas"""

DELIVERIES = 2000
"""Largest maxDeliveryCount.
Read 2026-11. https://learn.microsoft.com/azure/service-bus-messaging/service-bus-quotas"""

QUEUE_MEGABYTES = 5120
"""Largest maxSizeInMegabytes of a queue that is not partitioned, on Standard; the default is 1024. A full queue refuses messages.
Read 2026-12. https://learn.microsoft.com/azure/service-bus-messaging/service-bus-quotas"""

MESSAGE_BYTES = 100 * 1024 * 1024
"""Size of a message on Premium, the most of all tiers; a queue of Standard takes 256 KB, and says so by refusing.
Read 2026-11. https://learn.microsoft.com/azure/service-bus-messaging/service-bus-quotas"""

PROPERTY_BYTES, PROPERTIES_BYTES = 32 * 1024 - 1, 64 * 1000
"""Size of a property, and of all properties with the system's.
Read 2026-11. https://learn.microsoft.com/azure/service-bus-messaging/service-bus-quotas"""

APP_NAME, ACCOUNT_NAME = 60, 24
"""Characters of a function app's name, and of a storage account's.
Read 2026-11. https://learn.microsoft.com/azure/azure-resource-manager/management/resource-name-rules"""

FLEX_MEGABYTES = (512, 2048, 4096)
"""Memory sizes of an instance.
Read 2026-11. https://learn.microsoft.com/azure/azure-functions/flex-consumption-plan"""

FLEX_INSTANCES = 1000
"""Instances of an app.
Read 2026-11. https://learn.microsoft.com/azure/azure-functions/flex-consumption-plan"""

METRIC_WINDOWS = (60, 300, 900, 1800, 3600, 21_600, 43_200, 86_400)
"""Windows of a metric alert, in seconds.
Read 2026-11. https://learn.microsoft.com/azure/azure-monitor/alerts/alerts-create-metric-alert-rule"""

LEAST_LOG_DAYS, LOG_DAYS = 30, 730
"""Interactive retention of a workspace.
Read 2026-11. https://learn.microsoft.com/azure/azure-monitor/logs/data-retention-configure"""
