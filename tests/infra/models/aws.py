"""botocore's models of AWS's APIs, and the requests that make what a program registers."""

from __future__ import annotations

import functools
import json
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import botocore.session

from cloudqueues.pulumi.aws_queues import ATTRIBUTES
from tests.infra.models.shapes import Shape

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
"""Others, such as timestamps and blobs, are taken as they are."""


def requests(type_: str, inputs: Inputs) -> Iterator[tuple[Shape, dict[str, Any]]]:
    """The calls that make a resource. Raises KeyError for a type that is not in the table."""
    arguments = {key: value for key, value in inputs.items() if not key.startswith("__")}
    for service, operation, parameters in CALLS[type_.removeprefix("aws:")](arguments):
        yield shape(service, operation), {key: value for key, value in parameters.items() if value is not None}


@functools.cache
def shape(service: str, operation: str) -> Shape:
    """The input of an operation."""
    model = _service(service)
    return _of(service, model.operation_model(operation).input_shape)


@functools.cache
def _service(name: str) -> Any:
    return botocore.session.get_session().get_service_model(name)


@functools.cache
def _of(service: str, element: Any) -> Shape:
    said = element.metadata
    fields = {
        name: functools.partial(_of, service, inner) for name, inner in getattr(element, "members", {}).items()
    } if element.type_name == "structure" else {}  # fmt: skip
    inner = {"list": "member", "map": "value"}.get(element.type_name)
    return Shape(
        source=f"botocore {service} {element.name}",
        kind=KINDS.get(element.type_name, "anything"),
        fields=fields,
        required=frozenset(getattr(element, "required_members", ())),
        item=functools.partial(_of, service, getattr(element, inner)) if inner else None,
        key=functools.partial(_of, service, element.key) if element.type_name == "map" else None,
        values=tuple(getattr(element, "enum", ())),
        pattern=said.get("pattern"),
        least=said.get("min"),
        most=said.get("max"),
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
    yield "sqs", "CreateQueue", {"QueueName": inputs["name"], "Attributes": named, "tags": inputs.get("tags")}


def _attribute(name: str) -> Callable[[Inputs], Iterator[Call]]:
    def calls(inputs: Inputs) -> Iterator[Call]:
        attributes = {ATTRIBUTES[name]: inputs[name]}
        yield "sqs", "SetQueueAttributes", {"QueueUrl": inputs["queueUrl"], "Attributes": attributes}

    return calls


def _function(inputs: Inputs) -> Iterator[Call]:
    said = _rest(inputs, "name", "tags", "environment", "code", "kmsKeyArn", "reservedConcurrentExecutions", "publish")
    variables = (inputs.get("environment") or {}).get("variables")
    yield "lambda", "CreateFunction", {
        **said,
        "FunctionName": inputs["name"],
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
    document = inputs["assumeRolePolicy"]
    arguments = {"RoleName": inputs["name"], "AssumeRolePolicyDocument": document, "Tags": _tags(inputs)}
    yield "iam", "CreateRole", {**_rest(inputs, "name", "assumeRolePolicy", "tags"), **arguments}


def _role_policy(inputs: Inputs) -> Iterator[Call]:
    arguments = {"PolicyName": inputs["name"], "RoleName": inputs["role"], "PolicyDocument": inputs["policy"]}
    yield "iam", "PutRolePolicy", {**_rest(inputs, "name", "role", "policy"), **arguments}


def _table(inputs: Inputs) -> Iterator[Call]:
    names = ("name", "hashKey", "attributes", "tags", "ttl", "pointInTimeRecovery", "serverSideEncryption")
    attributes = [
        {"AttributeName": element["name"], "AttributeType": element["type"]} for element in inputs["attributes"]
    ]
    keys = [{"AttributeName": inputs["hashKey"], "KeyType": "HASH"}]
    request = {
        "TableName": inputs["name"],
        "AttributeDefinitions": attributes,
        "KeySchema": keys,
        "Tags": _tags(inputs),
    }
    yield "dynamodb", "CreateTable", {**_rest(inputs, *names), **request}
    if ttl := inputs.get("ttl"):
        yield "dynamodb", "UpdateTimeToLive", {"TableName": inputs["name"], "TimeToLiveSpecification": _pascal(ttl)}
    if (recovery := inputs.get("pointInTimeRecovery")) is not None:
        enabled = {"PointInTimeRecoveryEnabled": recovery["enabled"]}
        arguments = {"TableName": inputs["name"], "PointInTimeRecoverySpecification": enabled}
        yield "dynamodb", "UpdateContinuousBackups", arguments


def _alarm(inputs: Inputs) -> Iterator[Call]:
    yield "cloudwatch", "PutMetricAlarm", {
        **_rest(inputs, "name", "tags", "metricQueries", "dimensions", "okActions"),
        "AlarmName": inputs["name"],
        "Tags": _tags(inputs),
        "OKActions": inputs.get("okActions"),
        "Dimensions": _pairs(inputs.get("dimensions"), "Name", "Value"),
        "Metrics": [_query(element) for element in inputs["metricQueries"]] if "metricQueries" in inputs else None,
    }  # fmt: skip


def _query(element: Inputs) -> dict[str, Any]:
    said = _rest(element, "metric")
    if metric := element.get("metric"):
        named = {**_rest(metric, "period", "stat", "unit"), "Dimensions": _pairs(metric["dimensions"], "Name", "Value")}
        said["MetricStat"] = {"Metric": named, "Period": metric["period"], "Stat": metric["stat"]}
    return said


def _dashboard(inputs: Inputs) -> Iterator[Call]:
    yield "cloudwatch", "PutDashboard", _rest(inputs)


def _log_group(inputs: Inputs) -> Iterator[Call]:
    name = inputs["name"]
    members = {"name", "retentionInDays", "tags", "kmsKeyId"}
    more = {key: value for key, value in inputs.items() if key not in members}
    tags, key = inputs.get("tags"), inputs.get("kmsKeyId")
    yield "logs", "CreateLogGroup", {"logGroupName": name, "tags": tags, "kmsKeyId": key, **more}
    if days := inputs.get("retentionInDays"):
        yield "logs", "PutRetentionPolicy", {"logGroupName": name, "retentionInDays": days}


def _topic(inputs: Inputs) -> Iterator[Call]:
    attributes = {key: str(value) for key, value in _rest(inputs, "name", "tags").items()}
    yield "sns", "CreateTopic", {"Name": inputs["name"], "Attributes": attributes, "Tags": _tags(inputs)}


def _subscription(inputs: Inputs) -> Iterator[Call]:
    yield "sns", "Subscribe", {**_rest(inputs, "topic"), "TopicArn": inputs["topic"]}


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
