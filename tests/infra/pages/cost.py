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
"""Length of a month."""

FIRST = """\
This page counts billable units, not money, because prices differ by region and change. The counts are for a program with two
consumers, in a month in which no message is sent. They are computed from the resources that the programs register and from the
linked pricing pages; nothing was measured on a bill."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One line of a bill."""

    what: str
    unit: str
    source: str
    count: Count = lambda _: 1
    """Units of one resource."""


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
        what="store, on demand",
        unit="tables, charged by GB stored (protected ones twice: point-in-time recovery)",
        source=DYNAMO,
    ),
    "aws:cloudwatch/logGroup:LogGroup": Line(what="logs", unit="log groups, charged by GB stored", source=WATCH),
    "azure-native:servicebus:Namespace": Line(
        what="Service Bus, Standard", unit="hours of the base charge", source=BUS, count=lambda _: HOURS
    ),
    "azure-native:storage:StorageAccount": Line(
        what="storage", unit="accounts, charged by GB stored and by operation", source=STORED
    ),
    "azure-native:monitor:MetricAlert": Line(
        what="alerts on metrics", unit="time series", source=MONITOR, count=_criteria
    ),
    "azure-native:monitor:ScheduledQueryRule": Line(
        what="alerts on logs", unit="rules, each every 5 minutes", source=MONITOR
    ),
    "azure-native:operationalinsights:Workspace": Line(
        what="logs", unit="workspaces, charged by GB ingested, and by GB stored for over 31 days", source=MONITOR
    ),
    "gcp:monitoring/alertPolicy:AlertPolicy": Line(
        what="alert policies",
        unit="conditions, charged with the time series that they read",
        source=OBSERVED,
        count=_conditions,
    ),
    "gcp:firestore/database:Database": Line(what="store", unit="databases, charged by GB stored", source=FIRESTORE),
    "gcp:pubsub/subscription:Subscription": Line(
        what="dead letters", unit="subscriptions, charged by GB stored for over 24 hours", source=PUBSUB
    ),
    "gcp:storage/bucket:Bucket": Line(what="bundle", unit="buckets, charged by GB stored", source=OBJECTS),
    "gcp:artifactregistry/repository:Repository": Line(
        what="images of the functions, kept for 30 days, and the newest five of each",
        unit="repositories, charged by GB stored",
        source="https://cloud.google.com/artifact-registry/pricing",
    ),
    "gcp:logging/projectBucketConfig:ProjectBucketConfig": Line(
        what="logs kept over 30 days", unit="log buckets, charged by GB ingested and stored", source=OBSERVED
    ),
    "gcp:logging/metric:Metric": Line(
        what="metric of failures",
        unit="log-based metrics, charged by sample, of which there are none while idle",
        source=OBSERVED,
    ),
}

IDLE: Mapping[str, tuple[str, str]] = {
    "aws:lambda/function:Function": ("functions", "https://aws.amazon.com/lambda/pricing/"),
    "aws:sqs/queue:Queue": ("queues, except for the long polls", SQS),
    "aws:sns/topic:Topic": ("topics", "https://aws.amazon.com/sns/pricing/"),
    "azure-native:web:AppServicePlan": (
        "function apps without always-ready instances",
        "https://azure.microsoft.com/pricing/details/functions/",
    ),
    "azure-native:servicebus:Queue": ("queues, except for the base charge", BUS),
    "gcp:cloudfunctionsv2/function:Function": ("functions without minimum instances", RUN),
    "gcp:cloudtasks/queue:Queue": ("queues", TASKS),
    "gcp:pubsub/topic:Topic": ("topics", PUBSUB),
}
"""Types that are charged by use only, and are not used while idle."""

NEVER = frozenset(
    {
        "aws:iam/role:Role",
        "aws:iam/rolePolicy:RolePolicy",
        "aws:lambda/alias:Alias",
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
        "gcp:artifactregistry/repositoryIamMember:RepositoryIamMember",
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
"""Types that are never charged."""

CLOUDS = {"aws": "AWS", "azure": "Azure", "gcp": "Google Cloud"}
COLUMNS = ("dev", "prod")


def cost(folder: Path) -> str:
    """Return the page; the programs run in `folder`, which is temporary."""
    sections = [
        (name, _of_cloud([program(cloud, folder / cloud / stack, stack) for stack in COLUMNS]))
        for cloud, name in CLOUDS.items()
    ]
    return page("What an idle stack costs", FIRST, sections)


def _of_cloud(stacks: list[Recorded]) -> str:
    kinds = list(dict.fromkeys(registration.type for stack in stacks for registration in stack.registrations))
    rows = [_row(LINES[kind], kind, stacks) for kind in LINES if kind in kinds]
    idle = [link(*IDLE[kind]) for kind in IDLE if kind in kinds]
    return f"{table(('item', *COLUMNS, 'billed unit, per month'), rows)}\nNot charged while idle: {', '.join(idle)}.\n"


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
