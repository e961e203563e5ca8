"""Rules of Azure Monitor's alerts."""

from __future__ import annotations

from collections.abc import Mapping

from cloudqueues.pulumi.rules.checks import Rule, Values, Violations, first, rule, seconds, values_at, where, within
from cloudqueues.quotas import azure as quotas

METRICS_PAGE = "https://learn.microsoft.com/azure/azure-monitor/reference/supported-metrics/microsoft-servicebus-namespaces-metrics"
METRIC_ALERTS = "https://learn.microsoft.com/azure/azure-monitor/alerts/alerts-create-metric-alert-rule"
QUERY_ALERTS = "https://learn.microsoft.com/azure/azure-monitor/alerts/alerts-create-log-alert-rule"

ENTITY = frozenset({"EntityName"})
ANSWERED = frozenset({"EntityName", "OperationResult", "MessagingErrorSubCode"})
METRICS: Mapping[str, tuple[frozenset[str], frozenset[str]]] = {
    **dict.fromkeys(
        ("ActiveMessages", "DeadletteredMessages", "Messages", "ScheduledMessages", "Size"),
        (ENTITY, frozenset({"Average", "Minimum", "Maximum"})),
    ),
    **dict.fromkeys(
        ("AbandonMessage", "CompleteMessage", "IncomingMessages", "IncomingRequests", "OutgoingMessages"),
        (ENTITY, frozenset({"Total"})),
    ),
    **dict.fromkeys(
        ("ServerErrors", "SuccessfulRequests", "ThrottledRequests", "UserErrors"), (ANSWERED, frozenset({"Total"}))
    ),
    "ServerSendLatency": (ENTITY, frozenset({"Average"})),
    "PendingCheckpointOperationCount": (frozenset(), frozenset({"Total"})),
    **dict.fromkeys(("ActiveConnections", "ConnectionsClosed", "ConnectionsOpened"), (ENTITY, frozenset())),
    **dict.fromkeys(
        ("NamespaceCpuUsage", "NamespaceMemoryUsage"),
        (frozenset({"Replica"}), frozenset({"Average", "Minimum", "Maximum"})),
    ),
}
"""Metrics of Service Bus, each with its dimensions and aggregations; those of an empty set are not checked. See METRICS_PAGE."""


def _metrics(inputs: Values) -> Violations:
    for place, criteria in values_at(inputs, "criteria.allOf"):
        for index, criterion in enumerate(criteria):
            yield from _metric(f"{place}[{index}]", criterion)


def _metric(place: str, criterion: Values) -> Violations:
    if criterion.get("metricNamespace") not in {"Microsoft.ServiceBus/namespaces", None}:
        return
    name = criterion.get("metricName", "")
    if name not in METRICS:
        yield f"{place}.metricName", name
        return
    dimensions, aggregations = METRICS[name]
    if aggregations and criterion.get("timeAggregation") not in aggregations:
        yield f"{place}.timeAggregation", criterion.get("timeAggregation")
    for dimension in criterion.get("dimensions") or ():
        if dimension["name"] not in dimensions:
            yield f"{place}.dimensions", dimension["name"]


def _frequency(inputs: Values) -> Violations:
    every, window = seconds(inputs.get("evaluationFrequency")), seconds(inputs.get("windowSize"))
    if every is not None and window is not None and every > window:
        yield "evaluationFrequency", inputs["evaluationFrequency"]


def _failing(inputs: Values) -> Violations:
    for place, periods in values_at(inputs, "criteria.allOf.failingPeriods"):
        if periods.get("minFailingPeriodsToAlert", 1) > periods.get("numberOfEvaluationPeriods", 1):
            yield f"{place}.minFailingPeriodsToAlert", periods["minFailingPeriodsToAlert"]


def _told_apart(inputs: Values) -> Violations:
    """Yield queries of several periods whose rows have no time: all periods are then one row, and count as one."""
    for place, criteria in values_at(inputs, "criteria.allOf"):
        for index, criterion in enumerate(criteria):
            periods = first(criterion, "failingPeriods.numberOfEvaluationPeriods")
            text = str(first(criterion, "query"))
            if (
                isinstance(periods, int | float)
                and periods > 1
                and "summarize" in text
                and "bin(TimeGenerated" not in text
            ):
                yield f"{place}[{index}].query", text


def _covered(inputs: Values) -> Violations:
    window = seconds(inputs.get("windowSize")) or 0
    for place, count in values_at(inputs, "criteria.allOf.failingPeriods.numberOfEvaluationPeriods"):
        if window * count > quotas.COVERED_SECONDS:
            yield place, count


RULES: Mapping[str, tuple[Rule, ...]] = {
    "monitor:MetricAlert": (
        rule("Service Bus has no such metric, dimension or aggregation", METRICS_PAGE, _metrics, "criteria.allOf"),
        rule(
            "a metric alert looks back 1, 5, 15 or 30 minutes, 1, 6, 12 or 24 hours",
            METRIC_ALERTS,
            where("windowSize", lambda value: seconds(value) in quotas.METRIC_WINDOWS),
        ),
        rule(
            "a metric alert is evaluated each 1, 5, 15 or 30 minutes, or hour",
            METRIC_ALERTS,
            where("evaluationFrequency", lambda value: seconds(value) in quotas.METRIC_FREQUENCIES),
        ),
        rule("an alert is evaluated at least once a window", METRIC_ALERTS, _frequency),
    ),
    "monitor:ScheduledQueryRule": (
        rule("an alert is evaluated at least once a window", QUERY_ALERTS, _frequency),
        rule(
            f"an alert counts 1 to {quotas.PERIODS} periods",
            QUERY_ALERTS,
            within("criteria.allOf.failingPeriods.numberOfEvaluationPeriods", 1, quotas.PERIODS),
        ),
        rule("no more periods can fail than are counted", QUERY_ALERTS, _failing, "criteria.allOf.failingPeriods"),
        rule(
            "several periods are told apart by TimeGenerated in the query's rows",
            QUERY_ALERTS,
            _told_apart,
            "criteria.allOf.query",
        ),
        rule(
            "windows and periods cover two days at most",
            QUERY_ALERTS,
            _covered,
            "criteria.allOf.failingPeriods.numberOfEvaluationPeriods",
        ),
    ),
}
