"""Functions of Lambda and their event source mappings, applied to moto.

moto runs enabled mappings itself, at once and through Docker. So a mapping is always created disabled there; whether the
program wants it enabled stays in the engine's state, and our own event source delivers.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from cloudqueues.pulumi.archives import zip_bytes
from cloudqueues.pulumi.aws_api import Clients, from_api, none_if_missing, to_api
from cloudqueues.pulumi.resources import ResourceHandler, Values

SETTINGS = {
    "architectures": "Architectures",
    "description": "Description",
    "environment": "Environment",
    "handler": "Handler",
    "kmsKeyArn": "KMSKeyArn",
    "memorySize": "MemorySize",
    "role": "Role",
    "runtime": "Runtime",
    "timeout": "Timeout",
    "tracingConfig": "TracingConfig",
}
"""Settings that moto keeps. https://docs.aws.amazon.com/lambda/latest/api/API_CreateFunction.html"""

MAPPING = {
    "batchSize": "BatchSize",
    "filterCriteria": "FilterCriteria",
    "functionResponseTypes": "FunctionResponseTypes",
    "maximumBatchingWindowInSeconds": "MaximumBatchingWindowInSeconds",
    "metricsConfig": "MetricsConfig",
    "provisionedPollerConfig": "ProvisionedPollerConfig",
    "scalingConfig": "ScalingConfig",
}
"""Settings of a mapping. https://docs.aws.amazon.com/lambda/latest/api/API_CreateEventSourceMapping.html"""


def handlers(aws: Clients, folder: Path) -> dict[str, ResourceHandler]:
    """Return the handlers of functions and mappings. `folder` is the program's: paths of its archives are relative to it."""
    functions, aliases, mappings = _Functions(aws, folder), _Aliases(aws), _Mappings(aws)
    return {
        "aws:lambda/function:Function": ResourceHandler(
            create=functions.create,
            read=functions.read,
            update=functions.update,
            delete=lambda id_, _: none_if_missing(aws["lambda"].delete_function, FunctionName=id_),
            replaces=frozenset({"name", "packageType"}),
        ),
        "aws:lambda/alias:Alias": ResourceHandler(
            create=aliases.create,
            read=aliases.read,
            update=aliases.update,
            delete=aliases.delete,
            replaces=frozenset({"functionName", "name"}),
        ),
        "aws:lambda/eventSourceMapping:EventSourceMapping": ResourceHandler(
            create=mappings.create,
            read=mappings.read,
            update=mappings.update,
            delete=lambda id_, _: none_if_missing(aws["lambda"].delete_event_source_mapping, UUID=id_),
            replaces=frozenset({"eventSourceArn"}),
        ),
    }


class _Functions:
    def __init__(self, aws: Clients, folder: Path) -> None:
        self._lambda, self._folder = aws["lambda"], folder

    def create(self, inputs: Values) -> tuple[str, Values]:
        created = self._lambda.create_function(
            FunctionName=inputs["name"], Code=self._code(inputs), Tags=inputs.get("tags") or {}, **_settings(inputs)
        )
        self._reserve(inputs)
        arn = created["FunctionArn"]
        return inputs["name"], {"arn": arn, "invokeArn": arn, **self._published(inputs, arn)}

    def read(self, id_: str, _: Values) -> Values | None:
        function = none_if_missing(self._lambda.get_function, FunctionName=id_)
        if function is None:
            return None
        configuration = function["Configuration"]
        return {
            **from_api(configuration, SETTINGS),
            "environment": {"variables": configuration.get("Environment", {}).get("Variables", {})},
            "name": id_,
            "arn": configuration["FunctionArn"],
        }

    def update(self, id_: str, olds: Values, news: Values) -> Values:
        if olds.get("code") != news.get("code") or olds.get("architectures") != news.get("architectures"):
            kind = to_api(news, {"architectures": "Architectures"})
            self._lambda.update_function_code(FunctionName=id_, **self._code(news), **kind)
        changed = {name: value for name, value in _settings(news).items() if name != "Architectures"}
        self._lambda.update_function_configuration(FunctionName=id_, **changed)
        self._reserve(news)
        return self._published(news, olds["arn"])

    def _published(self, inputs: Values, arn: str) -> Values:
        """Publish a version where the program asks for it, and return the outputs of the newest one."""
        version = "$LATEST"
        if inputs.get("publish"):
            version = self._lambda.publish_version(FunctionName=inputs["name"])["Version"]
        return {"version": version, "qualifiedArn": f"{arn}:{version}"}

    def _reserve(self, inputs: Values) -> None:
        if inputs.get("reservedConcurrentExecutions", -1) >= 0:
            self._lambda.put_function_concurrency(
                FunctionName=inputs["name"], ReservedConcurrentExecutions=inputs["reservedConcurrentExecutions"]
            )

    def _code(self, inputs: Values) -> dict[str, Any]:
        """Return the code to upload. An archive in a bucket is not fetched: nothing runs it from here."""
        return {"ZipFile": zip_bytes(inputs.get("code") or {"text": ""}, self._folder)}


def _settings(inputs: Values) -> dict[str, Any]:
    """Return the settings under the API's names; environment variables keep their own."""
    settings = to_api(inputs, SETTINGS)
    if "environment" in inputs:
        settings["Environment"] = {"Variables": inputs["environment"].get("variables", {})}
    return settings


class _Aliases:
    def __init__(self, aws: Clients) -> None:
        self._lambda = aws["lambda"]

    def create(self, inputs: Values) -> tuple[str, Values]:
        created = self._lambda.create_alias(FunctionVersion=inputs["functionVersion"], **_alias(inputs))
        return created["AliasArn"], {"arn": created["AliasArn"]}

    def read(self, _: str, state: Values) -> Values | None:
        alias = none_if_missing(self._lambda.get_alias, **_alias(state))
        if alias is None:
            return None
        return {"arn": alias["AliasArn"], "name": alias["Name"], "functionVersion": alias["FunctionVersion"]}

    def update(self, _id: str, _: Values, news: Values) -> Values:
        self._lambda.update_alias(FunctionVersion=news["functionVersion"], **_alias(news))
        return {}

    def delete(self, _: str, state: Values) -> None:
        none_if_missing(self._lambda.delete_alias, **_alias(state))


def _alias(values: Values) -> dict[str, str]:
    return {"FunctionName": values["functionName"], "Name": values["name"]}


class _Mappings:
    def __init__(self, aws: Clients) -> None:
        self._lambda, self._sqs = aws["lambda"], aws["sqs"]

    def create(self, inputs: Values) -> tuple[str, Values]:
        self._check_timeouts(inputs)
        created = self._lambda.create_event_source_mapping(
            EventSourceArn=inputs["eventSourceArn"],
            FunctionName=inputs["functionName"],
            Enabled=False,
            **to_api(inputs, MAPPING),
        )
        return created["UUID"], _outputs(created, inputs)

    def _check_timeouts(self, inputs: Values) -> None:
        """Raise ValueError, in Lambda's words, where the function may run for longer than the queue hides a message.
        https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-configure.html"""
        function = none_if_missing(self._lambda.get_function_configuration, FunctionName=inputs["functionName"])
        queue_name = inputs["eventSourceArn"].rpartition(":")[2]
        queue = none_if_missing(self._sqs.get_queue_url, QueueName=queue_name)
        if function is None or queue is None:
            return
        answer = self._sqs.get_queue_attributes(QueueUrl=queue["QueueUrl"], AttributeNames=["VisibilityTimeout"])
        visibility = int(answer["Attributes"]["VisibilityTimeout"])
        if visibility < function["Timeout"]:
            raise ValueError(
                f"InvalidParameterValueException: Queue visibility timeout: {visibility} seconds is less than Function"
                f" timeout: {function['Timeout']} seconds"
            )

    def read(self, id_: str, state: Values) -> Values | None:
        mapping = none_if_missing(self._lambda.get_event_source_mapping, UUID=id_)
        if mapping is None:
            return None
        return {**from_api(mapping, MAPPING), "eventSourceArn": mapping["EventSourceArn"], **_outputs(mapping, state)}

    def update(self, id_: str, _: Values, news: Values) -> Values:
        arguments = {**to_api(news, MAPPING), "FunctionName": news["functionName"], "Enabled": False}
        return _outputs(self._lambda.update_event_source_mapping(UUID=id_, **arguments), news)


def _outputs(mapping: Values, wanted: Values) -> Values:
    state = "Enabled" if wanted.get("enabled", True) else "Disabled"
    return {"uuid": mapping["UUID"], "functionArn": mapping["FunctionArn"], "state": state}
