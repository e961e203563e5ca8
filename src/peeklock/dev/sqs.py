"""SQS (moto's server) and functions on Lambda."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial

from cloudqueues.sqs_lambda import Invocation, SqsLambda
from cloudqueues.sqs_server import REGION, SqsServer
from peeklock.dev.runner import Discovery, Entry, RunContext
from peeklock.queue import Queue
from peeklock.quotas.aws import FUNCTION_SECONDS as MAX_FUNCTION_SECONDS

SPARE_SECONDS = 5


class Sqs:
    """One function for each bound handler."""

    platform = "sqs"

    def __init__(self, context: RunContext) -> None:
        self._context = context
        self._server = SqsServer()
        self._urls: dict[str, str] = {}
        self._functions: list[SqsLambda] = []

    def open(self) -> None:
        self._server.start()

    def make(self, found: Discovery) -> None:
        for queue in found.queues.values():
            self._make(queue)

    def serve(self, found: Discovery, variables_across: Mapping[str, str]) -> None:
        self._stop_functions()
        for entry in found.sqs:
            self._functions.append(self._function(entry, found.queues[entry.queue], variables_across).start())

    def _make(self, queue: Queue) -> None:
        """The queue and its dead-letter queue; their attributes as they are declared now."""
        suffix = ".fifo" if queue.fifo else ""
        visibility = round(_function_seconds(queue) + SPARE_SECONDS)
        self._urls[queue.variable("URL")] = self._server.queue(f"{queue.name}{suffix}", VisibilityTimeout=visibility)
        self._urls[queue.variable("DEAD_LETTER")] = self._server.queue(f"{queue.name}-dead{suffix}")

    def _function(self, entry: Entry, queue: Queue, variables_across: Mapping[str, str]) -> SqsLambda:
        return SqsLambda(
            queue_url=self._urls[queue.variable("URL")],
            endpoint_url=self._server.endpoint_url,
            region=REGION,
            handler=f"{entry.module}.{entry.name}",
            cwd=self._context.project.root,
            timeout=_function_seconds(queue),
            provisioned=1,  # somebody waits for the first message
            environ={**self._context.variables(self.platform), **self._urls, **variables_across},
            on_line=partial(self._context.on_line, self.platform),
            on_invocation=partial(ended, self._context.on_line, f"{entry.module}:{entry.name}"),
        )

    def variables(self) -> Mapping[str, str]:
        credentials = {"AWS_ACCESS_KEY_ID": "dev", "AWS_SECRET_ACCESS_KEY": "dev", "AWS_DEFAULT_REGION": REGION}
        return {"AWS_ENDPOINT_URL_SQS": self._server.endpoint_url, **credentials, **self._urls}

    def _stop_functions(self) -> None:
        while self._functions:
            self._functions.pop().stop()

    def close(self) -> None:
        self._stop_functions()
        self._server.stop()


def ended(on_line: Callable[[str, str], None], function: str, invocation: Invocation) -> None:
    """Say of an invocation what its handler cannot, such as that its process ended. `on_line` is a `World`'s."""
    if invocation.error is not None:
        count = len(invocation.failed_ids)
        on_line(Sqs.platform, f"{function}: {invocation.error}; its messages ({count}) come back when their locks end")


def _function_seconds(queue: Queue) -> float:
    """Room for two messages that take their whole time-out; a killed function's messages come back soon after."""
    return min(2 * queue.timeout.total_seconds() + SPARE_SECONDS, MAX_FUNCTION_SECONDS)
