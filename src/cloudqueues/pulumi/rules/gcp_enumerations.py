"""Enumerations of Google's APIs, by resource type and path of the property. Pulumi's SDK has texts in their place.

Read 2026-12 in the discovery documents that google-api-python-client ships; a test compares them.
https://developers.google.com/discovery/v1/reference/apis
"""

from __future__ import annotations

from collections.abc import Mapping

# fmt: off
ENUMERATIONS: Mapping[str, Mapping[str, tuple[str, ...]]] = {
    "cloudfunctionsv2/function:Function": {
        "eventTrigger.retryPolicy": ("RETRY_POLICY_UNSPECIFIED", "RETRY_POLICY_DO_NOT_RETRY", "RETRY_POLICY_RETRY"),
        "serviceConfig.directVpcEgress": (
            "DIRECT_VPC_EGRESS_UNSPECIFIED", "VPC_EGRESS_PRIVATE_RANGES_ONLY", "VPC_EGRESS_ALL_TRAFFIC"
        ),
        "serviceConfig.ingressSettings": (
            "INGRESS_SETTINGS_UNSPECIFIED", "ALLOW_ALL", "ALLOW_INTERNAL_ONLY", "ALLOW_INTERNAL_AND_GCLB"
        ),
        "serviceConfig.vpcConnectorEgressSettings": (
            "VPC_CONNECTOR_EGRESS_SETTINGS_UNSPECIFIED", "PRIVATE_RANGES_ONLY", "ALL_TRAFFIC"
        ),
    },
    "cloudrunv2/service:Service": {
        "functionalType": ("FUNCTIONAL_TYPE_UNSPECIFIED", "FUNCTIONAL_TYPE_AGENT", "FUNCTIONAL_TYPE_MCP_SERVER"),
        "ingress": (
            "INGRESS_TRAFFIC_UNSPECIFIED", "INGRESS_TRAFFIC_ALL", "INGRESS_TRAFFIC_INTERNAL_ONLY",
            "INGRESS_TRAFFIC_INTERNAL_LOAD_BALANCER", "INGRESS_TRAFFIC_NONE"
        ),
        "launchStage": (
            "LAUNCH_STAGE_UNSPECIFIED", "UNIMPLEMENTED", "PRELAUNCH", "EARLY_ACCESS", "ALPHA", "BETA", "GA",
            "DEPRECATED"
        ),
        "scaling.scalingMode": ("SCALING_MODE_UNSPECIFIED", "AUTOMATIC", "MANUAL"),
        "template.executionEnvironment": (
            "EXECUTION_ENVIRONMENT_UNSPECIFIED", "EXECUTION_ENVIRONMENT_GEN1", "EXECUTION_ENVIRONMENT_GEN2"
        ),
        "template.volumes.emptyDir.medium": ("MEDIUM_UNSPECIFIED", "MEMORY", "DISK"),
        "template.vpcAccess.egress": ("VPC_EGRESS_UNSPECIFIED", "ALL_TRAFFIC", "PRIVATE_RANGES_ONLY"),
        "template.workloadIdentityConfig.identityType": (
            "IDENTITY_TYPE_UNSPECIFIED", "IDENTITY_TYPE_SERVICE_ACCOUNT", "IDENTITY_TYPE_AGENT_IDENTITY"
        ),
    },
    "cloudtasks/queue:Queue": {
        "httpTarget.httpMethod": (
            "HTTP_METHOD_UNSPECIFIED", "POST", "GET", "HEAD", "PUT", "DELETE", "PATCH", "OPTIONS"
        ),
        "httpTarget.uriOverride.scheme": ("SCHEME_UNSPECIFIED", "HTTP", "HTTPS"),
        "httpTarget.uriOverride.uriOverrideEnforceMode": (
            "URI_OVERRIDE_ENFORCE_MODE_UNSPECIFIED", "IF_NOT_EXISTS", "ALWAYS"
        ),
    },
    "firestore/database:Database": {
        "appEngineIntegrationMode": ("APP_ENGINE_INTEGRATION_MODE_UNSPECIFIED", "ENABLED", "DISABLED"),
        "concurrencyMode": (
            "CONCURRENCY_MODE_UNSPECIFIED", "OPTIMISTIC", "PESSIMISTIC", "OPTIMISTIC_WITH_ENTITY_GROUPS"
        ),
        "databaseEdition": ("DATABASE_EDITION_UNSPECIFIED", "STANDARD", "ENTERPRISE"),
        "deleteProtectionState": (
            "DELETE_PROTECTION_STATE_UNSPECIFIED", "DELETE_PROTECTION_DISABLED", "DELETE_PROTECTION_ENABLED"
        ),
        "firestoreDataAccessMode": (
            "DATA_ACCESS_MODE_UNSPECIFIED", "DATA_ACCESS_MODE_ENABLED", "DATA_ACCESS_MODE_DISABLED"
        ),
        "mongodbCompatibleDataAccessMode": (
            "DATA_ACCESS_MODE_UNSPECIFIED", "DATA_ACCESS_MODE_ENABLED", "DATA_ACCESS_MODE_DISABLED"
        ),
        "pointInTimeRecoveryEnablement": (
            "POINT_IN_TIME_RECOVERY_ENABLEMENT_UNSPECIFIED", "POINT_IN_TIME_RECOVERY_ENABLED",
            "POINT_IN_TIME_RECOVERY_DISABLED"
        ),
        "realtimeUpdatesMode": (
            "REALTIME_UPDATES_MODE_UNSPECIFIED", "REALTIME_UPDATES_MODE_ENABLED", "REALTIME_UPDATES_MODE_DISABLED"
        ),
        "type": ("DATABASE_TYPE_UNSPECIFIED", "FIRESTORE_NATIVE", "DATASTORE_MODE"),
    },
    "firestore/field:Field": {
        "indexConfig.indexes.queryScope": (
            "QUERY_SCOPE_UNSPECIFIED", "COLLECTION", "COLLECTION_GROUP", "COLLECTION_RECURSIVE"
        ),
    },
    "logging/metric:Metric": {
        "metricDescriptor.labels.valueType": ("STRING", "BOOL", "INT64"),
        "metricDescriptor.metricKind": ("METRIC_KIND_UNSPECIFIED", "GAUGE", "DELTA", "CUMULATIVE"),
        "metricDescriptor.valueType": (
            "VALUE_TYPE_UNSPECIFIED", "BOOL", "INT64", "DOUBLE", "STRING", "DISTRIBUTION", "MONEY"
        ),
    },
    "monitoring/alertPolicy:AlertPolicy": {
        "alertStrategy.notificationPrompts": ("NOTIFICATION_PROMPT_UNSPECIFIED", "OPENED", "CLOSED"),
        "combiner": ("COMBINE_UNSPECIFIED", "AND", "OR", "AND_WITH_MATCHING_RESOURCE"),
        "conditions.conditionAbsent.aggregations.crossSeriesReducer": (
            "REDUCE_NONE", "REDUCE_MEAN", "REDUCE_MIN", "REDUCE_MAX", "REDUCE_SUM", "REDUCE_STDDEV", "REDUCE_COUNT",
            "REDUCE_COUNT_TRUE", "REDUCE_COUNT_FALSE", "REDUCE_FRACTION_TRUE", "REDUCE_PERCENTILE_99",
            "REDUCE_PERCENTILE_95", "REDUCE_PERCENTILE_50", "REDUCE_PERCENTILE_05"
        ),
        "conditions.conditionAbsent.aggregations.perSeriesAligner": (
            "ALIGN_NONE", "ALIGN_DELTA", "ALIGN_RATE", "ALIGN_INTERPOLATE", "ALIGN_NEXT_OLDER", "ALIGN_MIN",
            "ALIGN_MAX", "ALIGN_MEAN", "ALIGN_COUNT", "ALIGN_SUM", "ALIGN_STDDEV", "ALIGN_COUNT_TRUE",
            "ALIGN_COUNT_FALSE", "ALIGN_FRACTION_TRUE", "ALIGN_PERCENTILE_99", "ALIGN_PERCENTILE_95",
            "ALIGN_PERCENTILE_50", "ALIGN_PERCENTILE_05", "ALIGN_PERCENT_CHANGE"
        ),
        "conditions.conditionMonitoringQueryLanguage.evaluationMissingData": (
            "EVALUATION_MISSING_DATA_UNSPECIFIED", "EVALUATION_MISSING_DATA_INACTIVE", "EVALUATION_MISSING_DATA_ACTIVE",
            "EVALUATION_MISSING_DATA_NO_OP"
        ),
        "conditions.conditionSql.rowCountTest.comparison": (
            "COMPARISON_UNSPECIFIED", "COMPARISON_GT", "COMPARISON_GE", "COMPARISON_LT", "COMPARISON_LE",
            "COMPARISON_EQ", "COMPARISON_NE"
        ),
        "conditions.conditionThreshold.aggregations.crossSeriesReducer": (
            "REDUCE_NONE", "REDUCE_MEAN", "REDUCE_MIN", "REDUCE_MAX", "REDUCE_SUM", "REDUCE_STDDEV", "REDUCE_COUNT",
            "REDUCE_COUNT_TRUE", "REDUCE_COUNT_FALSE", "REDUCE_FRACTION_TRUE", "REDUCE_PERCENTILE_99",
            "REDUCE_PERCENTILE_95", "REDUCE_PERCENTILE_50", "REDUCE_PERCENTILE_05"
        ),
        "conditions.conditionThreshold.aggregations.perSeriesAligner": (
            "ALIGN_NONE", "ALIGN_DELTA", "ALIGN_RATE", "ALIGN_INTERPOLATE", "ALIGN_NEXT_OLDER", "ALIGN_MIN",
            "ALIGN_MAX", "ALIGN_MEAN", "ALIGN_COUNT", "ALIGN_SUM", "ALIGN_STDDEV", "ALIGN_COUNT_TRUE",
            "ALIGN_COUNT_FALSE", "ALIGN_FRACTION_TRUE", "ALIGN_PERCENTILE_99", "ALIGN_PERCENTILE_95",
            "ALIGN_PERCENTILE_50", "ALIGN_PERCENTILE_05", "ALIGN_PERCENT_CHANGE"
        ),
        "conditions.conditionThreshold.comparison": (
            "COMPARISON_UNSPECIFIED", "COMPARISON_GT", "COMPARISON_GE", "COMPARISON_LT", "COMPARISON_LE",
            "COMPARISON_EQ", "COMPARISON_NE"
        ),
        "conditions.conditionThreshold.denominatorAggregations.crossSeriesReducer": (
            "REDUCE_NONE", "REDUCE_MEAN", "REDUCE_MIN", "REDUCE_MAX", "REDUCE_SUM", "REDUCE_STDDEV", "REDUCE_COUNT",
            "REDUCE_COUNT_TRUE", "REDUCE_COUNT_FALSE", "REDUCE_FRACTION_TRUE", "REDUCE_PERCENTILE_99",
            "REDUCE_PERCENTILE_95", "REDUCE_PERCENTILE_50", "REDUCE_PERCENTILE_05"
        ),
        "conditions.conditionThreshold.denominatorAggregations.perSeriesAligner": (
            "ALIGN_NONE", "ALIGN_DELTA", "ALIGN_RATE", "ALIGN_INTERPOLATE", "ALIGN_NEXT_OLDER", "ALIGN_MIN",
            "ALIGN_MAX", "ALIGN_MEAN", "ALIGN_COUNT", "ALIGN_SUM", "ALIGN_STDDEV", "ALIGN_COUNT_TRUE",
            "ALIGN_COUNT_FALSE", "ALIGN_FRACTION_TRUE", "ALIGN_PERCENTILE_99", "ALIGN_PERCENTILE_95",
            "ALIGN_PERCENTILE_50", "ALIGN_PERCENTILE_05", "ALIGN_PERCENT_CHANGE"
        ),
        "conditions.conditionThreshold.evaluationMissingData": (
            "EVALUATION_MISSING_DATA_UNSPECIFIED", "EVALUATION_MISSING_DATA_INACTIVE", "EVALUATION_MISSING_DATA_ACTIVE",
            "EVALUATION_MISSING_DATA_NO_OP"
        ),
        "severity": ("SEVERITY_UNSPECIFIED", "CRITICAL", "ERROR", "WARNING"),
    },
    "pubsub/topic:Topic": {
        "ingestionDataSourceSettings.platformLogsSettings.severity": (
            "SEVERITY_UNSPECIFIED", "DISABLED", "DEBUG", "INFO", "WARNING", "ERROR"
        ),
        "schemaSettings.encoding": ("ENCODING_UNSPECIFIED", "JSON", "BINARY"),
    },
}
# fmt: on
