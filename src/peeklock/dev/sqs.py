"""SQS (moto's server) and functions on Lambda."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from functools import partial
from typing import Any

from peeklock.dev.world import Declared, Entry, Found, World
from peeklock.emulators.sqs_lambda import SqsLambda
from peeklock.errors import ConfigError

REGION = "eu-west-1"

MAX_FUNCTION_SECONDS = 900
# https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html

SPARE_SECONDS = 5


class Sqs:
    """One function for each bound handler."""

    platform = "sqs"

    def __init__(self, world: World) -> None:
        self._world = world
        self._server: Any = None
        self._endpoint = ""
        self._urls: dict[str, str] = {}
        self._functions: list[SqsLambda] = []

    def open(self) -> None:
        try:
            from moto.server import ThreadedMotoServer
        except ImportError as exc:
            raise ConfigError("SQS on this machine needs moto's server: pip install 'peeklock[dev]'") from exc
        logging.getLogger("werkzeug").setLevel(logging.ERROR)  # a line for each request otherwise
        self._server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
        self._server.start()
        host, port = self._server.get_host_and_port()
        self._endpoint = f"http://{host}:{port}"

    def serve(self, found: Found) -> None:
        self._stop_functions()
        for queue in found.queues.values():
            self._make(queue)
        for entry in found.sqs:
            self._functions.append(self._function(entry, found.queues[entry.queue]).start())

    def _make(self, queue: Declared) -> None:
        """The queue and its dead-letter queue; their attributes as they are declared now."""
        suffix = ".fifo" if queue.fifo else ""
        kind = {"FifoQueue": "true"} if queue.fifo else {}
        sqs = self._client()
        letters = sqs.create_queue(QueueName=f"{queue.name}-dead{suffix}", Attributes=kind)["QueueUrl"]
        url = sqs.create_queue(QueueName=f"{queue.name}{suffix}", Attributes=kind)["QueueUrl"]
        sqs.set_queue_attributes(
            QueueUrl=url, Attributes={"VisibilityTimeout": str(round(_function_seconds(queue) + SPARE_SECONDS))}
        )
        self._urls[queue.variable("URL")] = url
        self._urls[queue.variable("DEAD_LETTER")] = letters

    def _client(self) -> Any:
        import boto3

        return boto3.client(
            "sqs",
            endpoint_url=self._endpoint,
            region_name=REGION,
            aws_access_key_id="dev",
            aws_secret_access_key="dev",  # noqa: S106 - moto takes any
        )

    def _function(self, entry: Entry, queue: Declared) -> SqsLambda:
        return SqsLambda(
            queue_url=self._urls[queue.variable("URL")],
            endpoint_url=self._endpoint,
            region=REGION,
            handler=f"{entry.module}.{entry.name}",
            cwd=self._world.project.root,
            timeout=_function_seconds(queue),
            environ={**self._world.variables(self.platform), **self._urls},
            on_line=partial(self._world.on_line, self.platform),
        )

    def variables(self) -> Mapping[str, str]:
        credentials = {"AWS_ACCESS_KEY_ID": "dev", "AWS_SECRET_ACCESS_KEY": "dev", "AWS_DEFAULT_REGION": REGION}
        return {"AWS_ENDPOINT_URL_SQS": self._endpoint, **credentials, **self._urls}

    def _stop_functions(self) -> None:
        while self._functions:
            self._functions.pop().stop()

    def close(self) -> None:
        self._stop_functions()
        server, self._server = self._server, None
        if server is not None:
            server.stop()


def _function_seconds(queue: Declared) -> float:
    """Room for two messages that take their whole time-out; a killed function's messages come back soon after."""
    return min(2 * queue.timeout + SPARE_SECONDS, MAX_FUNCTION_SECONDS)
