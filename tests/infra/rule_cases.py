"""More inputs for the table of test_rules.py: what was refused or accepted wrongly once, and both ends of each range."""

from __future__ import annotations

import json

from cloudqueues.pulumi.rules.azure_regions import LOCATED
from cloudqueues.pulumi.rules.gcp_enumerations import ENUMERATIONS

ARN = "arn:aws:sqs:eu-west-1:123456789012:"
QUEUE, REDRIVE = "aws:sqs/queue:Queue", "aws:sqs/redrivePolicy:RedrivePolicy"
FUNCTION, MAPPING = "aws:lambda/function:Function", "aws:lambda/eventSourceMapping:EventSourceMapping"
ALARM, ROLE = "aws:cloudwatch/metricAlarm:MetricAlarm", "aws:iam/role:Role"
MAILED = "aws:sns/topicSubscription:TopicSubscription"
BUS, ENTITY = "azure-native:servicebus:Namespace", "azure-native:servicebus:Queue"
TOPIC, SUBSCRIBED = "azure-native:servicebus:Topic", "azure-native:servicebus:Subscription"
APP, SETTINGS = "azure-native:web:WebApp", "azure-native:web:WebAppApplicationSettings"
SUBSCRIPTION = "gcp:pubsub/subscription:Subscription"
CLOUD_FUNCTION, SERVICE = "gcp:cloudfunctionsv2/function:Function", "gcp:cloudrunv2/service:Service"


def redrive(**policy):
    return {"redrivePolicy": json.dumps({"deadLetterTargetArn": f"{ARN}d", "maxReceiveCount": 5, **policy})}


def mapping(**more):
    return {"eventSourceArn": f"{ARN}q", **more}


def pollers(least, most):
    return mapping(provisionedPollerConfig={"minimumPollers": least, "maximumPollers": most})


def filters(*patterns):
    return mapping(filterCriteria={"filters": [{"pattern": pattern} for pattern in patterns]})


def variables(**named):
    return {"environment": {"variables": named}}


def trust(version="2012-10-17", **changed):
    statement = {"Effect": "Allow", "Action": "sts:AssumeRole", "Principal": {"Service": "lambda.amazonaws.com"}}
    statement = {name: value for name, value in {**statement, **changed}.items() if value is not None}
    return {"assumeRolePolicy": json.dumps({"Version": version, "Statement": [statement]})}


def on(tier, **inputs):
    return {"namespaceName": "shop-bus", "__parent": {"sku": {"name": tier}}, **inputs}


def settings(*names):
    return {"functionAppConfig": {"a": 1}, "siteConfig": {"appSettings": [{"name": name} for name in names]}}


def config(**service):
    return {"serviceConfig": service}


def sized(cpu, memory="256Mi", **more):
    return config(availableCpu=cpu, availableMemory=memory, **more)


def container(cpu, memory="512Mi", **template):
    return {"template": {"containers": [{"resources": {"limits": {"cpu": cpu, "memory": memory}}}], **template}}


def attempts(number):
    return {"deadLetterPolicy": {"maxDeliveryAttempts": number}}


def backoff(least, most):
    return {"retryPolicy": {"minimumBackoff": least, "maximumBackoff": most}}


CPU, LIMIT = "serviceConfig.availableCpu", "template.containers[0].resources.limits.cpu"
CONCURRENCY = "serviceConfig.maxInstanceRequestConcurrency"
POLLERS = "provisionedPollerConfig."
STREAMS = {
    "bisectBatchOnFunctionError": True,
    "maximumRecordAgeInSeconds": 60,
    "maximumRetryAttempts": 3,
    "parallelizationFactor": 2,
    "startingPosition": "LATEST",
    "startingPositionTimestamp": "2026-01-01T00:00:00Z",
    "tumblingWindowInSeconds": 30,
}
BASIC = {
    "requiresSession": True,
    "requiresDuplicateDetection": True,
    "forwardTo": "bills",
    "forwardDeadLetteredMessagesTo": "bills",
}

AWS = [
    (QUEUE, redrive(), {"redrivePolicy": "{no json"}, "redrivePolicy", "a JSON object with deadLetterTargetArn"),
    (QUEUE, redrive(), {"redrivePolicy": '["a"]'}, "redrivePolicy", "a JSON object with deadLetterTargetArn"),
    (QUEUE, redrive(), {"redrivePolicy": '{"maxReceiveCount": 5}'}, "redrivePolicy", "with deadLetterTargetArn"),
    (REDRIVE, redrive(), {"redrivePolicy": f'{{"deadLetterTargetArn": "{ARN}d"}}'}, "redrivePolicy", "maxReceiveCount"),
    (REDRIVE, redrive(maxReceiveCount="5"), redrive(maxReceiveCount="often"), "redrivePolicy", "is 1 to 1,000"),
    (REDRIVE, redrive(maxReceiveCount=1), redrive(maxReceiveCount=None), "redrivePolicy", "is 1 to 1,000"),
    (QUEUE, {"visibilityTimeoutSeconds": 0}, {"visibilityTimeoutSeconds": -1}, "visibilityTimeout", "0 to 43,200 s"),
    (
        QUEUE,
        {"messageRetentionSeconds": 1_209_600},
        {"messageRetentionSeconds": 1_209_601},
        "messageRet",
        "1,209,600 s",
    ),
    (QUEUE, {"receiveWaitTimeSeconds": 0}, {"receiveWaitTimeSeconds": -1}, "receiveWait", "a poll waits 0 to 20 s"),
    (QUEUE, {"delaySeconds": 0}, {"delaySeconds": -1}, "delaySeconds", "delays by 0 to 900 s"),
    (QUEUE, {"maxMessageSize": 1024}, {"maxMessageSize": 1023}, "maxMessageSize", "1,024 to 1,048,576 bytes"),
    (FUNCTION, {"timeout": 1}, {"timeout": 0}, "timeout", "a function runs for 1 to 1,800 s"),
    (FUNCTION, {"memorySize": 10_240}, {"memorySize": 10_241}, "memorySize", "128 to 10,240 MB"),
    (FUNCTION, {"memorySize": 128}, {"memorySize": 127}, "memorySize", "128 to 10,240 MB"),
    (FUNCTION, variables(REGION="x"), variables(AWS_REGION="x"), "environment.variables.AWS_REGION", "reserves this"),
    (FUNCTION, variables(TZ="UTC"), variables(_HANDLER="x"), "environment.variables._HANDLER", "reserves this name"),
    (FUNCTION, variables(A1="x"), variables(A="x"), "environment.variables.A", "begins with a letter and has two"),
    (FUNCTION, variables(A_B="x"), variables(**{"A-B": "x"}), "environment.variables.A-B", "digits and underscores"),
    (FUNCTION, variables(AB="x"), variables(**{"1B": "x"}), "environment.variables.1B", "begins with a letter"),
    (FUNCTION, variables(AB="x" * 4094), variables(AB="x" * 4095), "environment.variables", "up to 4,096 bytes"),
    (MAPPING, mapping(batchSize=1), mapping(batchSize=0), "batchSize", "1 to 10,000 messages an event"),
    (
        MAPPING,
        mapping(batchSize=10_000, maximumBatchingWindowInSeconds=1),
        mapping(batchSize=10_001, maximumBatchingWindowInSeconds=1),
        "batchSize",
        "1 to 10,000 messages an event",
    ),
    (
        MAPPING,
        {"scalingConfig": {"maximumConcurrency": 1000}},
        {"scalingConfig": {"maximumConcurrency": 1001}},
        "scalingConfig.maximumConcurrency",
        "2 to 1,000",
    ),
    (MAPPING, pollers(2, 2), pollers(2, 1), f"{POLLERS}maximumPollers", "2 to 10,000 at most"),
    (MAPPING, pollers(200, 300), pollers(201, 300), f"{POLLERS}minimumPollers", "2 to 200 at least"),
    (MAPPING, pollers(5, 5), pollers(6, 5), f"{POLLERS}minimumPollers", "no more pollers at least than at most"),
    *(
        (
            MAPPING,
            {"eventSourceArn": "arn:aws:kinesis:e:1:stream/s", name: value},
            mapping(**{name: value}),
            name,
            f"{name} is for",
        )
        for name, value in STREAMS.items()
    ),
    (MAPPING, filters(*["{}"] * 10), filters(*["{}"] * 11), "filterCriteria.filters", "up to 10 filters"),
    (MAPPING, filters('{"body": {}}'), filters("body"), "filterCriteria.filters[0].pattern", "is a JSON object"),
    (MAPPING, filters("{}"), filters("[]"), "filterCriteria.filters[0].pattern", "is a JSON object"),
    (
        MAPPING,
        filters(json.dumps({"a": "x" * 4087})),
        filters(json.dumps({"a": "x" * 4088})),
        "filterCriteria.filters[0].pattern",
        "of up to 4,096 characters",
    ),
    (
        ALARM,
        {"datapointsToAlarm": 3, "evaluationPeriods": 3},
        {"datapointsToAlarm": 4, "evaluationPeriods": 3},
        "datapointsToAlarm",
        "no more data points than it evaluates periods",
    ),
    *(
        (ROLE, trust(), bad, "assumeRolePolicy", "MalformedPolicyDocument")
        for bad in (
            {"assumeRolePolicy": "no json"},
            {"assumeRolePolicy": '{"Version": "2012-10-17"}'},
            trust("2012-10-18"),
            trust(Effect="Permit"),
            trust(Action=None),
            trust(Principal=None),
            trust(Resource="*"),
        )
    ),
    (
        ROLE,
        {"assumeRolePolicy": '{"Statement": {"Effect": "Allow", "NotAction": "a", "NotPrincipal": "*"}}'},
        {"assumeRolePolicy": '{"Statement": "Allow"}'},
        "assumeRolePolicy",
        "MalformedPolicyDocument",
    ),
    (
        MAILED,
        {"protocol": "email", "endpoint": "on-call@example.com"},
        {"protocol": "email", "endpoint": "on-call"},
        "endpoint",
        "is an e-mail address",
    ),
    (
        MAILED,
        {"protocol": "https", "endpoint": "https://example.com"},
        {"protocol": "email-json", "endpoint": "https://example.com"},
        "endpoint",
        "is an e-mail address",
    ),
]

AZURE = [
    (BUS, {"namespaceName": "a" * 6}, {"namespaceName": "a" * 5}, "namespaceName", "6 to 50 letters"),
    (BUS, {"namespaceName": "a" * 50}, {"namespaceName": "a" * 51}, "namespaceName", "6 to 50 letters"),
    (
        ENTITY,
        {"queueName": "a", "forwardDeadLetteredMessagesTo": "b"},
        {"queueName": "a", "forwardDeadLetteredMessagesTo": "a"},
        "forwardDeadLetteredMessagesTo",
        "to itself",
    ),
    (ENTITY, {"lockDuration": "PT5S"}, {"lockDuration": "PT4S"}, "lockDuration", "a lock is 5 to 300 s"),
    (ENTITY, {"maxDeliveryCount": 1}, {"maxDeliveryCount": 0}, "maxDeliveryCount", "1 to 2,000 times"),
    (ENTITY, {"autoDeleteOnIdle": "PT300S"}, {"autoDeleteOnIdle": "PT299S"}, "autoDeleteOnIdle", "300 s or more"),
    (
        ENTITY,
        {"duplicateDetectionHistoryTimeWindow": "PT20S"},
        {"duplicateDetectionHistoryTimeWindow": "PT19S"},
        "duplicateDetectionHistoryTimeWindow",
        "20 to 604,800 s",
    ),
    *(
        (ENTITY, on("Standard", **{name: value}), on("Basic", **{name: value}), name, f"the Basic tier has no {name}")
        for name, value in BASIC.items()
    ),
    *(
        (kind, on("Standard"), on("Basic"), "namespaceName", "has no topics and no subscriptions")
        for kind in (TOPIC, SUBSCRIBED)
    ),
    *(
        (kind, on("Premium", **{name: 2048}), on("Standard", **{name: 2048}), name, "only the Premium tier")
        for kind, name in ((ENTITY, "maxMessageSizeInKilobytes"), (TOPIC, "maxMessageSizeInKilobytes"))
    ),
    (
        ENTITY,
        {"maxMessageSizeInKilobytes": 1024},
        {"maxMessageSizeInKilobytes": 1023},
        "maxMessageSizeInKilobytes",
        "1,024 to 102,400 KB",
    ),
    (
        ENTITY,
        {"maxMessageSizeInKilobytes": 102_400},
        {"maxMessageSizeInKilobytes": 102_401},
        "maxMessageSizeInKilobytes",
        "1,024 to 102,400 KB",
    ),
    (ENTITY, {"maxSizeInMegabytes": 1024}, {"maxSizeInMegabytes": 1000}, "maxSizeInMegabytes", "whole gigabytes"),
    (ENTITY, {"maxSizeInMegabytes": 1024}, {"maxSizeInMegabytes": 0}, "maxSizeInMegabytes", "whole gigabytes"),
    (ENTITY, {"maxSizeInMegabytes": 81_920}, {"maxSizeInMegabytes": 82_944}, "maxSizeInMegabytes", "whole gigabytes"),
    (
        TOPIC,
        on("Premium", maxSizeInMegabytes=10_240),
        on("Standard", maxSizeInMegabytes=6144),
        "maxSizeInMegabytes",
        "of this tier has up to 5,120 MB",
    ),
    (
        ENTITY,
        on("Basic", maxSizeInMegabytes=5120),
        on("Basic", maxSizeInMegabytes=6144),
        "maxSizeInMegabytes",
        "of this tier has up to 5,120 MB",
    ),
    (
        APP,
        settings("PEEKLOCK_STORE"),
        settings("Functions_Worker_Runtime"),
        "siteConfig.appSettings[0].name",
        "refuses this app setting",
    ),
    (
        SETTINGS,
        {"name": "shop", "properties": {"FUNCTIONS_WORKER_RUNTIME": "python"}},
        {"name": "shop", "properties": {"functions_worker_runtime": "python"}, "__parent": settings()},
        "properties.functions_worker_runtime",
        "refuses this app setting",
    ),
    (
        "azure-native:operationalinsights:Workspace",
        {"retentionInDays": 30},
        {"retentionInDays": 29},
        "retentionInDays",
        "30 to 730 days",
    ),
]

GCP = [
    (SUBSCRIPTION, attempts(5), attempts(4), "deadLetterPolicy.maxDeliveryAttempts", "delivered 5 to 100 times"),
    (SUBSCRIPTION, attempts(100), attempts(101), "deadLetterPolicy.maxDeliveryAttempts", "delivered 5 to 100 times"),
    (SUBSCRIPTION, backoff("0s", "600s"), backoff("601s", "600s"), "retryPolicy.minimum", "a back-off is 0 to 600 s"),
    (SUBSCRIPTION, backoff("0s", "600s"), backoff("0s", "601s"), "retryPolicy.maximum", "a back-off is 0 to 600 s"),
    (SUBSCRIPTION, backoff("9s", "9s"), backoff("10s", "9s"), "retryPolicy.minimumBackoff", "is not above the maximum"),
    (SUBSCRIPTION, {"ackDeadlineSeconds": 10}, {"ackDeadlineSeconds": 9}, "ackDeadlineSeconds", "10 to 600 s"),
    (
        SUBSCRIPTION,
        {"messageRetentionDuration": "600s"},
        {"messageRetentionDuration": "599s"},
        "messageRetentionDuration",
        "600 s to 31 days",
    ),
    (
        SUBSCRIPTION,
        {"expirationPolicy": {"ttl": "86400s"}},
        {"expirationPolicy": {"ttl": "86399s"}},
        "expirationPolicy.ttl",
        "a day",
    ),
    (CLOUD_FUNCTION, config(timeoutSeconds=1), config(timeoutSeconds=0), "serviceConfig.timeoutSeconds", "3,600 s"),
    *(
        (
            CLOUD_FUNCTION,
            config(environmentVariables={"REVISION": "1"}),
            config(environmentVariables={name: "1"}),
            f"serviceConfig.environmentVariables.{name}",
            "the platform sets this variable",
        )
        for name in (
            "FUNCTION_TARGET",
            "FUNCTION_SIGNATURE_TYPE",
            "K_SERVICE",
            "K_REVISION",
            "K_CONFIGURATION",
            "X_GOOGLE_ANY",
        )
    ),
    *(
        (
            CLOUD_FUNCTION,
            config(secretEnvironmentVariables=[{"key": "REVISION"}]),
            config(secretEnvironmentVariables=[{"key": name}]),
            "serviceConfig.secretEnvironmentVariables",
            "the platform sets this variable",
        )
        for name in ("PORT", "X_GOOGLE_ANY")
    ),
    (
        CLOUD_FUNCTION,
        {"project": "p", "location": "l", "buildConfig": {"dockerRepository": "projects/p/locations/l/repositories/r"}},
        {"project": "p", "location": "l", "buildConfig": {"dockerRepository": "projects/p/locations/m/repositories/r"}},
        "buildConfig.dockerRepository",
        "in the function's region and project",
    ),
    *(
        (
            "gcp:artifactregistry/repository:Repository",
            {"cleanupPolicies": [{"id": "a", "action": "KEEP", "mostRecentVersions": {"keepCount": 5}}]},
            {"cleanupPolicies": [{"id": "a", **bad}]},
            "cleanupPolicies",
            "a clean-up policy deletes by a condition",
        )
        for bad in (
            {"action": "DELETE", "mostRecentVersions": {"keepCount": 5}},
            {"action": "KEEP", "mostRecentVersions": {"keepCount": 5}, "condition": {"olderThan": "1s"}},
        )
    ),
    # fractions of a CPU, by memory
    (CLOUD_FUNCTION, sized("0.1666"), sized("0.165"), CPU, "needs more CPUs"),
    (CLOUD_FUNCTION, sized("0.083", "128Mi"), sized("0.082", "134217728"), CPU, "needs more CPUs"),
    (CLOUD_FUNCTION, sized("0.08", "128M"), sized("0.33", "512Mi"), CPU, "needs more CPUs"),
    (CLOUD_FUNCTION, sized("0.3333", "512Mi"), sized("0.49", "513Mi"), CPU, "needs more CPUs"),
    (CLOUD_FUNCTION, sized("0.5", "1Gi"), sized("0.99", "1025Mi"), CPU, "needs more CPUs"),
    (CLOUD_FUNCTION, sized("500m", "1000M"), sized("500m", "1100M"), CPU, "needs more CPUs"),
    (CLOUD_FUNCTION, sized("1000m", "4Gi"), sized("1000m", "4100Mi"), CPU, "needs more CPUs"),
    (CLOUD_FUNCTION, sized("1", "4G"), sized("1", "4500000Ki"), CPU, "needs more CPUs"),
    (CLOUD_FUNCTION, sized("8", "32Gi"), sized("8", "33Gi"), CPU, "needs more CPUs"),
    (CLOUD_FUNCTION, sized("4", "2Gi"), sized("4", "1Gi"), CPU, "so many CPUs need more memory"),
    (CLOUD_FUNCTION, sized("0.08", "100Mi"), sized("0.07", "100Mi"), CPU, "has 0.08 to 1 CPU, or 2, 4, 6 or 8"),
    (CLOUD_FUNCTION, sized("2"), sized("1.5"), CPU, "has 0.08 to 1 CPU, or 2, 4, 6 or 8"),
    (CLOUD_FUNCTION, sized("1"), sized("one"), CPU, "a limit is a number"),
    (CLOUD_FUNCTION, sized("1"), sized("1", "256 MB"), "serviceConfig.availableMemory", "a limit is a number"),
    (
        CLOUD_FUNCTION,
        sized("1", maxInstanceRequestConcurrency=80),
        sized("0.999", maxInstanceRequestConcurrency=2),
        CONCURRENCY,
        "takes one request at once",
    ),
    (
        CLOUD_FUNCTION,
        config(availableMemory="2Gi", maxInstanceRequestConcurrency=80),
        config(maxInstanceRequestConcurrency=80),
        CONCURRENCY,
        "takes one request at once",
    ),
    (
        CLOUD_FUNCTION,
        sized("0.5", maxInstanceRequestConcurrency=1),
        sized("1", maxInstanceRequestConcurrency=0),
        CONCURRENCY,
        "takes 1 to 1,000 requests",
    ),
    (
        CLOUD_FUNCTION,
        config(minInstanceCount=3, maxInstanceCount=3),
        config(minInstanceCount=4, maxInstanceCount=3),
        "serviceConfig.minInstanceCount",
        "no more instances at least than at most",
    ),
    (
        CLOUD_FUNCTION,
        config(ingressSettings="ALLOW_INTERNAL_ONLY"),
        config(ingressSettings="INTERNAL_ONLY"),
        "serviceConfig.ingressSettings",
        "is one of ",
    ),
    (SERVICE, {"name": "s" * 49}, {"name": "s" * 50}, "name", "1 to 49 lowercase letters"),
    (
        SERVICE,
        {"template": {"timeout": "3600s"}},
        {"template": {"timeout": "3601s"}},
        "template.timeout",
        "1 to 3,600 s",
    ),
    (SERVICE, {"template": {"timeout": "1s"}}, {"template": {"timeout": "0s"}}, "template.timeout", "1 to 3,600 s"),
    (SERVICE, container("1000m"), container("many"), LIMIT, "a limit is a number"),
    (SERVICE, container("1"), container("1", "some"), LIMIT.replace("cpu", "memory"), "a limit is a number"),
    (SERVICE, container("2", "8Gi"), container("1", "8Gi"), LIMIT, "needs more CPUs"),
    (SERVICE, container("6", "4Gi"), container("6", "2Gi"), LIMIT, "so many CPUs need more memory"),
    (SERVICE, container("0.5"), container("3"), LIMIT, "has 0.08 to 1 CPU, or 2, 4, 6 or 8"),
    (
        SERVICE,
        container(None, maxInstanceRequestConcurrency=80),
        container("0.5", maxInstanceRequestConcurrency=80),
        "template.maxInstanceRequestConcurrency",
        "takes one request at once",
    ),
    (
        SERVICE,
        container("1", maxInstanceRequestConcurrency=1000),
        container("1", maxInstanceRequestConcurrency=1001),
        "template.maxInstanceRequestConcurrency",
        "takes 1 to 1,000 requests",
    ),
    (
        SERVICE,
        {"template": {"scaling": {"minInstanceCount": 1}}},
        {"template": {"scaling": {"minInstanceCount": 2, "maxInstanceCount": 1}}},
        "template.scaling.minInstanceCount",
        "no more instances at least than at most",
    ),
    (SERVICE, {"ingress": "INGRESS_TRAFFIC_ALL"}, {"ingress": "all"}, "ingress", "is one of "),
    (
        SERVICE,
        {"template": {"containers": [{"envs": [{"name": "THREADS"}]}]}},
        {"template": {"containers": [{"envs": [{"name": "PORT"}]}]}},
        "template.containers[0].envs[0].name",
        "the platform sets this variable",
    ),
]

ALARM_OF_AVERAGE = {"statistic": "Average"}
TABLE = "aws:dynamodb/table:Table"


def table(*attributes, **more):
    """A table on demand, unless `more` says otherwise."""
    named = [{"name": name, "type": "S"} for name in attributes]
    return {"attributes": named, "hashKey": "id", "billingMode": "PAY_PER_REQUEST", **more}


def index(kind, key):
    return {kind: [{"name": "i", "hashKey": key}]}


PROVISIONED = {"billingMode": "PROVISIONED", "readCapacity": 1, "writeCapacity": 1}
MANAGED = {"packageType": "Image", "imageUri": "123456789012.dkr.ecr.eu-west-1.amazonaws.com/i:1"}
NO_CODE = {"timeout": 1}

VALUES_OF_AWS = [
    (
        QUEUE,
        *({"kmsDataKeyReusePeriodSeconds": value} for value in (60, 10)),
        "kmsDataKey",
        "is used for 60 to 86,400 s",
    ),
    (QUEUE, *({"kmsDataKeyReusePeriodSeconds": value} for value in (86_400, 86_401)), "kmsDataKey", "60 to 86,400 s"),
    (QUEUE, {"policy": "{}"}, {"policy": "{no"}, "policy", "policy is a JSON object"),
    (QUEUE, {"policy": ""}, {"policy": "[]"}, "policy", "policy is a JSON object"),
    (QUEUE, {}, {"redriveAllowPolicy": "{no"}, "redriveAllowPolicy", "redriveAllowPolicy is a JSON object"),
    ("aws:sqs/queuePolicy:QueuePolicy", {"policy": "{}"}, {"policy": "{no"}, "policy", "policy is a JSON object"),
    (
        "aws:sqs/redriveAllowPolicy:RedriveAllowPolicy",
        {"redriveAllowPolicy": "{}"},
        {"redriveAllowPolicy": "no"},
        "redriveAllowPolicy",
        "is a JSON object",
    ),
    ("aws:iam/rolePolicy:RolePolicy", {"policy": {"a": 1}}, {"policy": "{no"}, "policy", "a policy is a JSON object"),
    (ALARM, {"treatMissingData": "ignore"}, {"treatMissingData": "ignored"}, "treatMissingData", "one of breaching, "),
    (
        ALARM,
        {"extendedStatistic": "p99"},
        {**ALARM_OF_AVERAGE, "extendedStatistic": "p99"},
        "extendedStatistic",
        "exclude each other",
    ),
    (FUNCTION, {"s3Bucket": "b"}, NO_CODE, "code", "a function has code"),
    (FUNCTION, {"filename": "f.zip"}, {"packageType": "Zip"}, "code", "a function has code"),
    (FUNCTION, {"code": {"archive": 1}}, {"imageUri": MANAGED["imageUri"]}, "code", "a function has code"),
    (FUNCTION, MANAGED, {"packageType": "Image", "s3Bucket": "b"}, "imageUri", "a function has code"),
    (TABLE, {}, {"attributes": [{"name": "id", "type": "S"}]}, "hashKey", "a table has a hash key"),
    (TABLE, table("id"), table("key", **index("localSecondaryIndexes", "key")), "hashKey", "is one of the table's"),
    (
        TABLE,
        table("id", "at", rangeKey="at"),
        table("id", rangeKey="at"),
        "rangeKey",
        "is one of the table's attributes",
    ),
    (
        TABLE,
        table("id", "key", **index("globalSecondaryIndexes", "key")),
        table("id", **index("globalSecondaryIndexes", "key")),
        "globalSecondaryIndexes[0].hashKey",
        "is one of the table's attributes",
    ),
    (
        TABLE,
        table("id", "key", **index("localSecondaryIndexes", "key")),
        table("id", "key"),
        "attributes[1].name",
        "is a key of the table or of an index",
    ),
    (
        TABLE,
        table("id", **PROVISIONED),
        table("id", **{**PROVISIONED, "readCapacity": 0}),
        "readCapacity",
        "has a capacity",
    ),
    (
        TABLE,
        table("id"),
        table("id", billingMode="PROVISIONED", readCapacity=1),
        "writeCapacity",
        "has a capacity of 1",
    ),
    (
        TABLE,
        table("key", restoreSourceName="t"),
        table("key", **index("localSecondaryIndexes", "key")),
        "hashKey",
        "one of",
    ),
]

GROUP = "azure-native:resources:ResourceGroup"


def units(number, tier="Premium", **more):
    return {"sku": {"name": tier, "capacity": number}, **more}


VALUES_OF_AZURE = [
    (GROUP, {"location": "West Europe"}, {"location": "mars"}, "location", "no such region"),
    *(
        (f"azure-native:{kind}", {"location": "westeurope"}, {"location": "westeuropa"}, "location", "no such region")
        for kind in LOCATED
    ),
    (GROUP, {"resourceGroupName": "a_(b)-c.d"}, {"resourceGroupName": "a/b"}, "resourceGroupName", "1 to 90 letters"),
    (GROUP, {"resourceGroupName": "g" * 90}, {"resourceGroupName": "g" * 91}, "resourceGroupName", "1 to 90 letters"),
    (GROUP, {"resourceGroupName": "g"}, {"resourceGroupName": "g."}, "resourceGroupName", "not end with a period"),
    (BUS, units(4), units(3), "sku.capacity", "1, 2, 4, 8, 16 messaging units for each partition"),
    (BUS, units(16), units(32), "sku.capacity", "messaging units for each partition"),
    (
        BUS,
        units(32, premiumMessagingPartitions=4),
        units(2, premiumMessagingPartitions=4),
        "sku.capacity",
        "messaging un",
    ),
    (BUS, units(3, "Standard"), units(0), "sku.capacity", "messaging units for each partition"),
]

BUCKET, DATABASE = "gcp:storage/bucket:Bucket", "gcp:firestore/database:Database"
QUEUE_OF_TASKS, TOPIC_OF_GOOGLE = "gcp:cloudtasks/queue:Queue", "gcp:pubsub/topic:Topic"
ACCOUNT = "shop@my-project.iam.gserviceaccount.com"


def nested(path, value):
    """Inputs with a value at a path."""
    for name in reversed(path.split(".")):
        value = {name: value}
    return value


VALUES_OF_GOOGLE = [
    *(
        (kind, {"location": "europe-west1"}, {"location": "europe-west99"}, "location", "there is no such region")
        for kind in (QUEUE_OF_TASKS, CLOUD_FUNCTION, SERVICE)
    ),
    (QUEUE_OF_TASKS, {"desiredState": "PAUSED"}, {"desiredState": "PAUSE"}, "desiredState", "one of RUNNING, PAUSED"),
    (
        CLOUD_FUNCTION,
        *(nested("buildConfig.runtime", f"python3{n}") for n in (13, 99)),
        "buildConfig.runtime",
        "no such run",
    ),
    (
        CLOUD_FUNCTION,
        config(availableMemory="128M"),
        config(availableMemory="64M"),
        "serviceConfig.avail",
        "128 MB or more",
    ),
    (SERVICE, container("1", "128Mi"), container("1", "100Mi"), LIMIT.replace("cpu", "memory"), "has 128 MB or more"),
    (
        CLOUD_FUNCTION,
        config(serviceAccountEmail=ACCOUNT),
        config(serviceAccountEmail="x"),
        "serviceConfig.serviceAccountEmail",
        "ends with .gserviceaccount.com",
    ),
    (
        SERVICE,
        *(nested("template.serviceAccount", a) for a in (ACCOUNT, "x@y.z")),
        "template.serviceA",
        ".gserviceaccount",
    ),
    (DATABASE, {"locationId": "eur3"}, {"locationId": "eur9"}, "locationId", "no such location of a database"),
    (BUCKET, {"location": "eu"}, {"location": "MARS"}, "location", "no such location of a bucket"),
    (BUCKET, {"location": "EUROPE-WEST1"}, {"location": "europe-west99"}, "location", "no such location of a bucket"),
    (
        BUCKET,
        {"storageClass": "NEARLINE"},
        {"storageClass": "COLD"},
        "storageClass",
        "a storage class is one of STANDARD",
    ),
    (
        BUCKET,
        {"publicAccessPrevention": "enforced"},
        {"publicAccessPrevention": "on"},
        "publicAccessPrevention",
        "one of inherited, enforced",
    ),
    (
        TOPIC_OF_GOOGLE,
        {"messageRetentionDuration": "600s"},
        {"messageRetentionDuration": "5s"},
        "messageRetentionDuration",
        "a topic retains messages for 600 s to 31 days",
    ),
    (
        "gcp:projects/service:Service",
        {"service": "run.googleapis.com"},
        {"service": "nonsense"},
        "service",
        "a service is a DNS name",
    ),
    *(
        (f"gcp:{kind}", nested(path, values[-1]), nested(path, "NO_SUCH_VALUE"), path, f"{path} is one of {values[0]}")
        for kind, paths in ENUMERATIONS.items()
        for path, values in paths.items()
    ),
]

CASES = [*AWS, *AZURE, *GCP, *VALUES_OF_AWS, *VALUES_OF_AZURE, *VALUES_OF_GOOGLE]
