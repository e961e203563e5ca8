"""What a program registered, as a CloudFormation template: cfn-lint then judges values, enumerations and what must fit
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
    """What cfn-lint says, as `E3505 ShopOrdersMapping: ...`, warnings included."""
    template = json.dumps(of(recorded))
    return sorted(
        f"{one.rule.id} {'/'.join(map(str, one.path[1:3]))}: {one.message}"
        for one in lint(template, config=ManualArgs(regions=[fake_outputs.REGION]))
    )


def of(recorded: Recorded) -> Values:
    """The template. Raises KeyError for a type that it does not know."""
    made = [one for one in recorded.registrations if one.custom and not one.read]
    known = _references(made)
    resources: Values = {}
    for one in sorted(made, key=lambda each: each.type in MERGED):
        inputs = {key: value for key, value in one.inputs.items() if not key.startswith("__")}
        if one.type in MERGED:
            _merge(resources, known, one)
        else:
            type_, properties = TYPES[one.type]
            resources[_logical(one)] = {"Type": type_, "Properties": properties(_linked(inputs, known))}
    return {"AWSTemplateFormatVersion": "2010-09-09", "Resources": resources}


MERGED = {
    "aws:sqs/redrivePolicy:RedrivePolicy": "redrivePolicy",
    "aws:sqs/redriveAllowPolicy:RedriveAllowPolicy": "redriveAllowPolicy",
}
"""Properties of the queue, in CloudFormation."""


def _merge(resources: Values, known: Mapping[str, Any], one: Registration) -> None:
    """The dead letters' stays without a reference: queue and dead letters would name each other."""
    queue = known[one.inputs["queueUrl"]]["Ref"]
    policy = json.loads(one.inputs[MERGED[one.type]])
    linked = _linked(policy, known) if one.type.endswith("RedrivePolicy") else policy
    resources[queue]["Properties"][_pascal_key(MERGED[one.type])] = linked


def _references(made: list[Registration]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for one in made:
        id_, state = fake_outputs.state(one.type, one.name, one.inputs)
        by_arn = {"Ref": _logical(one)} if ":Topic" in one.type else {"Fn::GetAtt": [_logical(one), "Arn"]}
        if "arn" in state and one.type in TYPES:
            found[state["arn"]] = by_arn
        if id_.startswith("https://"):
            found[id_] = {"Ref": _logical(one)}
    return found


def _logical(one: Registration) -> str:
    words = f"{one.name}-{one.type.rsplit(':', 1)[1]}".replace("_", "-").split("-")
    return "".join(word[0].upper() + word[1:] for word in words)


def _linked(value: Any, known: Mapping[str, Any]) -> Any:
    if isinstance(value, str):
        return known.get(value, value)
    if isinstance(value, dict):
        return {key: _linked(one, known) for key, one in value.items()}
    return [_linked(one, known) for one in value] if isinstance(value, list) else value


def _pascal_key(key: str) -> str:
    return key[0].upper() + key[1:]


def _pascal(value: Any) -> Any:
    if isinstance(value, dict):
        if set(value) <= {"Ref", "Fn::GetAtt"}:
            return value
        return {_pascal_key(key): _pascal(one) for key, one in value.items()}
    return [_pascal(one) for one in value] if isinstance(value, list) else value


def _pairs(values: Mapping[str, Any], key: str, value: str) -> list[Values]:
    return [{key: name, value: one} for name, one in sorted(values.items())]


def _plain(**renamed: str) -> Callable[[Values], Values]:
    """In pascal case, but for what has another name; tags as a list."""

    def properties(inputs: Values) -> Values:
        made = {renamed.get(key) or _pascal_key(key): _pascal(value) for key, value in inputs.items()}
        if "tags" in inputs:
            made["Tags"] = _pairs(inputs["tags"], "Key", "Value")
        return made

    return properties


def _documented(key: str, **renamed: str) -> Callable[[Values], Values]:
    """With a policy, which is JSON here and an object there."""
    return lambda inputs: {**_plain(**renamed)(inputs), renamed[key]: json.loads(inputs[key])}


def _queue_policy(inputs: Values) -> Values:
    return {"Queues": [inputs["queueUrl"]], "PolicyDocument": json.loads(inputs["policy"])}


def _function(inputs: Values) -> Values:
    """The code is a stand-in; the variables keep their own names; a version is a resource of its own there."""
    made = _plain()({key: value for key, value in inputs.items() if key not in {"code", "environment", "publish"}})
    variables = (inputs.get("environment") or {}).get("variables", {})
    return {**made, "Code": {"ZipFile": "pass"}, "Environment": {"Variables": variables}}


def _mapping(inputs: Values) -> Values:
    """By a reference to the function, whose timeout cfn-lint compares with the queue's: it does not follow one to an alias."""
    alias = inputs["functionName"]["Fn::GetAtt"][0]
    return {**_plain()(inputs), "FunctionName": {"Ref": alias.removesuffix("LiveAlias") + "Function"}}


def _alias(inputs: Values) -> Values:
    """By a reference to the function, whose version is a resource of its own there."""
    function = {"Ref": _pascal_words(f"{inputs['functionName']}-Function")}
    return {"Name": inputs["name"], "FunctionName": function, "FunctionVersion": inputs["functionVersion"]}


def _pascal_words(text: str) -> str:
    return "".join(map(_pascal_key, text.split("-")))


def _table(inputs: Values) -> Values:
    renamed = {"hashKey", "attributes", "ttl", "pointInTimeRecovery", "serverSideEncryption"}
    made = _plain()({key: value for key, value in inputs.items() if key not in renamed})
    if encryption := inputs.get("serverSideEncryption"):
        made["SSESpecification"] = {
            "SSEEnabled": encryption["enabled"],
            "SSEType": "KMS",
            "KMSMasterKeyId": encryption["kmsKeyArn"],
        }
    return {
        **made,
        "KeySchema": [{"AttributeName": inputs["hashKey"], "KeyType": "HASH"}],
        "AttributeDefinitions": [
            {"AttributeName": one["name"], "AttributeType": one["type"]} for one in inputs["attributes"]
        ],
        "TimeToLiveSpecification": _pascal(inputs["ttl"]),
        "PointInTimeRecoverySpecification": {"PointInTimeRecoveryEnabled": inputs["pointInTimeRecovery"]["enabled"]},
    }


def _alarm(inputs: Values) -> Values:
    different = {"metricQueries", "dimensions"}
    made = _plain(okActions="OKActions")({key: value for key, value in inputs.items() if key not in different})
    if "dimensions" in inputs:
        made["Dimensions"] = _pairs(inputs["dimensions"], "Name", "Value")
    if "metricQueries" in inputs:
        made["Metrics"] = [_query(one) for one in inputs["metricQueries"]]
    return made


def _query(one: Values) -> Values:
    made = _pascal({key: value for key, value in one.items() if key != "metric"})
    if "metric" in one:
        metric = {key: one["metric"][key] for key in ("namespace", "metricName")}
        watched = {**_pascal(metric), "Dimensions": _pairs(one["metric"]["dimensions"], "Name", "Value")}
        made["MetricStat"] = {"Metric": watched, "Period": one["metric"]["period"], "Stat": one["metric"]["stat"]}
    return made


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
