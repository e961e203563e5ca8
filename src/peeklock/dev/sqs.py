"""SQS (moto's server) and functions on Lambda."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from functools import partial
from typing import Unpack

from cloudqueues.sqs_lambda import Invocation, SqsLambda
from cloudqueues.sqs_lambda.settings import Options
from cloudqueues.sqs_server import REGION, SqsServer
from peeklock.dev.discovery import Discovery, Entry
from peeklock.dev.functions import RunningFunctions
from peeklock.dev.runner import RunContext
from peeklock.queue import Queue
from peeklock.quotas.aws import FUNCTION_SECONDS as MAX_FUNCTION_SECONDS
from peeklock.quotas.aws import RECEIVES

PLATFORM = "sqs"

SPARE_SECONDS = 5

CREDENTIALS = {"AWS_ACCESS_KEY_ID": "dev", "AWS_SECRET_ACCESS_KEY": "dev", "AWS_DEFAULT_REGION": REGION}


class Sqs:
    """One function for each bound handler."""

    platform = PLATFORM

    def __init__(self, context: RunContext) -> None:
        self._context = context
        self._server = SqsServer()
        self._urls: dict[str, str] = {}
        self._functions = RunningFunctions()

    def open(self) -> None:
        self._server.start()

    def make(self, discovery: Discovery) -> None:
        for queue in discovery.queues.values():
            self._make(queue)

    def serve(self, discovery: Discovery, variables_across: Mapping[str, str]) -> None:
        self._functions.replace(
            [
                self._function(entry, discovery.queues[entry.queue], variables_across)
                for entry in discovery.entries(self.platform)
            ]
        )

    def _make(self, queue: Queue) -> None:
        """Create the queue and its dead-letter queue, or set their attributes as they are declared now."""
        suffix = ".fifo" if queue.fifo else ""
        visibility = round(_function_seconds(queue) + SPARE_SECONDS)
        dead_letters = self._server.queue(f"{queue.name}-dead-letters{suffix}")
        redrive = {"deadLetterTargetArn": self._arn(dead_letters), "maxReceiveCount": RECEIVES}
        self._urls[queue.variable("DEAD_LETTER")] = dead_letters
        self._urls[queue.variable("URL")] = self._server.queue(
            f"{queue.name}{suffix}", VisibilityTimeout=visibility, RedrivePolicy=json.dumps(redrive)
        )

    def _arn(self, url: str) -> str:
        answer = self._server.client.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])
        return str(answer["Attributes"]["QueueArn"])

    def _function(self, entry: Entry, queue: Queue, variables_across: Mapping[str, str]) -> SqsLambda:
        return lambda_function(
            f"{entry.module}:{entry.name}",
            self._context.on_line,
            queue_url=self._urls[queue.variable("URL")],
            endpoint_url=self._server.endpoint_url,
            handler=f"{entry.module}.{entry.name}",
            cwd=self._context.project.root,
            timeout=_function_seconds(queue),
            environ={**self._context.variables(self.platform), **self._urls, **variables_across},
        )

    def variables(self) -> Mapping[str, str]:
        return {"AWS_ENDPOINT_URL_SQS": self._server.endpoint_url, **CREDENTIALS, **self._urls}

    def close(self) -> None:
        self._functions.stop()
        self._server.stop()


def lambda_function(
    name: str, on_line: Callable[[str, str], None], *, queue_url: str, handler: str, **options: Unpack[Options]
) -> SqsLambda:
    """Return a function that is not started yet. `on_line` is called with the platform and each line that it prints, and
    with a text where an invocation ends without its handler's answer."""
    options["provisioned"] = 1  # a developer waits for the first message
    return SqsLambda(
        queue_url=queue_url,
        region=REGION,
        handler=handler,
        on_line=partial(on_line, PLATFORM),
        on_invocation=partial(_report_failure, on_line, name),
        **options,
    )


def _report_failure(on_line: Callable[[str, str], None], function: str, invocation: Invocation) -> None:
    """Report what the handler cannot, such as that its process ended."""
    if invocation.error is not None:
        count = len(invocation.failed_ids)
        on_line(PLATFORM, f"{function}: {invocation.error}; its messages ({count}) come back when their locks end")


def _function_seconds(queue: Queue) -> float:
    """Return a function's time-out: room for two messages that take their whole time-out. The messages of a function that is
    killed come back soon after."""
    return min(2 * queue.timeout.total_seconds() + SPARE_SECONDS, MAX_FUNCTION_SECONDS)
