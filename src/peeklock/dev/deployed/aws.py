"""AWS: moto, which the program is applied to, and functions of Lambda fed from its queues by our own event source."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from cloudqueues.errors import CloudqueuesError
from cloudqueues.pulumi import aws
from cloudqueues.pulumi.resources import Cloud
from cloudqueues.sqs_lambda import SqsLambda
from cloudqueues.sqs_lambda.settings import Options
from cloudqueues.sqs_server import REGION, SqsServer
from peeklock.dev.deployed.local_context import Function, LocalContext, Resource, file, made
from peeklock.dev.sqs import ended
from peeklock.errors import ConfigError, PeeklockError
from peeklock.quotas.aws import CONCURRENT_FUNCTIONS

FUNCTION, MAPPING = "aws:lambda/function:Function", "aws:lambda/eventSourceMapping:EventSourceMapping"
QUEUE = "aws:sqs/queue:Queue"

BATCH, TIMEOUT, MEMORY = 10, 3, 128
"""AWS's own, where a program says nothing; the timeout in seconds, the memory in MB.
https://docs.aws.amazon.com/lambda/latest/api/API_CreateEventSourceMapping.html,
https://docs.aws.amazon.com/lambda/latest/api/API_CreateFunction.html"""

STORE, STORES = "PEEKLOCK_STORE", frozenset({"dynamodb", "sqlite", "memory"})
"""The variable, and the schemes of what is on this machine. Any other leads away from it: Redis knows of no proxy."""


class AwsRunner:
    """A function for each event source mapping; without a maximum concurrency, as many at once as this machine bears."""

    platform = "sqs"

    def __init__(self, here: LocalContext, folder: Path) -> None:
        self._local, self._folder = here, folder
        self._server = SqsServer()
        self._running: list[SqsLambda] = []

    def open(self) -> Cloud:
        return aws.cloud(self._server.start().endpoint_url, self._folder)

    def functions(self, resources: Sequence[Resource]) -> list[Function]:
        return [self._function(one, mapping) for one, mapping in _mapped(resources)]

    def _function(self, function: Mapping[str, Any], mapping: Mapping[str, Any]) -> Function:
        environment, told = function.get("environment", {}).get("variables", {}), options(function, mapping)
        return Function(
            name=function["name"],
            entry=function["handler"],
            environment=environment,
            timeout=function.get("timeout", TIMEOUT),
            batch=told["batch_size"],
            concurrency=told["maximum_concurrency"] or CONCURRENT_FUNCTIONS,
            consuming=mapping.get("enabled", True),
            changed=self._changed(environment),
        )

    def _changed(self, environment: Mapping[str, str]) -> dict[str, str]:
        """An endpoint of one service goes before that of all.
        https://docs.aws.amazon.com/sdkref/latest/guide/feature-ss-endpoints.html"""
        own = [name for name in environment if name.startswith("AWS_ENDPOINT_URL_")]
        changed = dict.fromkeys(["AWS_ENDPOINT_URL", *own], self._server.endpoint_url)
        store = environment.get(STORE)
        if store is not None and urlsplit(store).scheme not in STORES:
            changed[STORE] = f"sqlite://{file(self._local.state.resolve(), store)}.db"
        return changed

    def serve(self, resources: Sequence[Resource], base: Mapping[str, str]) -> None:
        self._stop()
        queues = {one["outputs"]["arn"]: one["outputs"]["url"] for one in made(resources, QUEUE)}
        try:
            for function, mapping in _mapped(resources):
                if mapping.get("enabled", True):
                    self._start(function, mapping, queues, base)
        except (PeeklockError, CloudqueuesError):
            self._stop()
            raise

    def _start(
        self, inputs: Mapping[str, Any], mapping: Mapping[str, Any], queues: Mapping[str, str], base: Mapping[str, str]
    ) -> None:
        wanted = self._function(inputs, mapping)
        told: Options = {
            **options(inputs, mapping),
            "endpoint_url": self._server.endpoint_url,
            "cwd": self._local.code,
            "provisioned": 1,  # somebody waits for the first message
            "environ": self._local.environment(base, wanted),
        }
        one = SqsLambda(
            queue_url=_queue(mapping["eventSourceArn"], queues),
            region=REGION,
            handler=wanted.entry,
            on_line=partial(self._local.on_line, self.platform),
            on_invocation=partial(ended, self._local.on_line, wanted.name),
            **told,
        )
        self._running.append(one)
        one.start()

    def variables(self) -> Mapping[str, str]:
        credentials = {"AWS_ACCESS_KEY_ID": "dev", "AWS_SECRET_ACCESS_KEY": "dev", "AWS_DEFAULT_REGION": REGION}
        return {"AWS_ENDPOINT_URL": self._server.endpoint_url, **credentials}

    def _stop(self) -> None:
        while self._running:
            self._running.pop().stop()

    def close(self) -> None:
        self._stop()
        self._server.stop()


def options(function: Mapping[str, Any], mapping: Mapping[str, Any]) -> Options:
    """What the emulator is told of both."""
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
    """Functions with their mappings, by the functions' names. Raises ConfigError for what does not run here."""
    functions = {one["inputs"]["name"]: one["inputs"] for one in made(resources, FUNCTION)}
    mappings = [one["inputs"] for one in made(resources, MAPPING)]
    for mapping in sorted(mappings, key=lambda one: (str(one["functionName"]), str(one.get("eventSourceArn")))):
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
