"""Roles, tables, alarms, dashboards, log groups and SNS topics, applied to moto."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

from cloudqueues.pulumi.aws_api import Clients, from_api, no_outputs, none_if_missing, to_api
from cloudqueues.pulumi.resources import ResourceHandler, Values

ALARM = {
    "actionsEnabled": "ActionsEnabled",
    "alarmActions": "AlarmActions",
    "alarmDescription": "AlarmDescription",
    "comparisonOperator": "ComparisonOperator",
    "datapointsToAlarm": "DatapointsToAlarm",
    "evaluationPeriods": "EvaluationPeriods",
    "extendedStatistic": "ExtendedStatistic",
    "metricName": "MetricName",
    "namespace": "Namespace",
    "okActions": "OKActions",
    "period": "Period",
    "statistic": "Statistic",
    "threshold": "Threshold",
    "treatMissingData": "TreatMissingData",
    "unit": "Unit",
}
"""Settings of an alarm. https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/API_PutMetricAlarm.html"""


def handlers(aws: Clients) -> dict[str, ResourceHandler]:
    return {
        "aws:iam/role:Role": _roles(aws["iam"]),
        "aws:iam/rolePolicy:RolePolicy": _role_policies(aws["iam"]),
        "aws:dynamodb/table:Table": _tables(aws["dynamodb"]),
        "aws:cloudwatch/metricAlarm:MetricAlarm": _alarms(aws["cloudwatch"]),
        "aws:cloudwatch/dashboard:Dashboard": _dashboards(aws["cloudwatch"]),
        "aws:cloudwatch/logGroup:LogGroup": _log_groups(aws["logs"]),
        "aws:sns/topic:Topic": _topics(aws["sns"]),
    }


def _put(
    put: Callable[[Values], Any],
    *,
    id_of: Callable[[Values], str],
    read: Callable[[str, Values], Values | None],
    delete: Callable[[str, Values], Any],
    replaces: frozenset[str],
) -> ResourceHandler:
    """Return the handler of a type that one call both creates and updates."""

    def create(inputs: Values) -> tuple[str, Values]:
        put(inputs)
        return id_of(inputs), read(id_of(inputs), inputs) or {}

    def update(_id: str, _olds: Values, news: Values) -> Values:
        put(news)
        return {}

    return ResourceHandler(create=create, read=read, update=update, delete=delete, replaces=replaces)


def _roles(iam: Any) -> ResourceHandler:
    def create(inputs: Values) -> tuple[str, Values]:
        tags = [{"Key": key, "Value": value} for key, value in (inputs.get("tags") or {}).items()]
        iam.create_role(RoleName=inputs["name"], AssumeRolePolicyDocument=inputs["assumeRolePolicy"], Tags=tags)
        return inputs["name"], read(inputs["name"], inputs) or {}

    def read(id_: str, _: Values) -> Values | None:
        answer = none_if_missing(iam.get_role, RoleName=id_)
        if answer is None:
            return None
        role = answer["Role"]
        document = json.dumps(role["AssumeRolePolicyDocument"])
        return {"arn": role["Arn"], "uniqueId": role["RoleId"], "name": id_, "assumeRolePolicy": document}

    def update(id_: str, _: Values, news: Values) -> Values:
        iam.update_assume_role_policy(RoleName=id_, PolicyDocument=news["assumeRolePolicy"])
        return {}

    return ResourceHandler(
        create=create,
        read=read,
        update=update,
        delete=lambda id_, _: none_if_missing(iam.delete_role, RoleName=id_),
        replaces=frozenset({"name", "namePrefix", "path"}),
    )


def _role_policies(iam: Any) -> ResourceHandler:
    def read(id_: str, _: Values) -> Values | None:
        role, _colon, name = id_.partition(":")
        answer = none_if_missing(iam.get_role_policy, RoleName=role, PolicyName=name)
        return None if answer is None else {"role": role, "name": name, "policy": json.dumps(answer["PolicyDocument"])}

    return _put(
        lambda inputs: iam.put_role_policy(
            RoleName=inputs["role"], PolicyName=inputs["name"], PolicyDocument=inputs["policy"]
        ),
        id_of=lambda inputs: f"{inputs['role']}:{inputs['name']}",
        read=read,
        delete=lambda _, state: none_if_missing(
            iam.delete_role_policy, RoleName=state["role"], PolicyName=state["name"]
        ),
        replaces=frozenset({"name", "namePrefix", "role"}),
    )


def _tables(dynamodb: Any) -> ResourceHandler:
    def create(inputs: Values) -> tuple[str, Values]:
        keys = [{"AttributeName": inputs["hashKey"], "KeyType": "HASH"}]
        if "rangeKey" in inputs:
            keys.append({"AttributeName": inputs["rangeKey"], "KeyType": "RANGE"})
        dynamodb.create_table(
            TableName=inputs["name"],
            KeySchema=keys,
            BillingMode=inputs.get("billingMode", "PROVISIONED"),
            AttributeDefinitions=[
                {"AttributeName": attribute["name"], "AttributeType": attribute["type"]}
                for attribute in inputs["attributes"]
            ],
            DeletionProtectionEnabled=inputs.get("deletionProtectionEnabled", False),
        )
        _expire(dynamodb, inputs)
        return inputs["name"], read(inputs["name"], inputs) or {}

    def read(id_: str, state: Values) -> Values | None:
        answer = none_if_missing(dynamodb.describe_table, TableName=id_)
        if answer is None:
            return None
        table = answer["Table"]
        protected = table.get("DeletionProtectionEnabled", False)
        ttl = dynamodb.describe_time_to_live(TableName=id_)["TimeToLiveDescription"]
        expires = {"attributeName": ttl["AttributeName"], "enabled": True} if "AttributeName" in ttl else {}
        wanted = {"ttl": expires} if state.get("ttl", {}).get("enabled") else {}
        return {"arn": table["TableArn"], "name": id_, "deletionProtectionEnabled": protected, **wanted}

    def update(id_: str, olds: Values, news: Values) -> Values:
        if olds.get("deletionProtectionEnabled", False) != news.get("deletionProtectionEnabled", False):
            protected = news.get("deletionProtectionEnabled", False)
            dynamodb.update_table(TableName=id_, DeletionProtectionEnabled=protected)
        if olds.get("ttl") != news.get("ttl"):
            _expire(dynamodb, news)
        return {}

    return ResourceHandler(
        create=create,
        read=read,
        update=update,
        delete=lambda id_, _: none_if_missing(dynamodb.delete_table, TableName=id_),
        replaces=frozenset({"name", "hashKey", "rangeKey"}),
    )


def _expire(dynamodb: Any, inputs: Values) -> None:
    ttl = inputs.get("ttl") or {}
    if ttl.get("attributeName"):
        specification = {"AttributeName": ttl["attributeName"], "Enabled": ttl.get("enabled", False)}
        dynamodb.update_time_to_live(TableName=inputs["name"], TimeToLiveSpecification=specification)


def _dimensions(dimensions: Mapping[str, Any] | None) -> list[dict[str, str]]:
    return [{"Name": name, "Value": value} for name, value in (dimensions or {}).items()]


def _query(inputs: Values) -> dict[str, Any]:
    """Return a metric of an alarm, or an expression over several, as the API expects it."""
    names = {"id": "Id", "expression": "Expression", "label": "Label", "returnData": "ReturnData", "period": "Period"}
    query = to_api(inputs, names)
    if metric := inputs.get("metric"):
        inner = {"Namespace": metric.get("namespace"), "MetricName": metric["metricName"]}
        inner["Dimensions"] = _dimensions(metric.get("dimensions"))
        query["MetricStat"] = {"Metric": inner, **to_api(metric, {"period": "Period", "stat": "Stat", "unit": "Unit"})}
    return query


def _alarms(cloudwatch: Any) -> ResourceHandler:
    def put(inputs: Values) -> None:
        queries = (
            {"Metrics": [_query(query) for query in inputs["metricQueries"]]} if inputs.get("metricQueries") else {}
        )
        dimensions = {"Dimensions": _dimensions(inputs["dimensions"])} if inputs.get("dimensions") else {}
        cloudwatch.put_metric_alarm(AlarmName=inputs["name"], **to_api(inputs, ALARM), **queries, **dimensions)

    def read(id_: str, _: Values) -> Values | None:
        alarms = cloudwatch.describe_alarms(AlarmNames=[id_])["MetricAlarms"]
        return {**from_api(alarms[0], ALARM), "name": id_, "arn": alarms[0]["AlarmArn"]} if alarms else None

    return _put(
        put,
        id_of=lambda inputs: str(inputs["name"]),
        read=read,
        delete=lambda id_, _: cloudwatch.delete_alarms(AlarmNames=[id_]),
        replaces=frozenset({"name"}),
    )


def _dashboards(cloudwatch: Any) -> ResourceHandler:
    def put(inputs: Values) -> None:
        cloudwatch.put_dashboard(DashboardName=inputs["dashboardName"], DashboardBody=inputs["dashboardBody"])

    def read(id_: str, _: Values) -> Values | None:
        answer = none_if_missing(cloudwatch.get_dashboard, DashboardName=id_)
        return answer and {"dashboardArn": answer["DashboardArn"], "dashboardBody": answer["DashboardBody"]}

    return _put(
        put,
        id_of=lambda inputs: str(inputs["dashboardName"]),
        read=read,
        delete=lambda id_, _: none_if_missing(cloudwatch.delete_dashboards, DashboardNames=[id_]),
        replaces=frozenset({"dashboardName"}),
    )


def _log_groups(logs: Any) -> ResourceHandler:
    def retain(inputs: Values) -> None:
        if inputs.get("retentionInDays"):
            logs.put_retention_policy(logGroupName=inputs["name"], retentionInDays=inputs["retentionInDays"])

    def create(inputs: Values) -> tuple[str, Values]:
        logs.create_log_group(logGroupName=inputs["name"])
        retain(inputs)
        return inputs["name"], read(inputs["name"], inputs) or {}

    def read(id_: str, _: Values) -> Values | None:
        for group in logs.describe_log_groups(logGroupNamePrefix=id_)["logGroups"]:
            if group["logGroupName"] == id_:
                return {
                    "name": id_,
                    "arn": group["arn"].removesuffix(":*"),
                    "retentionInDays": group.get("retentionInDays", 0),
                }
        return None

    def update(_id: str, _olds: Values, news: Values) -> Values:
        retain(news)
        return {}

    return ResourceHandler(
        create=create,
        read=read,
        update=update,
        delete=lambda id_, _: none_if_missing(logs.delete_log_group, logGroupName=id_),
        replaces=frozenset({"name", "namePrefix"}),
    )


def _topics(sns: Any) -> ResourceHandler:
    def create(inputs: Values) -> tuple[str, Values]:
        arn = sns.create_topic(Name=inputs["name"])["TopicArn"]
        return arn, {"arn": arn, "name": inputs["name"]}

    def read(id_: str, _: Values) -> Values | None:
        answer = none_if_missing(sns.get_topic_attributes, TopicArn=id_)
        return answer and {"arn": id_, "name": id_.rsplit(":", 1)[1]}

    return ResourceHandler(
        create=create,
        read=read,
        update=no_outputs,
        delete=lambda id_, _: none_if_missing(sns.delete_topic, TopicArn=id_),
        replaces=frozenset({"name", "namePrefix", "fifoTopic"}),
    )
