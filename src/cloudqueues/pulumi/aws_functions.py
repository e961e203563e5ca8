"""Functions of Lambda and their event source mappings, applied to moto.

moto runs enabled mappings itself, at once and through Docker. So one is made disabled here, whatever the program wants of
it, and what it wants stays in the state: our own event source delivers.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from cloudqueues.pulumi.archives import zip_bytes
from cloudqueues.pulumi.aws_api import Clients, found, none_if_missing, to_api
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
"""Those that moto keeps. https://docs.aws.amazon.com/lambda/latest/api/API_CreateFunction.html"""

MAPPING = {
    "batchSize": "BatchSize",
    "filterCriteria": "FilterCriteria",
    "functionResponseTypes": "FunctionResponseTypes",
    "maximumBatchingWindowInSeconds": "MaximumBatchingWindowInSeconds",
    "metricsConfig": "MetricsConfig",
    "provisionedPollerConfig": "ProvisionedPollerConfig",
    "scalingConfig": "ScalingConfig",
}
"""https://docs.aws.amazon.com/lambda/latest/api/API_CreateEventSourceMapping.html"""


def handlers(aws: Clients, folder: Path) -> dict[str, ResourceHandler]:
    """`folder` is the program's: the paths of its archives are from there."""
    functions, mappings = _Functions(aws, folder), _Mappings(aws)
    return {
        "aws:lambda/function:Function": ResourceHandler(
            create=functions.create,
            read=functions.read,
            update=functions.update,
            delete=lambda id_, _: none_if_missing(aws["lambda"].delete_function, FunctionName=id_),
            replaces=frozenset({"name", "packageType"}),
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
        made = self._lambda.create_function(
            FunctionName=inputs["name"], Code=self._code(inputs), Tags=inputs.get("tags") or {}, **_settings(inputs)
        )
        self._reserve(inputs)
        arn = made["FunctionArn"]
        return inputs["name"], {"arn": arn, "qualifiedArn": f"{arn}:$LATEST", "version": "$LATEST", "invokeArn": arn}

    def read(self, id_: str, _: Values) -> Values | None:
        there = none_if_missing(self._lambda.get_function, FunctionName=id_)
        if there is None:
            return None
        live = found(there["Configuration"], SETTINGS)
        variables = there["Configuration"].get("Environment", {}).get("Variables", {})
        return {
            **live,
            "environment": {"variables": variables},
            "name": id_,
            "arn": there["Configuration"]["FunctionArn"],
        }

    def update(self, id_: str, olds: Values, news: Values) -> Values:
        if olds.get("code") != news.get("code") or olds.get("architectures") != news.get("architectures"):
            kind = to_api(news, {"architectures": "Architectures"})
            self._lambda.update_function_code(FunctionName=id_, **self._code(news), **kind)
        changed = {name: value for name, value in _settings(news).items() if name != "Architectures"}
        self._lambda.update_function_configuration(FunctionName=id_, **changed)
        self._reserve(news)
        return {}

    def _reserve(self, inputs: Values) -> None:
        if inputs.get("reservedConcurrentExecutions", -1) >= 0:
            self._lambda.put_function_concurrency(
                FunctionName=inputs["name"], ReservedConcurrentExecutions=inputs["reservedConcurrentExecutions"]
            )

    def _code(self, inputs: Values) -> dict[str, Any]:
        """An archive in a bucket is not fetched, since nobody runs it from here."""
        return {"ZipFile": zip_bytes(inputs.get("code") or {"text": ""}, self._folder)}


def _settings(inputs: Values) -> dict[str, Any]:
    """The variables keep their own names."""
    given = to_api(inputs, SETTINGS)
    if "environment" in inputs:
        given["Environment"] = {"Variables": inputs["environment"].get("variables", {})}
    return given


class _Mappings:
    def __init__(self, aws: Clients) -> None:
        self._lambda = aws["lambda"]

    def create(self, inputs: Values) -> tuple[str, Values]:
        made = self._lambda.create_event_source_mapping(
            EventSourceArn=inputs["eventSourceArn"],
            FunctionName=inputs["functionName"],
            Enabled=False,
            **to_api(inputs, MAPPING),
        )
        return made["UUID"], _outputs(made, inputs)

    def read(self, id_: str, known: Values) -> Values | None:
        there = none_if_missing(self._lambda.get_event_source_mapping, UUID=id_)
        if there is None:
            return None
        return {**found(there, MAPPING), "eventSourceArn": there["EventSourceArn"], **_outputs(there, known)}

    def update(self, id_: str, _: Values, news: Values) -> Values:
        arguments = {**to_api(news, MAPPING), "FunctionName": news["functionName"], "Enabled": False}
        return _outputs(self._lambda.update_event_source_mapping(UUID=id_, **arguments), news)


def _outputs(there: Values, wanted: Values) -> Values:
    state = "Enabled" if wanted.get("enabled", True) else "Disabled"
    return {"uuid": there["UUID"], "functionArn": there["FunctionArn"], "state": state}
