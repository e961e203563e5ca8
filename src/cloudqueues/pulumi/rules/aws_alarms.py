"""Rules of CloudWatch's alarms and logs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from cloudqueues.pulumi.rules.checks import (
    Rule,
    Values,
    Violations,
    absent,
    first,
    one_of,
    only_if,
    ordered,
    rule,
    values_at,
    where,
)
from cloudqueues.quotas import aws as quotas

ALARM = "https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/API_PutMetricAlarm.html"
RETENTION = "https://docs.aws.amazon.com/AmazonCloudWatchLogs/latest/APIReference/API_PutRetentionPolicy.html"

DIMENSIONS: Mapping[str, frozenset[str]] = {
    "AWS/SQS": frozenset({"QueueName"}),
    "AWS/Lambda": frozenset({"FunctionName", "Resource", "ExecutedVersion", "EventSourceMappingUUID"}),
    "AWS/SNS": frozenset({"Application", "Country", "Platform", "SMSType", "TopicName"}),
}
"""Dimensions of a service's metrics. An alarm on another dimension never gets data.
https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-available-cloudwatch-metrics.html,
https://docs.aws.amazon.com/lambda/latest/dg/monitoring-metrics-types.html,
https://docs.aws.amazon.com/sns/latest/dg/sns-monitoring-using-cloudwatch.html"""


def _dimensions(inputs: Values) -> Violations:
    metrics = [("", inputs), *((f"{place}.", metric) for place, metric in values_at(inputs, "metricQueries.metric"))]
    for place, metric in metrics:
        names = set(metric.get("dimensions") or {})
        if names - DIMENSIONS.get(metric.get("namespace", ""), frozenset(names)):
            yield f"{place}dimensions", metric["dimensions"]


AN_HOUR = 3600
MISSING_DATA = ("breaching", "notBreaching", "ignore", "missing")


def _look_back(inputs: Values) -> Violations:
    period = (
        inputs.get("period") or first(inputs, "metricQueries.metric.period") or first(inputs, "metricQueries.period")
    )
    most = quotas.LONG_ALARM_SECONDS if period and period >= AN_HOUR else quotas.ALARM_SECONDS
    if period and period * inputs.get("evaluationPeriods", 1) > most:
        yield "evaluationPeriods", inputs["evaluationPeriods"]


def _period(value: Any) -> bool:
    return value in {10, 20, 30} or value % 60 == 0


RULES: Mapping[str, tuple[Rule, ...]] = {
    "cloudwatch/metricAlarm:MetricAlarm": (
        rule(
            f"missing data is treated as one of {', '.join(MISSING_DATA)}",
            ALARM,
            one_of("treatMissingData", *MISSING_DATA),
        ),
        rule(
            "statistic and extendedStatistic exclude each other",
            ALARM,
            only_if(lambda inputs: bool(inputs.get("statistic")), absent("extendedStatistic")),
            "statistic",
        ),
        rule("a period is 10, 20 or 30 s, or a multiple of 60", ALARM, where("period", _period)),
        rule("a period is 10, 20 or 30 s, or a multiple of 60", ALARM, where("metricQueries.metric.period", _period)),
        rule(
            "an alarm looks back a day at most, or a week with periods of an hour",
            ALARM,
            _look_back,
            "period",
            "evaluationPeriods",
            "metricQueries",
        ),
        rule(
            "an alarm needs no more data points than it evaluates periods",
            ALARM,
            ordered("", "datapointsToAlarm", "evaluationPeriods"),
            "datapointsToAlarm",
            "evaluationPeriods",
        ),
        rule(
            "the service's metrics have no such dimension",
            ALARM,
            _dimensions,
            "namespace",
            "dimensions",
            "metricQueries",
        ),
    ),
    "cloudwatch/logGroup:LogGroup": (
        rule(
            "logs are retained for certain numbers of days only",
            RETENTION,
            one_of("retentionInDays", 0, *quotas.LOG_DAYS),
        ),
    ),
}
