"""CloudFormation template of what a program registered: cfn-lint then judges values, enumerations and what must fit
together, by AWS's own schemas.

Only where both differ is there something to say here; a type that is not in the table is an error, so that none is left out.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

from cfnlint.api import lint
from cfnlint.config import ManualArgs

from cloudqueues.pulumi import fake_outputs
from tests.infra.recording import Recorded, Registration

Values = dict[str, Any]


def findings(recorded: Recorded) -> list[str]:
    """Return the findings of cfn-lint, as `E3505 ShopOrdersMapping: ...`, warnings included."""
    template = json.dumps(of(recorded))
    return sorted(
        f"{match.rule.id} {'/'.join(map(str, match.path[1:3]))}: {match.message}"
        for match in lint(template, config=ManualArgs(regions=[fake_outputs.REGION]))
    )


def of(recorded: Recorded) -> Values:
    """The template. Raises KeyError for a type that it does not know."""
    registrations = [
        registration for registration in recorded.registrations if registration.custom and not registration.read
    ]
    references = _references(registrations)
    resources: Values = {}
    for registration in sorted(registrations, key=lambda each: each.type in MERGED):
        inputs = {key: value for key, value in registration.inputs.items() if not key.startswith("__")}
        if registration.type in MERGED:
            _merge(resources, references, registration)
        else:
            type_, properties = TYPES[registration.type]
            resources[_logical(registration)] = {"Type": type_, "Properties": properties(_linked(inputs, references))}
    return {"AWSTemplateFormatVersion": "2010-09-09", "Resources": resources}


MERGED = {
    "aws:sqs/redrivePolicy:RedrivePolicy": "redrivePolicy",
    "aws:sqs/redriveAllowPolicy:RedriveAllowPolicy": "redriveAllowPolicy",
}
"""Properties of the queue, in CloudFormation."""


def _merge(resources: Values, references: Mapping[str, Any], registration: Registration) -> None:
    """The dead letters' stays without a reference: queue and dead letters would name each other."""
    queue = references[registration.inputs["queueUrl"]]["Ref"]
    policy = json.loads(registration.inputs[MERGED[registration.type]])
    linked = _linked(policy, references) if registration.type.endswith("RedrivePolicy") else policy
    resources[queue]["Properties"][_pascal_key(MERGED[registration.type])] = linked


def _references(registrations: list[Registration]) -> dict[str, Any]:
    references: dict[str, Any] = {}
    for registration in registrations:
        id_, state = fake_outputs.state(registration.type, registration.name, registration.inputs)
        by_arn = (
            {"Ref": _logical(registration)}
            if ":Topic" in registration.type
            else {"Fn::GetAtt": [_logical(registration), "Arn"]}
        )
        if "arn" in state and registration.type in TYPES:
            references[state["arn"]] = by_arn
        if id_.startswith("https://"):
            references[id_] = {"Ref": _logical(registration)}
    return references


def _logical(registration: Registration) -> str:
    words = f"{registration.name}-{registration.type.rsplit(':', 1)[1]}".replace("_", "-").split("-")
    return "".join(word[0].upper() + word[1:] for word in words)


def _linked(value: Any, references: Mapping[str, Any]) -> Any:
    if isinstance(value, str):
        return references.get(value, value)
    if isinstance(value, dict):
        return {key: _linked(item, references) for key, item in value.items()}
    return [_linked(item, references) for item in value] if isinstance(value, list) else value


def _pascal_key(key: str) -> str:
    return key[0].upper() + key[1:]


def _pascal(value: Any) -> Any:
    if isinstance(value, dict):
        if set(value) <= {"Ref", "Fn::GetAtt"}:
            return value
        return {_pascal_key(key): _pascal(item) for key, item in value.items()}
    return [_pascal(item) for item in value] if isinstance(value, list) else value


def _pairs(values: Mapping[str, Any], key: str, value: str) -> list[Values]:
    return [{key: name, value: item} for name, item in sorted(values.items())]


def _plain(**renamed: str) -> Callable[[Values], Values]:
    """In pascal case, but for what has another name; tags as a list."""

    def properties(inputs: Values) -> Values:
        converted = {renamed.get(key) or _pascal_key(key): _pascal(value) for key, value in inputs.items()}
        if "tags" in inputs:
            converted["Tags"] = _pairs(inputs["tags"], "Key", "Value")
        return converted

    return properties


def _documented(key: str, **renamed: str) -> Callable[[Values], Values]:
    """With a policy, which is JSON here and an object there."""
    return lambda inputs: {**_plain(**renamed)(inputs), renamed[key]: json.loads(inputs[key])}


def _queue_policy(inputs: Values) -> Values:
    return {"Queues": [inputs["queueUrl"]], "PolicyDocument": json.loads(inputs["policy"])}


def _function(inputs: Values) -> Values:
    """The code is a stand-in; the variables keep their own names; a version is a resource of its own there."""
    properties = _plain()(
        {key: value for key, value in inputs.items() if key not in {"code", "environment", "publish"}}
    )
    variables = (inputs.get("environment") or {}).get("variables", {})
    return {**properties, "Code": {"ZipFile": "pass"}, "Environment": {"Variables": variables}}


def _mapping(inputs: Values) -> Values:
    """Name the function by a reference: cfn-lint compares its timeout with the queue's, and does not follow a reference
    to an alias."""
    alias = inputs["functionName"]["Fn::GetAtt"][0]
    return {**_plain()(inputs), "FunctionName": {"Ref": alias.removesuffix("LiveAlias") + "Function"}}


def _alias(inputs: Values) -> Values:
    """Name the function by a reference, whose version is a resource of its own there."""
    function = {"Ref": _pascal_words(f"{inputs['functionName']}-Function")}
    return {"Name": inputs["name"], "FunctionName": function, "FunctionVersion": inputs["functionVersion"]}


def _pascal_words(text: str) -> str:
    return "".join(map(_pascal_key, text.split("-")))


def _table(inputs: Values) -> Values:
    renamed = {"hashKey", "attributes", "ttl", "pointInTimeRecovery", "serverSideEncryption"}
    properties = _plain()({key: value for key, value in inputs.items() if key not in renamed})
    if encryption := inputs.get("serverSideEncryption"):
        properties["SSESpecification"] = {
            "SSEEnabled": encryption["enabled"],
            "SSEType": "KMS",
            "KMSMasterKeyId": encryption["kmsKeyArn"],
        }
    return {
        **properties,
        "KeySchema": [{"AttributeName": inputs["hashKey"], "KeyType": "HASH"}],
        "AttributeDefinitions": [
            {"AttributeName": attribute["name"], "AttributeType": attribute["type"]}
            for attribute in inputs["attributes"]
        ],
        "TimeToLiveSpecification": _pascal(inputs["ttl"]),
        "PointInTimeRecoverySpecification": {"PointInTimeRecoveryEnabled": inputs["pointInTimeRecovery"]["enabled"]},
    }


def _alarm(inputs: Values) -> Values:
    different = {"metricQueries", "dimensions"}
    properties = _plain(okActions="OKActions")({key: value for key, value in inputs.items() if key not in different})
    if "dimensions" in inputs:
        properties["Dimensions"] = _pairs(inputs["dimensions"], "Name", "Value")
    if "metricQueries" in inputs:
        properties["Metrics"] = [_query(metric_query) for metric_query in inputs["metricQueries"]]
    return properties


def _query(query: Values) -> Values:
    converted = _pascal({key: value for key, value in query.items() if key != "metric"})
    if "metric" in query:
        metric = {key: query["metric"][key] for key in ("namespace", "metricName")}
        watched = {**_pascal(metric), "Dimensions": _pairs(query["metric"]["dimensions"], "Name", "Value")}
        converted["MetricStat"] = {
            "Metric": watched,
            "Period": query["metric"]["period"],
            "Stat": query["metric"]["stat"],
        }
    return converted


TYPES: Mapping[str, tuple[str, Callable[[Values], Values]]] = {
    "aws:sqs/queue:Queue": (
        "AWS::SQS::Queue",
        _plain(
            messageRetentionSeconds="MessageRetentionPeriod",
            receiveWaitTimeSeconds="ReceiveMessageWaitTimeSeconds",
            visibilityTimeoutSeconds="VisibilityTimeout",
        ),
    ),
    "aws:sqs/queuePolicy:QueuePolicy": ("AWS::SQS::QueuePolicy", _queue_policy),
    "aws:lambda/function:Function": ("AWS::Lambda::Function", _function),
    "aws:lambda/eventSourceMapping:EventSourceMapping": ("AWS::Lambda::EventSourceMapping", _mapping),
    "aws:lambda/alias:Alias": ("AWS::Lambda::Alias", _alias),
    "aws:iam/role:Role": (
        "AWS::IAM::Role",
        _documented("assumeRolePolicy", assumeRolePolicy="AssumeRolePolicyDocument"),
    ),
    "aws:iam/rolePolicy:RolePolicy": (
        "AWS::IAM::RolePolicy",
        lambda inputs: {
            "PolicyName": "may",
            **_documented("policy", policy="PolicyDocument", role="RoleName")(inputs),
        },
    ),
    "aws:dynamodb/table:Table": ("AWS::DynamoDB::Table", _table),
    "aws:cloudwatch/metricAlarm:MetricAlarm": ("AWS::CloudWatch::Alarm", _alarm),
    "aws:cloudwatch/dashboard:Dashboard": ("AWS::CloudWatch::Dashboard", _plain()),
    "aws:cloudwatch/logGroup:LogGroup": ("AWS::Logs::LogGroup", _plain()),
    "aws:sns/topic:Topic": ("AWS::SNS::Topic", _plain()),
    "aws:sns/topicSubscription:TopicSubscription": ("AWS::SNS::Subscription", _plain(topic="TopicArn")),
}
