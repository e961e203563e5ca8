"""docs/cost.md: what a stack costs while nothing runs, counted from what the programs register."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.infra.pages.text import link, page, table
from tests.infra.recording import Recorded, Registration
from tests.infra.running import program

Count = Callable[[Registration], float]

HOURS, DAYS = 730, 30
"""Of a month."""

FIRST = """\
Units, and not money: prices differ by region and change. Counted from what the programs register, with two consumers, for a
month in which no message is sent. Computed from the pages that are linked, not measured on a bill."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One line of a bill."""

    what: str
    unit: str
    source: str
    count: Count = lambda _: 1
    """Of one resource."""


def _long_polls(mapping: Registration) -> float:
    """Five pollers, each with a long poll of 20 s. https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-scaling.html"""
    return 5 * DAYS * 86_400 / 20 if mapping.inputs.get("enabled", True) else 0


def _metrics(alarm: Registration) -> float:
    """An expression is paid by the metrics in it."""
    queries = alarm.inputs.get("metricQueries")
    return 1 if queries is None else sum("metric" in query for query in queries)


def _conditions(policy: Registration) -> float:
    return len(policy.inputs["conditions"])


def _criteria(alert: Registration) -> float:
    return len(alert.inputs["criteria"]["allOf"])


SQS, DYNAMO = "https://aws.amazon.com/sqs/pricing/", "https://aws.amazon.com/dynamodb/pricing/"
WATCH = "https://aws.amazon.com/cloudwatch/pricing/"
BUS = "https://azure.microsoft.com/pricing/details/service-bus/"
STORED = "https://azure.microsoft.com/pricing/details/storage/blobs/"
MONITOR = "https://azure.microsoft.com/pricing/details/monitor/"
RUN, TASKS = "https://cloud.google.com/run/pricing", "https://cloud.google.com/tasks/pricing"
OBSERVED = "https://cloud.google.com/stackdriver/pricing"
FIRESTORE, PUBSUB = "https://cloud.google.com/firestore/pricing", "https://cloud.google.com/pubsub/pricing"
OBJECTS = "https://cloud.google.com/storage/pricing"

LINES: Mapping[str, Line] = {
    "aws:lambda/eventSourceMapping:EventSourceMapping": Line(
        what="long polls of Lambda", unit="SQS requests", source=SQS, count=_long_polls
    ),
    "aws:cloudwatch/metricAlarm:MetricAlarm": Line(what="alarms", unit="alarm metrics", source=WATCH, count=_metrics),
    "aws:cloudwatch/dashboard:Dashboard": Line(what="dashboard", unit="dashboards", source=WATCH),
    "aws:dynamodb/table:Table": Line(
        what="store, on demand", unit="tables, paid by GB kept (protected ones twice: recovery)", source=DYNAMO
    ),
    "aws:cloudwatch/logGroup:LogGroup": Line(what="logs", unit="log groups, paid by GB kept", source=WATCH),
    "azure-native:servicebus:Namespace": Line(
        what="Service Bus, Standard", unit="hours of the base charge", source=BUS, count=lambda _: HOURS
    ),
    "azure-native:storage:StorageAccount": Line(
        what="storage", unit="accounts, paid by GB kept and by operation", source=STORED
    ),
    "azure-native:monitor:MetricAlert": Line(
        what="alerts on metrics", unit="time series", source=MONITOR, count=_criteria
    ),
    "azure-native:monitor:ScheduledQueryRule": Line(
        what="alerts on logs", unit="rules, each every 5 minutes", source=MONITOR
    ),
    "azure-native:operationalinsights:Workspace": Line(
        what="logs", unit="workspaces, paid by GB taken in, and kept over 31 days", source=MONITOR
    ),
    "gcp:monitoring/alertPolicy:AlertPolicy": Line(
        what="alert policies",
        unit="conditions, paid with the time series they read",
        source=OBSERVED,
        count=_conditions,
    ),
    "gcp:firestore/database:Database": Line(what="store", unit="databases, paid by GB kept", source=FIRESTORE),
    "gcp:pubsub/subscription:Subscription": Line(
        what="dead letters", unit="subscriptions, paid by GB kept over 24 hours", source=PUBSUB
    ),
    "gcp:storage/bucket:Bucket": Line(
        what="bundle, and images of the functions", unit="buckets, paid by GB kept", source=OBJECTS
    ),
    "gcp:logging/projectBucketConfig:ProjectBucketConfig": Line(
        what="logs kept over 30 days", unit="log buckets, paid by GB taken in and kept", source=OBSERVED
    ),
    "gcp:logging/metric:Metric": Line(
        what="metric of failures", unit="log-based metrics, paid by sample, none while idle", source=OBSERVED
    ),
}

IDLE: Mapping[str, tuple[str, str]] = {
    "aws:lambda/function:Function": ("functions", "https://aws.amazon.com/lambda/pricing/"),
    "aws:sqs/queue:Queue": ("queues, but for the long polls", SQS),
    "aws:sns/topic:Topic": ("topics", "https://aws.amazon.com/sns/pricing/"),
    "azure-native:web:AppServicePlan": (
        "function apps without always-ready instances",
        "https://azure.microsoft.com/pricing/details/functions/",
    ),
    "azure-native:servicebus:Queue": ("queues, but for the base charge", BUS),
    "gcp:cloudfunctionsv2/function:Function": ("functions without minimum instances", RUN),
    "gcp:cloudtasks/queue:Queue": ("queues", TASKS),
    "gcp:pubsub/topic:Topic": ("topics", PUBSUB),
}
"""What is paid by use, and idle is not used."""

NEVER = frozenset(
    {
        "aws:iam/role:Role",
        "aws:iam/rolePolicy:RolePolicy",
        "aws:sns/topicSubscription:TopicSubscription",
        "aws:sqs/queuePolicy:QueuePolicy",
        "aws:sqs/redriveAllowPolicy:RedriveAllowPolicy",
        "aws:sqs/redrivePolicy:RedrivePolicy",
        "azure-native:applicationinsights:Component",
        "azure-native:authorization:RoleAssignment",
        "azure-native:managedidentity:UserAssignedIdentity",
        "azure-native:monitor:ActionGroup",
        "azure-native:portal:Dashboard",
        "azure-native:resources:Deployment",
        "azure-native:resources:ResourceGroup",
        "azure-native:storage:Blob",
        "azure-native:storage:BlobContainer",
        "azure-native:storage:Table",
        "azure-native:web:WebApp",
        "azure-native:web:WebAppFtpAllowed",
        "azure-native:web:WebAppScmAllowed",
        "gcp:cloudrunv2/serviceIamMember:ServiceIamMember",
        "gcp:cloudtasks/queueIamMember:QueueIamMember",
        "gcp:firestore/field:Field",
        "gcp:logging/projectSink:ProjectSink",
        "gcp:monitoring/dashboard:Dashboard",
        "gcp:monitoring/notificationChannel:NotificationChannel",
        "gcp:projects/iAMMember:IAMMember",
        "gcp:projects/service:Service",
        "gcp:pubsub/topicIAMMember:TopicIAMMember",
        "gcp:serviceaccount/account:Account",
        "gcp:serviceaccount/iAMMember:IAMMember",
        "gcp:storage/bucketObject:BucketObject",
    }
)
"""Whatever runs."""

CLOUDS = {"aws": "AWS", "azure": "Azure", "gcp": "Google Cloud"}
COLUMNS = ("dev", "prod")


def cost(folder: Path) -> str:
    """`folder` is scratch."""
    sections = [
        (name, _of_cloud([program(cloud, folder / cloud / stack, stack) for stack in COLUMNS]))
        for cloud, name in CLOUDS.items()
    ]
    return page("What an idle stack costs", FIRST, sections)


def _of_cloud(stacks: list[Recorded]) -> str:
    kinds = list(dict.fromkeys(registration.type for stack in stacks for registration in stack.registrations))
    rows = [_row(LINES[kind], kind, stacks) for kind in LINES if kind in kinds]
    idle = [link(*IDLE[kind]) for kind in IDLE if kind in kinds]
    return f"{table(('line', *COLUMNS, 'unit, a month'), rows)}\nNothing while idle: {', '.join(idle)}.\n"


def _row(line: Line, kind: str, stacks: list[Recorded]) -> tuple[str, ...]:
    counts = [sum(line.count(registration) for registration in stack.of(kind)) for stack in stacks]
    return (line.what, *(f"{count:,.0f}" for count in counts), link(line.unit, line.source))


def unknown(recorded: Recorded) -> list[str]:
    """Types of which this page does not know whether they cost something."""
    known_types = {*LINES, *IDLE, *NEVER}
    return sorted(
        {registration.type for registration in recorded.registrations if not registration.type.startswith("peeklock:")}
        - known_types
    )


def always_on(recorded: Recorded) -> list[Any]:
    """Settings that would have instances run, and be paid, while idle."""
    minimums: list[Any] = []
    for registration in recorded.registrations:
        scale = registration.inputs.get("functionAppConfig", {}).get("scaleAndConcurrency", {})
        minimums += [scale.get("alwaysReady"), registration.inputs.get("serviceConfig", {}).get("minInstanceCount")]
    return [minimum for minimum in minimums if minimum]
