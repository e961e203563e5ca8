"""A moto server for the process, and for each test its own queues, function and evidence."""

from __future__ import annotations

import json
import threading
import uuid
from collections.abc import Callable, Generator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from cloudqueues.sqs_lambda import SqsLambda
from cloudqueues.sqs_lambda.queue import client
from cloudqueues.sqs_server import SqsServer

FUNCTIONS = Path(__file__).parent / "functions"
REGION = "eu-west-1"


class Lines:
    """Lines that functions printed, with a way to wait for one."""

    def __init__(self) -> None:
        self.all: list[str] = []
        self._more = threading.Condition()

    def __call__(self, line: str) -> None:
        with self._more:
            self.all.append(line)
            self._more.notify_all()

    def wait(self, line: str, times: int = 1, timeout: float = 20) -> None:
        with self._more:
            assert self._more.wait_for(lambda: self.all.count(line) >= times, timeout), self.all


class World:
    """`sqs`: a client. What is started here ends with the test."""

    def __init__(self, endpoint: str, folder: Path, stack: ExitStack) -> None:
        self.endpoint = endpoint
        self.sqs = client(endpoint, REGION)
        self.lines = Lines()
        self.evidence = folder / "evidence.jsonl"
        self._stack = stack
        stack.callback(self.sqs.close)

    def queue(self, *, fifo: bool = False, visibility: int = 2, **attributes: str) -> str:
        name = f"q{uuid.uuid4().hex}{'.fifo' if fifo else ''}"
        attributes["VisibilityTimeout"] = str(visibility)
        if fifo:
            attributes["FifoQueue"] = "true"
        return str(self.sqs.create_queue(QueueName=name, Attributes=attributes)["QueueUrl"])

    def arn(self, url: str) -> str:
        return str(self.sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"])

    def function(self, url: str, handler: str, **options: Any) -> SqsLambda:
        """Started."""
        options = {"timeout": 1, "cwd": FUNCTIONS, "on_line": self.lines, **options}
        options["environ"] = {"EVIDENCE": str(self.evidence), **options.get("environ", {})}
        function = SqsLambda(queue_url=url, handler=handler, region=REGION, **options)
        return self._stack.enter_context(function)

    def send(self, url: str, *bodies: str, group: str | None = None, **more: Any) -> list[str]:
        """In order; the messages' ids."""
        ids: list[str] = []
        for body in bodies:
            if group is not None:
                more |= {"MessageGroupId": group, "MessageDeduplicationId": uuid.uuid4().hex}
            ids.append(self.sqs.send_message(QueueUrl=url, MessageBody=body, **more)["MessageId"])
        return ids

    def seen(self) -> list[dict[str, Any]]:
        """Return what the handlers noted, in order."""
        if not self.evidence.exists():
            return []
        return [json.loads(line) for line in self.evidence.read_text().splitlines()]

    def receive(self, url: str) -> Sequence[dict[str, Any]]:
        response = self.sqs.receive_message(
            QueueUrl=url, MaxNumberOfMessages=10, AttributeNames=["All"], MessageAttributeNames=["All"]
        )
        messages: Sequence[dict[str, Any]] = response.get("Messages", [])
        return messages


def sets(event: threading.Event) -> Callable[[object], None]:
    """For a callback whose word does not matter."""
    return lambda _: event.set()


@pytest.fixture(scope="session")
def moto_endpoint() -> Generator[str, None, None]:
    with SqsServer() as server:
        yield server.endpoint_url


@pytest.fixture
def world(moto_endpoint: str, tmp_path: Path) -> Generator[World, None, None]:
    with ExitStack() as stack:
        yield World(moto_endpoint, tmp_path, stack)
