"""AWS: moto, which the program is applied to, and functions of Lambda fed from its queues by an event source of our own."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from cloudqueues.pulumi import aws
from cloudqueues.pulumi.resources import Cloud
from cloudqueues.sqs_lambda import SqsLambda
from cloudqueues.sqs_lambda.settings import Options
from cloudqueues.sqs_server import SqsServer
from peeklock.dev.deployed.local_context import Function, LocalContext, Resource, local_file, resources_of
from peeklock.dev.functions import RunningFunctions
from peeklock.dev.sqs import CREDENTIALS, PLATFORM, lambda_function
from peeklock.errors import ConfigError
from peeklock.quotas.aws import CONCURRENT_FUNCTIONS

FUNCTION, MAPPING = "aws:lambda/function:Function", "aws:lambda/eventSourceMapping:EventSourceMapping"
QUEUE = "aws:sqs/queue:Queue"

BATCH, TIMEOUT, MEMORY = 10, 3, 128
"""AWS's own defaults; the timeout in seconds, the memory in MB.
https://docs.aws.amazon.com/lambda/latest/api/API_CreateEventSourceMapping.html,
https://docs.aws.amazon.com/lambda/latest/api/API_CreateFunction.html"""

STORE, STORES = "PEEKLOCK_STORE", frozenset({"dynamodb", "sqlite", "memory"})
"""The variable, and the schemes of stores on this machine. Any other leads away from it: Redis clients use no proxy."""


class AwsRunner:
    """A function for each event source mapping; without a maximum concurrency, as many at once as this machine bears."""

    platform = PLATFORM

    def __init__(self, local: LocalContext, folder: Path) -> None:
        self._local, self._folder = local, folder
        self._server = SqsServer()
        self._running = RunningFunctions()

    def open(self) -> Cloud:
        return aws.cloud(self._server.start().endpoint_url, self._folder)

    def functions(self, resources: Sequence[Resource]) -> list[Function]:
        return [self._function(function, mapping) for function, mapping in _mapped(resources)]

    def _function(self, function: Mapping[str, Any], mapping: Mapping[str, Any]) -> Function:
        environment, settings = function.get("environment", {}).get("variables", {}), options(function, mapping)
        module, _, name = function["handler"].replace("/", ".").rpartition(".")
        return Function(
            name=function["name"],
            entry=function["handler"],
            environment=environment,
            timeout=function.get("timeout", TIMEOUT),
            batch=settings["batch_size"],
            concurrency=settings["maximum_concurrency"] or CONCURRENT_FUNCTIONS,
            consuming=mapping.get("enabled", True),
            changed=self._changed(environment),
            target=f"{module}:{name}",
        )

    def _changed(self, environment: Mapping[str, str]) -> dict[str, str]:
        """Return the variables that lead to this machine. An endpoint of one service takes precedence over that of all.
        https://docs.aws.amazon.com/sdkref/latest/guide/feature-ss-endpoints.html"""
        own = [name for name in environment if name.startswith("AWS_ENDPOINT_URL_")]
        changed = dict.fromkeys(["AWS_ENDPOINT_URL", *own], self._server.endpoint_url)
        store = environment.get(STORE)
        if store is not None and urlsplit(store).scheme not in STORES:
            changed[STORE] = f"sqlite://{local_file(self._local.state.resolve(), store)}.db"
        return changed

    def serve(self, resources: Sequence[Resource], base: Mapping[str, str]) -> None:
        queues = {queue["outputs"]["arn"]: queue["outputs"]["url"] for queue in resources_of(resources, QUEUE)}
        functions = [
            self._lambda(function, mapping, queues, base)
            for function, mapping in _mapped(resources)
            if mapping.get("enabled", True)
        ]
        self._running.replace(functions)

    def _lambda(
        self, inputs: Mapping[str, Any], mapping: Mapping[str, Any], queues: Mapping[str, str], base: Mapping[str, str]
    ) -> SqsLambda:
        function = self._function(inputs, mapping)
        settings: Options = {
            **options(inputs, mapping),
            "endpoint_url": self._server.endpoint_url,
            "cwd": self._local.code,
            "environ": self._local.environment(base, function),
        }
        url = _queue(mapping["eventSourceArn"], queues)
        return lambda_function(function.name, self._local.on_line, queue_url=url, handler=function.entry, **settings)

    def variables(self) -> Mapping[str, str]:
        return {"AWS_ENDPOINT_URL": self._server.endpoint_url, **CREDENTIALS}

    def close(self) -> None:
        self._running.stop()
        self._server.stop()


def options(function: Mapping[str, Any], mapping: Mapping[str, Any]) -> Options:
    """Return the emulator's options for a function and its mapping."""
    return {
        "timeout": function.get("timeout", TIMEOUT),
        "memory": function.get("memorySize", MEMORY),
        "batch_size": mapping.get("batchSize", BATCH),
        "window": mapping.get("maximumBatchingWindowInSeconds", 0),
        "maximum_concurrency": mapping.get("scalingConfig", {}).get("maximumConcurrency"),
        "report_failures": "ReportBatchItemFailures" in mapping.get("functionResponseTypes", ()),
        "filters": [each["pattern"] for each in mapping.get("filterCriteria", {}).get("filters", ())],
    }


def _mapped(resources: Sequence[Resource]) -> Iterator[tuple[Mapping[str, Any], Mapping[str, Any]]]:
    """Yield functions with their mappings, by the functions' names. Raises ConfigError for what does not run here."""
    functions = {function["inputs"]["name"]: function["inputs"] for function in resources_of(resources, FUNCTION)}
    mappings = [mapping["inputs"] for mapping in resources_of(resources, MAPPING)]
    for mapping in sorted(mappings, key=lambda each: (str(each["functionName"]), str(each.get("eventSourceArn")))):
        name = mapping["functionName"].rpartition(":function:")[2].partition(":")[0]
        if not str(mapping.get("eventSourceArn")).startswith("arn:aws:sqs:"):
            raise ConfigError(
                f"function {name}: on this machine only queues of SQS invoke one; leave it out of this stack"
            )
        if name not in functions:
            raise ConfigError(
                f"function {name} is mapped to a queue, but the program does not make it: make it in this stack"
            )
        if "handler" not in functions[name]:
            raise ConfigError(
                f"function {name} is an image, and those do not run here; make it of a bundle in this stack"
            )
        yield functions[name], mapping


def _queue(arn: str, queues: Mapping[str, str]) -> str:
    if arn not in queues:
        raise ConfigError(
            f"queue {arn} is not there: a queue that is brought along is not on this machine; make it in this stack"
        )
    return queues[arn]
