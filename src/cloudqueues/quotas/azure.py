"""Service Bus, Functions on Flex Consumption and Azure Monitor. Seconds, bytes and counts."""

from __future__ import annotations

LEAST_LOCK_SECONDS, LOCK_SECONDS = 5, 300
"""Lock duration of a queue or a subscription.
Read 2026-12. https://learn.microsoft.com/azure/service-bus-messaging/message-transfers-locks-settlement"""

DELIVERIES = 2000
"""Largest maxDeliveryCount.
Read 2026-11. https://learn.microsoft.com/azure/service-bus-messaging/service-bus-quotas"""

LEAST_DUPLICATES_SECONDS, DUPLICATES_SECONDS = 20, 604_800
"""Time for which duplicates are detected.
Read 2026-11. https://learn.microsoft.com/azure/service-bus-messaging/duplicate-detection"""

LEAST_IDLE_SECONDS = 300
"""Shortest idle time after which an entity can be deleted.
Read 2026-11. https://learn.microsoft.com/azure/service-bus-messaging/message-expiration#temporary-entities"""

FLEX_MEGABYTES = (512, 2048, 4096)
"""Memory sizes of an instance.
Read 2026-11. https://learn.microsoft.com/azure/azure-functions/flex-consumption-plan"""

FLEX_INSTANCES = 1000
"""Instances of an app.
Read 2026-11. https://learn.microsoft.com/azure/azure-functions/flex-consumption-plan"""

METRIC_WINDOWS = (60, 300, 900, 1800, 3600, 21_600, 43_200, 86_400)
"""Windows of a metric alert, in seconds.
Read 2026-11. https://learn.microsoft.com/azure/azure-monitor/alerts/alerts-create-metric-alert-rule"""

METRIC_FREQUENCIES = (60, 300, 900, 1800, 3600)
"""Seconds between two evaluations of a metric alert.
Read 2026-11. https://learn.microsoft.com/azure/azure-monitor/alerts/alerts-create-metric-alert-rule"""

PERIODS, COVERED_SECONDS = 6, 172_800
"""Evaluations that a query alert counts, and what they and their windows cover together.
Read 2026-11. https://learn.microsoft.com/azure/azure-monitor/alerts/alerts-create-log-alert-rule"""

LEAST_LOG_DAYS, LOG_DAYS = 30, 730
"""Interactive retention of a workspace.
Read 2026-11. https://learn.microsoft.com/azure/azure-monitor/logs/data-retention-configure"""

LEAST_MESSAGE_KILOBYTES, MESSAGE_KILOBYTES = 1024, 102_400
"""Limit of a message that an entity on Premium can be set to; other tiers have no such setting.
Read 2026-12. https://learn.microsoft.com/azure/service-bus-messaging/service-bus-premium-messaging#large-messages-support"""

ENTITY_MEGABYTES, PREMIUM_ENTITY_MEGABYTES = 5120, 81_920
"""Size of a queue or a topic in whole gigabytes; the second on Premium, or with partitions.
Read 2026-12. https://learn.microsoft.com/azure/service-bus-messaging/service-bus-quotas"""

REGIONS = (
    "asia", "asiapacific", "australia", "australiacentral", "australiacentral2", "australiaeast", "australiasoutheast",
    "austriaeast", "belgiumcentral", "brazil", "brazilsouth", "brazilsoutheast", "canada", "canadacentral", "canadaeast",
    "centralindia", "centralus", "centraluseuap", "chilecentral", "chinaeast", "chinaeast2", "chinaeast3", "chinanorth",
    "chinanorth2", "chinanorth3", "denmarkeast", "eastasia", "eastus", "eastus2", "eastus2euap", "eastus3", "europe",
    "france", "francecentral", "francesouth", "germany", "germanycentral", "germanynorth", "germanynortheast",
    "germanywestcentral", "global", "india", "indonesiacentral", "israelcentral", "israelnorthwest", "italynorth", "japan",
    "japaneast", "japanwest", "jioindiacentral", "jioindiawest", "korea", "koreacentral", "koreasouth", "malaysiasouth",
    "malaysiawest", "mexicocentral", "newzealandnorth", "northcentralus", "northeurope", "norway", "norwayeast",
    "norwaywest", "polandcentral", "qatarcentral", "singapore", "southafrica", "southafricanorth", "southafricawest",
    "southcentralus", "southcentralus2", "southeastasia", "southeastus", "southindia", "southwestus", "spaincentral",
    "sweden", "swedencentral", "swedensouth", "switzerland", "switzerlandnorth", "switzerlandwest", "taiwannorth",
    "taiwannorthwest", "uae", "uaecentral", "uaenorth", "uk", "uksouth", "ukwest", "unitedstates", "usdodcentral",
    "usdodeast", "usgovarizona", "usgoviowa", "usgovtexas", "usgovvirginia", "westcentralus", "westeurope", "westindia",
    "westus", "westus2", "westus3",
)  # fmt: skip
"""Regions of all clouds, with geographies and `global`, which some services take. Azure ignores case and blanks.
Read 2026-12. https://learn.microsoft.com/azure/reliability/regions-list"""

MESSAGING_UNITS = (1, 2, 4, 8, 16)
"""Messaging units of a premium namespace, for each of its partitions.
Read 2026-12. https://learn.microsoft.com/azure/service-bus-messaging/service-bus-premium-messaging#messaging-unit---how-many-are-needed"""

GROUP_NAME = 90
"""Characters of a resource group's name.
Read 2026-12. https://learn.microsoft.com/azure/azure-resource-manager/management/resource-name-rules#microsoftresources"""
