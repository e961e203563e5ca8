"""Rules of the stand-ins that no schema states: each with inputs that break it, and with inputs at its limit that do not."""

from __future__ import annotations

import json

import pytest
from pulumi.runtime.proto import provider_pb2

from cloudqueues.pulumi import rules
from cloudqueues.pulumi.provider import Provider
from cloudqueues.pulumi.resources import Cloud
from cloudqueues.pulumi.rules import gcp_run
from cloudqueues.pulumi.rules.checks import seconds
from cloudqueues.pulumi.wire import UNKNOWN, struct
from tests.infra.rule_cases import CASES

ARN = "arn:aws:sqs:eu-west-1:123456789012:"
QUEUE, REDRIVE = "aws:sqs/queue:Queue", "aws:sqs/redrivePolicy:RedrivePolicy"
FUNCTION, MAPPING = "aws:lambda/function:Function", "aws:lambda/eventSourceMapping:EventSourceMapping"
ALARM, LOGS = "aws:cloudwatch/metricAlarm:MetricAlarm", "aws:cloudwatch/logGroup:LogGroup"
BUS, ENTITY = "azure-native:servicebus:Namespace", "azure-native:servicebus:Queue"
APP, METRIC, QUERY = (
    "azure-native:web:WebApp",
    "azure-native:monitor:MetricAlert",
    "azure-native:monitor:ScheduledQueryRule",
)
POLICY, TASKS = "gcp:monitoring/alertPolicy:AlertPolicy", "gcp:cloudtasks/queue:Queue"
TOPIC, SUBSCRIPTION = "gcp:pubsub/topic:Topic", "gcp:pubsub/subscription:Subscription"
CLOUD_FUNCTION = "gcp:cloudfunctionsv2/function:Function"


def redrive(queue, dead_letter_queue, receives=1000):
    return {
        "queueUrl": f"https://sqs/1/{queue}",
        "redrivePolicy": json.dumps({"deadLetterTargetArn": ARN + dead_letter_queue, "maxReceiveCount": receives}),
    }


def mapping(queue, **more):
    return {"eventSourceArn": ARN + queue, **more}


def flex(settings=(), config=None, **scale):
    named = [{"name": item, "value": "1"} for item in settings]
    return {
        "name": "shop-orders",
        "functionAppConfig": {"scaleAndConcurrency": scale},
        "siteConfig": {"appSettings": named, **(config or {})},
    }


def metric(name="ActiveMessages", how="Maximum", dimension="EntityName", **more):
    watched = {
        "metricNamespace": "Microsoft.ServiceBus/namespaces",
        "metricName": name,
        "timeAggregation": how,
        "dimensions": [{"name": dimension, "operator": "Include", "values": ["orders"]}],
    }
    return {"criteria": {"allOf": [watched]}, "windowSize": "PT5M", "evaluationFrequency": "PT1M", **more}


def query(periods=3, failing=2, window="PT5M", every="PT5M", text=""):
    counted = {"numberOfEvaluationPeriods": periods, "minFailingPeriodsToAlert": failing}
    condition = {"query": text, "failingPeriods": counted}
    return {"criteria": {"allOf": [condition]}, "windowSize": window, "evaluationFrequency": every}


DEPTH = 'metric.type="cloudtasks.googleapis.com/queue/depth" AND resource.type="cloud_tasks_queue"'


def threshold(**more):
    return {"conditions": [{"conditionThreshold": {"duration": "60s", "comparison": "COMPARISON_GT", **more}}]}


def promql(text="", interval="60s"):
    return {"conditions": [{"conditionPrometheusQueryLanguage": {"query": text, "evaluationInterval": interval}}]}


def alarm(**more):
    return {"namespace": "AWS/SQS", "period": 60, "evaluationPeriods": 1, "dimensions": {"QueueName": "q"}, **more}


TABLE = [
    # type, what passes, what is refused, where, and the rule's words
    (QUEUE, {"name": "orders-1234567"}, {"name": "orders.fifo"}, "name", "a standard queue's name has 1 to 80"),
    (QUEUE, {"name": "q" * 80}, {"name": "q" * 81}, "name", "including what automatic naming adds"),
    (QUEUE, {"name": "q.fifo", "fifoQueue": True}, {"name": "q", "fifoQueue": True}, "name", "ends with .fifo"),
    (
        QUEUE,
        {"name": "q" * 75 + ".fifo", "fifoQueue": True},
        {"name": "q" * 76 + ".fifo", "fifoQueue": True},
        "name",
        "80",
    ),
    (
        QUEUE,
        {"contentBasedDeduplication": False},
        {"contentBasedDeduplication": True},
        "contentBasedDeduplication",
        "only a FIFO",
    ),
    (QUEUE, {}, {"deduplicationScope": "queue"}, "deduplicationScope", "only a FIFO queue has a deduplication scope"),
    (QUEUE, {}, {"fifoThroughputLimit": "perQueue"}, "fifoThroughputLimit", "only a FIFO queue has a throughput limit"),
    (
        QUEUE,
        {"fifoQueue": True, "fifoThroughputLimit": "perMessageGroupId", "deduplicationScope": "messageGroup"},
        {"fifoQueue": True, "fifoThroughputLimit": "perMessageGroupId", "deduplicationScope": "queue"},
        "fifoThroughputLimit",
        "needs the deduplication scope messageGroup",
    ),
    (QUEUE, {"visibilityTimeoutSeconds": 43_200}, {"visibilityTimeoutSeconds": 43_201}, "visibility", "0 to 43,200 s"),
    (QUEUE, {"messageRetentionSeconds": 60}, {"messageRetentionSeconds": 59}, "messageRetention", "60 to 1,209,600 s"),
    (QUEUE, {"receiveWaitTimeSeconds": 20}, {"receiveWaitTimeSeconds": 21}, "receiveWait", "a poll waits 0 to 20 s"),
    (QUEUE, {"delaySeconds": 900}, {"delaySeconds": 901}, "delaySeconds", "delays by 0 to 900 s"),
    (QUEUE, {"maxMessageSize": 1_048_576}, {"maxMessageSize": 1_048_577}, "maxMessageSize", "1,024 to 1,048,576 bytes"),
    (
        REDRIVE,
        redrive("q.fifo", "d.fifo"),
        redrive("q.fifo", "d"),
        "redrivePolicy",
        "of a FIFO queue is a FIFO queue",
    ),
    (REDRIVE, redrive("q", "d"), redrive("q", "d.fifo"), "redrivePolicy", "that of a standard queue a standard queue"),
    (REDRIVE, redrive("q", "d"), redrive("q", "d", 1001), "redrivePolicy", "maxReceiveCount is 1 to 1,000"),
    (
        QUEUE,
        {**redrive("", "d"), "queueUrl": None, "name": "q"},
        {**redrive("", "d.fifo"), "queueUrl": None, "name": "q"},
        "redrivePolicy",
        "that of a standard queue a standard queue",
    ),
    (QUEUE, redrive("q", "d"), redrive("q", "d", 0), "redrivePolicy", "maxReceiveCount is 1 to 1,000"),
    (FUNCTION, {"name": "f" * 64}, {"name": "f" * 65}, "name", "a name has 1 to 64 characters"),
    (FUNCTION, {"timeout": 1800}, {"timeout": 1801}, "timeout", "a function runs for 1 to 1,800 s"),
    (
        FUNCTION,
        {"timeout": 5400, "capacityProviderConfig": {"a": 1}},
        {"timeout": 5401, "capacityProviderConfig": {"a": 1}},
        "timeout",
        "on managed instances it runs for 1 to 5,400 s",
    ),
    (FUNCTION, {"memorySize": 128}, {"memorySize": 64}, "memorySize", "128 to 10,240 MB"),
    (
        MAPPING,
        mapping("q.fifo"),
        mapping("q.fifo", maximumBatchingWindowInSeconds=1),
        "maximumBatching",
        "has no batching window",
    ),
    (
        MAPPING,
        mapping("q.fifo", batchSize=10),
        mapping("q.fifo", batchSize=11),
        "batchSize",
        "up to 10 messages an event",
    ),
    (
        MAPPING,
        mapping("q", batchSize=11, maximumBatchingWindowInSeconds=1),
        mapping("q", batchSize=11),
        "maximumBatchingWindowInSeconds",
        "need a window of a second",
    ),
    (
        MAPPING,
        mapping("q", maximumBatchingWindowInSeconds=300),
        mapping("q", maximumBatchingWindowInSeconds=301),
        "maximumBatching",
        "a window is 0 to 300 s",
    ),
    (
        MAPPING,
        {"scalingConfig": {"maximumConcurrency": 2}},
        {"scalingConfig": {"maximumConcurrency": 1}},
        "scalingConfig.maximumConcurrency",
        "2 to 1,000",
    ),
    (
        MAPPING,
        mapping("q", provisionedPollerConfig={"minimumPollers": 200, "maximumPollers": 10_000}),
        mapping("q", provisionedPollerConfig={"minimumPollers": 1}),
        "provisionedPollerConfig.minimumPollers",
        "2 to 200 at least",
    ),
    (
        MAPPING,
        mapping("q", provisionedPollerConfig={"maximumPollers": 10_000}),
        mapping("q", provisionedPollerConfig={"maximumPollers": 10_001}),
        "provisionedPollerConfig.maximumPollers",
        "2 to 10,000 at most",
    ),
    (
        MAPPING,
        mapping("q", scalingConfig={"maximumConcurrency": 5}),
        mapping("q", scalingConfig={"maximumConcurrency": 5}, provisionedPollerConfig={"maximumPollers": 5}),
        "provisionedPollerConfig",
        "exclude each other",
    ),
    ("aws:iam/role:Role", {"name": "r" * 64}, {"name": "r" * 65}, "name", "a name has 1 to 64 characters"),
    ("aws:iam/rolePolicy:RolePolicy", {"name": "p" * 128}, {"name": "p" * 129}, "name", "1 to 128 characters"),
    ("aws:dynamodb/table:Table", {"name": "abc"}, {"name": "ab"}, "name", "3 to 255 characters"),
    (ALARM, alarm(period=30), alarm(period=45), "period", "10, 20 or 30 s, or a multiple of 60"),
    (
        ALARM,
        {"metricQueries": [{"metric": {"period": 60}}]},
        {"metricQueries": [{"metric": {"period": 45}}]},
        "metricQueries[0].metric.period",
        "a multiple of 60",
    ),
    (
        ALARM,
        alarm(period=300, evaluationPeriods=288),
        alarm(period=300, evaluationPeriods=289),
        "evaluationPeriods",
        "a day",
    ),
    (ALARM, alarm(), alarm(dimensions={"Queue": "q"}), "dimensions", "the service's metrics have no such dimension"),
    (
        ALARM,
        {"metricQueries": [{"metric": {"namespace": "AWS/Lambda", "dimensions": {"FunctionName": "f"}}}]},
        {"metricQueries": [{"metric": {"namespace": "AWS/Lambda", "dimensions": {"QueueName": "q"}}}]},
        "metricQueries[0].metric.dimensions",
        "no such dimension",
    ),
    (LOGS, {"retentionInDays": 90}, {"retentionInDays": 91}, "retentionInDays", "certain numbers of days only"),
    (BUS, {"namespaceName": "shop-bus"}, {"namespaceName": "bus"}, "namespaceName", "6 to 50 letters"),
    (ENTITY, {"queueName": "orders"}, {"queueName": "orders-"}, "queueName", "ends with a letter or digit"),
    (ENTITY, {"lockDuration": "PT5M"}, {"lockDuration": "PT6M"}, "lockDuration", "a lock is 5 to 300 s"),
    (ENTITY, {"maxDeliveryCount": 2000}, {"maxDeliveryCount": 2001}, "maxDeliveryCount", "1 to 2,000 times"),
    (ENTITY, {"autoDeleteOnIdle": "PT5M"}, {"autoDeleteOnIdle": "PT1M"}, "autoDeleteOnIdle", "after 300 s or more"),
    (
        ENTITY,
        {"duplicateDetectionHistoryTimeWindow": "P7D"},
        {"duplicateDetectionHistoryTimeWindow": "P8D"},
        "duplicateDetectionHistoryTimeWindow",
        "20 to 604,800 s",
    ),
    (ENTITY, {"queueName": "a", "forwardTo": "b"}, {"queueName": "a", "forwardTo": "a"}, "forwardTo", "to itself"),
    ("azure-native:servicebus:Topic", {"topicName": "t"}, {"topicName": "-t"}, "topicName", "a topic's name"),
    (
        "azure-native:servicebus:Subscription",
        {"subscriptionName": "s" * 50},
        {"subscriptionName": "s" * 51},
        "subscriptionName",
        "1 to 50 characters",
    ),
    (
        "azure-native:storage:StorageAccount",
        {"accountName": "a" * 24},
        {"accountName": "a" * 25},
        "accountName",
        "3 to 24 lowercase letters and digits",
    ),
    (
        "azure-native:storage:BlobContainer",
        {"containerName": "a-b"},
        {"containerName": "a--b"},
        "containerName",
        "single hyphens",
    ),
    (
        "azure-native:storage:Table",
        {"tableName": "leases"},
        {"tableName": "my-leases"},
        "tableName",
        "letters and digits",
    ),
    ("azure-native:web:AppServicePlan", {"name": "p" * 60}, {"name": "p" * 61}, "name", "1 to 60"),
    (APP, {"name": "a" * 60}, {"name": "a" * 61}, "name", "2 to 60 letters"),
    (
        APP,
        flex(["PEEKLOCK_STORE"]),
        flex(["FUNCTIONS_WORKER_RUNTIME"]),
        "siteConfig.appSettings[0].name",
        "refuses this app setting",
    ),
    (APP, flex(), flex(["WEBSITE_RUN_FROM_PACKAGE"]), "siteConfig.appSettings[0].name", "Flex Consumption refuses"),
    (
        APP,
        flex() | {"virtualNetworkSubnetId": "/a_b/subnets/apps"},
        flex() | {"virtualNetworkSubnetId": "/a_b/subnets/apps_1"},
        "virtualNetworkSubnetId",
        "no subnet with an underscore",
    ),
    (APP, flex(), flex(config={"alwaysOn": True}), "siteConfig.alwaysOn", "Flex Consumption refuses this property"),
    (
        APP,
        flex(),
        flex(config={"functionAppScaleLimit": 5}),
        "siteConfig.functionAppScaleLimit",
        "refuses this property",
    ),
    (
        APP,
        flex(instanceMemoryMB=512),
        flex(instanceMemoryMB=1024),
        "functionAppConfig.scaleAndConcurrency.instanceMemoryMB",
        "one of (512, 2048, 4096) MB",
    ),
    (
        APP,
        flex(maximumInstanceCount=1000),
        flex(maximumInstanceCount=1001),
        "functionAppConfig.scaleAndConcurrency.maximumInstanceCount",
        "1 to 1,000 instances",
    ),
    (METRIC, metric(), metric(dimension="QueueName"), "criteria.allOf[0].dimensions", "no such metric, dimension"),
    (METRIC, metric(), metric("ActiveMessage"), "criteria.allOf[0].metricName", "Service Bus has no such metric"),
    (
        METRIC,
        metric("CompleteMessage", "Total"),
        metric("CompleteMessage"),
        "criteria.allOf[0].timeAggregation",
        "aggregation",
    ),
    (METRIC, metric(windowSize="PT24H"), metric(windowSize="PT10M"), "windowSize", "looks back 1, 5, 15 or 30 minutes"),
    (METRIC, metric(), metric(evaluationFrequency="PT2M"), "evaluationFrequency", "is evaluated each 1, 5, 15"),
    (METRIC, metric(), metric(evaluationFrequency="PT15M"), "evaluationFrequency", "at least once a window"),
    (QUERY, query(), query(every="PT10M"), "evaluationFrequency", "at least once a window"),
    (QUERY, query(periods=6), query(periods=7), "criteria.allOf[0].failingPeriods.numberOf", "counts 1 to 6 periods"),
    (
        QUERY,
        query(text="T | summarize n = count() by bin(TimeGenerated, 5m)"),
        query(text="T | summarize n = count()"),
        "criteria.allOf[0].query",
        "several periods are told apart by TimeGenerated",
    ),
    (QUERY, query(), query(failing=4), "criteria.allOf[0].failingPeriods.minFailing", "no more periods can fail"),
    (
        QUERY,
        query(2, window="P1D"),
        query(3, window="P1D"),
        "criteria.allOf[0].failingPeriods.number",
        "two days at most",
    ),
    (
        "azure-native:operationalinsights:Workspace",
        {"workspaceName": "logs", "retentionInDays": 730},
        {"workspaceName": "logs", "retentionInDays": 731},
        "retentionInDays",
        "30 to 730 days",
    ),
    (
        "azure-native:operationalinsights:Workspace",
        {"workspaceName": "logs"},
        {"workspaceName": "log"},
        "workspaceName",
        "4 to 63 letters",
    ),
    (
        POLICY,
        threshold(evaluationMissingData="EVALUATION_MISSING_DATA_INACTIVE"),
        threshold(evaluationMissingData="EVALUATION_MISSING_DATA_INACTIVE", duration="0s"),
        "conditions[0].conditionThreshold.evaluationMissingData",
        "needs a duration of 60 s or more",
    ),
    (
        POLICY,
        threshold(duration="0s"),
        threshold(duration="90s"),
        "conditions[0].conditionThreshold.duration",
        "of a minute",
    ),
    (
        POLICY,
        threshold(aggregations=[{"alignmentPeriod": "60s"}]),
        threshold(aggregations=[{"alignmentPeriod": "30s"}]),
        "conditions[0].conditionThreshold.aggregations[0].alignmentPeriod",
        "a minute to 25 hours",
    ),
    (
        POLICY,
        threshold(),
        threshold(comparison="COMPARISON_GE"),
        "conditions[0].conditionThreshold.comparison",
        "only COMP",
    ),
    (
        POLICY,
        threshold(filter=f'{DEPTH} AND resource.labels.queue_id="q"'),
        threshold(filter=f'{DEPTH} AND resource.labels.queue="q"'),
        "conditions[0].conditionThreshold.filter",
        "its resource has no such label",
    ),
    (
        POLICY,
        threshold(filter=DEPTH),
        threshold(filter=DEPTH.replace("cloud_tasks_queue", "pubsub_subscription")),
        "conditions[0].conditionThreshold.filter",
        "the metric is of another resource",
    ),
    (
        POLICY,
        promql('sum(a:b{monitored_resource="cloud_run_revision",service_name="s"})'),
        promql('sum(a:b{monitored_resource="cloud_run_revision",queue_id="s"})'),
        "conditions[0].conditionPrometheusQueryLanguage.query",
        "the metric's resource has no such label",
    ),
    (POLICY, promql(interval="30s"), promql(interval="45s"), "conditions[0].conditionPrometheus", "a multiple of 30 s"),
    (TASKS, {"name": "shop-orders"}, {"name": "shop_orders"}, "name", "1 to 100 letters, digits and hyphens"),
    (
        TASKS,
        {"rateLimits": {"maxDispatchesPerSecond": 500}},
        {"rateLimits": {"maxDispatchesPerSecond": 501}},
        "rateLimits.maxDispatchesPerSecond",
        "up to 500 tasks a second",
    ),
    (
        TASKS,
        {"rateLimits": {"maxConcurrentDispatches": 5000}},
        {"rateLimits": {"maxConcurrentDispatches": 5001}},
        "rateLimits.maxConcurrentDispatches",
        "up to 5,000 tasks",
    ),
    (TOPIC, {"name": "dead-letters"}, {"name": "goog-dead-letters"}, "name", "not with goog"),
    (SUBSCRIPTION, {"name": "dead-letters"}, {"name": "1st"}, "name", "begins with a letter"),
    (SUBSCRIPTION, {"ackDeadlineSeconds": 600}, {"ackDeadlineSeconds": 601}, "ackDeadlineSeconds", "10 to 600 s"),
    (
        SUBSCRIPTION,
        {"messageRetentionDuration": "2678400s"},
        {"messageRetentionDuration": "2678401s"},
        "messageRetentionDuration",
        "600 s to 31 days",
    ),
    (
        SUBSCRIPTION,
        {"expirationPolicy": {"ttl": ""}},
        {"expirationPolicy": {"ttl": "3600s"}},
        "expirationPolicy.ttl",
        "a day",
    ),
    (CLOUD_FUNCTION, {"name": "f" * 63}, {"name": "f" * 64}, "name", "1 to 63 lowercase letters"),
    (
        CLOUD_FUNCTION,
        {"serviceConfig": {"timeoutSeconds": 3600}},
        {"serviceConfig": {"timeoutSeconds": 3601}},
        "serviceConfig.timeoutSeconds",
        "within 3,600 s",
    ),
    (
        CLOUD_FUNCTION,
        {"serviceConfig": {"maxInstanceRequestConcurrency": 1000}},
        {"serviceConfig": {"maxInstanceRequestConcurrency": 1001}},
        "serviceConfig.maxInstanceRequestConcurrency",
        "1 to 1,000 requests at once",
    ),
    (
        CLOUD_FUNCTION,
        {"serviceConfig": {"availableMemory": "8192Mi", "availableCpu": "2"}},
        {"serviceConfig": {"availableMemory": "8192Mi", "availableCpu": "1"}},
        "serviceConfig.availableCpu",
        "needs more CPUs",
    ),
    (
        CLOUD_FUNCTION,
        {"serviceConfig": {"environmentVariables": {"THREADS": "1"}}},
        {"serviceConfig": {"environmentVariables": {"PORT": "1"}}},
        "serviceConfig.environmentVariables.PORT",
        "the platform sets this variable",
    ),
    (
        "gcp:serviceaccount/account:Account",
        {"accountId": "shop-run"},
        {"accountId": "s" * 31},
        "accountId",
        "6 to 30 lowercase letters",
    ),
    ("gcp:firestore/database:Database", {"name": "(default)"}, {"name": "Sh"}, "name", "4 to 63 lowercase letters"),
    ("gcp:storage/bucket:Bucket", {"name": "shop-code"}, {"name": "Shop"}, "name", "3 to 63 lowercase letters"),
    (
        "gcp:logging/projectBucketConfig:ProjectBucketConfig",
        {"retentionDays": 3650},
        {"retentionDays": 3651},
        "retentionDays",
        "1 to 3,650 days",
    ),
    *CASES,
]


@pytest.mark.parametrize(("kind", "good", "bad", "place", "words"), TABLE)
def test_a_rule_is_broken_by_what_breaks_it_only(kind, good, bad, place, words):
    """The report has the property, the value, the rule and its source."""
    assert [said for said in rules.problems(kind, good) if words in said] == []
    (said,) = [said for said in rules.problems(kind, bad) if words in said]
    assert said.startswith(place)
    assert "; see https://" in said


@pytest.mark.parametrize(("period", "most"), [(10, 8640), (1800, 48), (3600, 168), (86_400, 7)])
def test_an_alarm_looks_back_a_day_or_with_periods_of_an_hour_a_week(period, most):
    problems = [rules.problems(ALARM, alarm(period=period, evaluationPeriods=count)) for count in (most, most + 1)]
    assert [any(said.startswith("evaluationPeriods") for said in problem) for problem in problems] == [False, True]


@pytest.mark.parametrize(("window", "most"), [("PT8H", 6), ("PT12H", 4), ("P1D", 2)])
def test_the_periods_of_a_query_alert_cover_two_days(window, most):
    problems = [rules.problems(QUERY, query(periods=count, window=window)) for count in (most, most + 1)]
    place = "criteria.allOf[0].failingPeriods.numberOfEvaluationPeriods"
    assert [any(said.startswith(place) for said in problem) for problem in problems] == [False, True]


def test_all_windows_and_frequencies_of_a_metric_alert():
    """https://learn.microsoft.com/azure/azure-monitor/alerts/alerts-create-metric-alert-rule"""
    frequencies = ["PT1M", "PT5M", "PT15M", "PT30M", "PT1H"]
    windows = [*frequencies, "PT6H", "PT12H", "PT24H"]
    assert [rules.problems(METRIC, metric(windowSize=window)) for window in windows] == [[]] * len(windows)
    often = [metric(windowSize="PT24H", evaluationFrequency=frequency) for frequency in frequencies]
    assert [rules.problems(METRIC, inputs) for inputs in often] == [[]] * len(often)


@pytest.mark.parametrize(
    ("mebibytes", "cpus"),
    [
        (127, 0.08), (128, 0.083), (255, 0.083), (256, 0.166), (511, 0.166), (512, 0.333), (513, 0.5), (1024, 0.5), (1025, 1),
        (4096, 1), (4097, 2), (8192, 2), (8193, 4), (16_384, 4), (16_385, 6), (24_576, 6), (24_577, 8), (32_768, 8),
        (32_769, float("inf")),
    ],
)  # fmt: skip
def test_the_least_cpus_for_the_memory(mebibytes, cpus):
    """https://cloud.google.com/run/docs/configuring/services/memory-limits"""
    assert gcp_run.least_cpus(mebibytes) == cpus


@pytest.mark.parametrize(("cpus", "least"), [(1, 128), (2, 128), (4, 2048), (6, 4096), (8, 4096)])
def test_the_least_memory_for_the_cpus(cpus, least):
    """https://cloud.google.com/run/docs/configuring/services/cpu"""
    assert [gcp_run._too_many(cpus, memory) for memory in (least - 1, least)] == [True, False]
    assert [gcp_run._no_such_number(number, 0) for number in (cpus, 3, 5, 7)] == [False, True, True, True]


def test_a_function_has_a_whole_cpu_from_2_gib():
    assert [gcp_run.FUNCTION.default_cpus(memory) for memory in (2047, 2048)] == [0.5, 1]


def test_each_rule_has_an_error_that_breaks_it():
    """The table above is whole."""
    reports = "\n".join(said for kind, _, bad, _, _ in TABLE for said in rules.problems(kind, bad))
    assert {
        rule.words for candidates in rules.RULES.values() for rule in candidates if rule.words not in reports
    } == set()


def less_known(value):
    """Yield copies of a value, in each of which another part is not known yet."""
    yield UNKNOWN
    for key, inner in value.items() if isinstance(value, dict) else ():
        yield from ({**value, key: item} for item in less_known(inner))
    for index, inner in enumerate(value) if isinstance(value, list) else ():
        yield from ([*value[:index], item, *value[index + 1 :]] for item in less_known(inner))


@pytest.mark.parametrize(("kind", "good", "bad", "place", "words"), TABLE)
def test_what_is_not_known_yet_breaks_nothing(kind, good, bad, place, words):
    """A preview leaves any part of a resource open."""
    candidates = [item for item in less_known(good) if item != UNKNOWN]
    assert [said for item in candidates for said in rules.problems(kind, item) if words in said] == []
    assert all(
        UNKNOWN not in said for item in less_known(bad) if item != UNKNOWN for said in rules.problems(kind, item)
    )


def test_a_stand_in_refuses_what_its_cloud_does():
    """The check comes before anything is made, and sees the name that the resource is given."""
    cloud = Cloud(package="aws", applied={}, recorded=frozenset({FUNCTION}), functions={})
    inputs = struct({"role": "arn:aws:iam::123456789012:role/r", "timeout": 1801, "s3Bucket": "code"})
    asked = provider_pb2.CheckRequest(type=FUNCTION, name="f" * 60, news=inputs, randomSeed=b"seed")
    check_failures = Provider(cloud).Check(asked, None).failures
    assert {item.property for item in check_failures} == {"name", "timeout"}
    assert any("including what automatic naming adds; see https://" in item.reason for item in check_failures)


@pytest.mark.parametrize(
    ("text", "length"),
    [
        ("PT1M", 60),
        ("P14D", 1_209_600),
        ("PT1H30M", 5400),
        ("P", None),
        (60, None),
        ("30s", 30),
        ("1.5s", 1.5),
        ("30", None),
    ],
)
def test_durations_are_read(text, length):
    """Azure writes ISO 8601, and Google seconds."""
    assert seconds(text) == length
