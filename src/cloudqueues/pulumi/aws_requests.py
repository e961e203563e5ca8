"""Requests to AWS that create the resources of a program, and botocore's models of them."""

from __future__ import annotations

import functools
import json
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from cloudqueues import aws_models
from cloudqueues.pulumi.aws_queues import ATTRIBUTES
from cloudqueues.pulumi.shapes import Shape, refused_values
from cloudqueues.pulumi.wire import UNKNOWN

Inputs = Mapping[str, Any]
Call = tuple[str, str, dict[str, Any]]
"""Service, operation and parameters."""

KINDS = {
    "structure": "object",
    "map": "map",
    "list": "list",
    "string": "text",
    "integer": "whole",
    "long": "whole",
    "float": "number",
    "double": "number",
    "boolean": "flag",
}
"""Kinds of values by botocore's type names. Other types, such as timestamps and blobs, are not checked."""


def requests(type_: str, inputs: Inputs) -> Iterator[tuple[Shape, dict[str, Any]]]:
    """Yield the model and the parameters of each call that creates a resource. Raises KeyError for a type that is not in
    CALLS."""
    arguments = {key: value for key, value in inputs.items() if not key.startswith("__")}
    for service, operation, parameters in CALLS[type_.removeprefix("aws:")](arguments):
        yield shape(service, operation), {key: value for key, value in parameters.items() if value is not None}


@functools.cache
def shape(service: str, operation: str) -> Shape:
    """Return the shape of an operation's parameters."""
    return _shape(service, aws_models.service(service).operation_model(operation).input_shape)


@functools.cache
def _shape(service: str, element: Any) -> Shape:
    metadata = element.metadata
    fields = {
        name: functools.partial(_shape, service, inner) for name, inner in getattr(element, "members", {}).items()
    } if element.type_name == "structure" else {}  # fmt: skip
    inner = {"list": "member", "map": "value"}.get(element.type_name)
    return Shape(
        source=f"botocore {service} {element.name}",
        kind=KINDS.get(element.type_name, "anything"),
        fields=fields,
        required=frozenset(getattr(element, "required_members", ())),
        item=functools.partial(_shape, service, getattr(element, inner)) if inner else None,
        key=functools.partial(_shape, service, element.key) if element.type_name == "map" else None,
        values=tuple(getattr(element, "enum", ())),
        pattern=metadata.get("pattern"),
        least=metadata.get("min"),
        most=metadata.get("max"),
    )


def _pascal(value: Any) -> Any:
    if isinstance(value, dict):
        return {key[0].upper() + key[1:]: _pascal(element) for key, element in value.items()}
    return [_pascal(element) for element in value] if isinstance(value, list) else value


def _pairs(values: Mapping[str, Any] | None, key: str, value: str) -> list[dict[str, Any]] | None:
    return None if values is None else [{key: name, value: element} for name, element in values.items()]


def _tags(inputs: Inputs) -> list[dict[str, Any]] | None:
    return _pairs(inputs.get("tags"), "Key", "Value")


def _rest(inputs: Inputs, *but: str) -> dict[str, Any]:
    return dict(_pascal({key: value for key, value in inputs.items() if key not in but}))


def _queue(inputs: Inputs) -> Iterator[Call]:
    text = {key: json.dumps(value) if isinstance(value, bool) else str(value) for key, value in inputs.items()}
    named = {ATTRIBUTES.get(key, key): value for key, value in text.items() if key not in {"name", "tags"}}
    yield "sqs", "CreateQueue", {"QueueName": inputs.get("name"), "Attributes": named, "tags": inputs.get("tags")}


def _attribute(name: str) -> Callable[[Inputs], Iterator[Call]]:
    def calls(inputs: Inputs) -> Iterator[Call]:
        attributes = {ATTRIBUTES[name]: inputs.get(name)}
        yield "sqs", "SetQueueAttributes", {"QueueUrl": inputs.get("queueUrl"), "Attributes": attributes}

    return calls


def _function(inputs: Inputs) -> Iterator[Call]:
    members = _rest(
        inputs, "name", "tags", "environment", "code", "kmsKeyArn", "reservedConcurrentExecutions", "publish"
    )
    variables = (inputs.get("environment") or {}).get("variables")
    yield "lambda", "CreateFunction", {
        **members,
        "FunctionName": inputs.get("name"),
        "Code": {},
        "Environment": {"Variables": variables},
        "Tags": inputs.get("tags"),
        "KMSKeyArn": inputs.get("kmsKeyArn"),
        "Publish": inputs.get("publish"),
    }  # fmt: skip


def _ready(inputs: Inputs) -> Iterator[Call]:
    yield "lambda", "PutProvisionedConcurrencyConfig", _rest(inputs)


def _mapping(inputs: Inputs) -> Iterator[Call]:
    yield "lambda", "CreateEventSourceMapping", {**_rest(inputs, "tags"), "Tags": inputs.get("tags")}


def _role(inputs: Inputs) -> Iterator[Call]:
    document = inputs.get("assumeRolePolicy")
    arguments = {"RoleName": inputs.get("name"), "AssumeRolePolicyDocument": document, "Tags": _tags(inputs)}
    yield "iam", "CreateRole", {**_rest(inputs, "name", "assumeRolePolicy", "tags"), **arguments}


def _role_policy(inputs: Inputs) -> Iterator[Call]:
    arguments = {
        "PolicyName": inputs.get("name"),
        "RoleName": inputs.get("role"),
        "PolicyDocument": inputs.get("policy"),
    }
    yield "iam", "PutRolePolicy", {**_rest(inputs, "name", "role", "policy"), **arguments}


_OF_TABLE = (
    "name",
    "hashKey",
    "rangeKey",
    "attributes",
    "tags",
    "ttl",
    "pointInTimeRecovery",
    "serverSideEncryption",
    "streamEnabled",
    "streamViewType",
)
"""Properties of a table that have other names in the API, or calls of their own."""


def _table(inputs: Inputs) -> Iterator[Call]:
    attributes = [
        {"AttributeName": element.get("name"), "AttributeType": element.get("type")}
        for element in inputs.get("attributes") or ()
    ]
    keys = {"HASH": inputs.get("hashKey"), "RANGE": inputs.get("rangeKey")}
    view = inputs.get("streamViewType") or None
    yield "dynamodb", "CreateTable", {
        **_rest(inputs, *_OF_TABLE),
        "TableName": inputs.get("name"),
        "AttributeDefinitions": attributes,
        "KeySchema": [{"AttributeName": name, "KeyType": kind} for kind, name in keys.items() if name] or None,
        "Tags": _tags(inputs),
        "StreamSpecification": view and {"StreamEnabled": True, "StreamViewType": view},
    }  # fmt: skip
    name = inputs.get("name")
    if ttl := inputs.get("ttl"):
        yield "dynamodb", "UpdateTimeToLive", {"TableName": name, "TimeToLiveSpecification": _pascal(ttl)}
    if (recovery := inputs.get("pointInTimeRecovery")) is not None:
        enabled = {"PointInTimeRecoveryEnabled": recovery.get("enabled")}
        yield "dynamodb", "UpdateContinuousBackups", {"TableName": name, "PointInTimeRecoverySpecification": enabled}


def _alarm(inputs: Inputs) -> Iterator[Call]:
    yield "cloudwatch", "PutMetricAlarm", {
        **_rest(inputs, "name", "tags", "metricQueries", "dimensions", "okActions"),
        "AlarmName": inputs.get("name"),
        "Tags": _tags(inputs),
        "OKActions": inputs.get("okActions"),
        "Dimensions": _pairs(inputs.get("dimensions"), "Name", "Value"),
        "Metrics": [_query(element) for element in inputs["metricQueries"]] if "metricQueries" in inputs else None,
    }  # fmt: skip


def _query(element: Inputs) -> dict[str, Any]:
    query = _rest(element, "metric")
    if metric := element.get("metric"):
        dimensions = _pairs(metric.get("dimensions"), "Name", "Value")
        query["MetricStat"] = {
            "Metric": {**_rest(metric, "period", "stat", "unit", "dimensions"), "Dimensions": dimensions},
            "Period": metric.get("period"),
            "Stat": metric.get("stat"),
            "Unit": metric.get("unit"),
        }
    return query


def _dashboard(inputs: Inputs) -> Iterator[Call]:
    yield "cloudwatch", "PutDashboard", _rest(inputs)


def _log_group(inputs: Inputs) -> Iterator[Call]:
    name = inputs.get("name")
    members = {"name", "retentionInDays", "tags", "kmsKeyId"}
    rest = {key: value for key, value in inputs.items() if key not in members}
    tags, key = inputs.get("tags"), inputs.get("kmsKeyId")
    yield "logs", "CreateLogGroup", {"logGroupName": name, "tags": tags, "kmsKeyId": key, **rest}
    if days := inputs.get("retentionInDays"):
        yield "logs", "PutRetentionPolicy", {"logGroupName": name, "retentionInDays": days}


def _topic(inputs: Inputs) -> Iterator[Call]:
    attributes = {key: str(value) for key, value in _rest(inputs, "name", "tags").items()}
    yield "sns", "CreateTopic", {"Name": inputs.get("name"), "Attributes": attributes, "Tags": _tags(inputs)}


def _subscription(inputs: Inputs) -> Iterator[Call]:
    yield "sns", "Subscribe", {**_rest(inputs, "topic"), "TopicArn": inputs.get("topic")}


CALLS: Mapping[str, Callable[[Inputs], Iterator[Call]]] = {
    "cloudwatch/dashboard:Dashboard": _dashboard,
    "cloudwatch/logGroup:LogGroup": _log_group,
    "cloudwatch/metricAlarm:MetricAlarm": _alarm,
    "dynamodb/table:Table": _table,
    "iam/role:Role": _role,
    "iam/rolePolicy:RolePolicy": _role_policy,
    "lambda/alias:Alias": lambda inputs: iter([("lambda", "CreateAlias", _rest(inputs))]),
    "lambda/provisionedConcurrencyConfig:ProvisionedConcurrencyConfig": _ready,
    "lambda/eventSourceMapping:EventSourceMapping": _mapping,
    "lambda/function:Function": _function,
    "sns/topic:Topic": _topic,
    "sns/topicSubscription:TopicSubscription": _subscription,
    "sqs/queue:Queue": _queue,
    "sqs/queuePolicy:QueuePolicy": _attribute("policy"),
    "sqs/redriveAllowPolicy:RedriveAllowPolicy": _attribute("redriveAllowPolicy"),
    "sqs/redrivePolicy:RedrivePolicy": _attribute("redrivePolicy"),
}

NAMES = {
    "alarmName": "name",
    "attributeDefinitions": "attributes",
    "attributeName": "name",
    "attributeType": "type",
    "logGroupName": "name",
    "metrics": "metricQueries",
    "policyName": "name",
    "queueName": "name",
    "roleName": "name",
    "tableName": "name",
}
"""Names of the API, in camel case, for which Pulumi has others."""


def problems(type_: str, inputs: Inputs) -> list[str]:
    """Return the values that botocore's model refuses, each as `path: problem`, with Pulumi's names in the path.

    Resource types without an entry in CALLS have none.
    """
    if type_.removeprefix("aws:") not in CALLS:
        return []
    refused = {
        _pulumi_path(path): problem
        for model, parameters in requests(type_, _known(inputs))
        for path, problem in refused_values(model, parameters)
    }
    return [f"{path}: {problem}" for path, problem in sorted(refused.items())]


def _known(value: Any) -> Any:
    """Return a value without its parts that are unknown until a real run."""
    if isinstance(value, Mapping):
        return {key: _known(inner) for key, inner in value.items() if inner not in (UNKNOWN, None)}
    return [_known(inner) for inner in value if inner not in (UNKNOWN, None)] if isinstance(value, list) else value


def _pulumi_path(path: str) -> str:
    """Return a path of the API as Pulumi writes it: `Metrics[0].MetricStat.Stat` becomes `metricQueries[0].metric.stat`."""
    path = path.replace("MetricStat.Metric.", "Metric.").replace("MetricStat.", "Metric.")
    names = ((part[0].lower() + part[1:]).partition("[") for part in path.split("."))
    return ".".join(f"{NAMES.get(name, name)}{bracket}{index}" for name, bracket, index in names)
