"""The soak on SQS and Lambda."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from cloudqueues.faults import NO_FAULTS, Faults
from cloudqueues.sqs_lambda import SqsLambda
from cloudqueues.sqs_server import REGION, SqsServer
from tests.soak.plan import Planned
from tests.soak.run import APP, StoredDeadLetter, opened

FUNCTION_SECONDS = 8
TEN = 10


class Aws:
    """A queue, its dead letters, and the function, each process of which may be killed."""

    groups = True

    def __init__(self, folder: Path, environ: Mapping[str, str], seed: int, *, fifo: bool) -> None:
        self.fifo = fifo
        self._stack = ExitStack()
        self.sqs = self._stack.enter_context(SqsServer())
        suffix = ".fifo" if fifo else ""
        self._dead_letters = self.sqs.queue(f"{folder.name}-dead{suffix}")
        self._queue = self.sqs.queue(f"{folder.name}{suffix}", VisibilityTimeout=FUNCTION_SECONDS)
        self.function = SqsLambda(
            queue_url=self._queue,
            handler="soak_aws.handler",
            region=REGION,
            cwd=APP,
            timeout=FUNCTION_SECONDS,
            maximum_concurrency=4,
            environ={**environ, "PEEKLOCK_ORDERS_DEAD_LETTER": self._dead_letters, "SOAK_LIMIT": str(FUNCTION_SECONDS)},
            on_line=lambda _: None,
            faults=Faults(
                seed=seed, duplicate=0.02, reorder=0.02, delay=0.02, drop=0.02, refuse=0.01, kill=0.01, lose_lock=0.01
            ),
        )
        self._stack.enter_context(self.function)

    def send(self, planned: Sequence[Planned]) -> None:
        for start in range(0, len(planned), TEN):
            chunk = planned[start : start + TEN]
            entries = [
                {"Id": str(n), "MessageBody": message.body.decode(), **self._more(message)}
                for n, message in enumerate(chunk)
            ]
            response = self.sqs.client.send_message_batch(QueueUrl=self._queue, Entries=entries)
            assert len(response["Successful"]) == len(chunk)

    def _more(self, message: Planned) -> dict[str, str]:
        return {"MessageGroupId": str(message.group), "MessageDeduplicationId": message.key} if self.fifo else {}

    def dead_letters(self) -> Sequence[StoredDeadLetter]:
        taken: list[StoredDeadLetter] = []
        while batch := self._receive():
            for received in batch:
                attributes = {
                    name: value["StringValue"]
                    for name, value in received.get("MessageAttributes", {}).items()
                    if "StringValue" in value
                }
                taken.append(opened(received["Body"].encode(), attributes, received))
                self.sqs.client.delete_message(QueueUrl=self._dead_letters, ReceiptHandle=received["ReceiptHandle"])
        return taken

    def _receive(self) -> list[dict[str, Any]]:
        response = self.sqs.client.receive_message(
            QueueUrl=self._dead_letters, MaxNumberOfMessages=TEN, MessageAttributeNames=["All"], AttributeNames=["All"]
        )
        messages: list[dict[str, Any]] = response.get("Messages", [])
        return messages

    def redrive(self, dead_letter: StoredDeadLetter) -> None:
        attributes = {
            name: {key: value for key, value in attribute.items() if key in {"DataType", "StringValue", "BinaryValue"}}
            for name, attribute in dead_letter.raw.get("MessageAttributes", {}).items()
        }
        more = {}
        if self.fifo:
            group = dead_letter.raw["Attributes"]["MessageGroupId"]
            more = {"MessageGroupId": group, "MessageDeduplicationId": dead_letter.raw["MessageId"]}
        self.sqs.client.send_message(
            QueueUrl=self._queue, MessageBody=dead_letter.raw["Body"], MessageAttributes=attributes, **more
        )

    def calm(self) -> None:
        self.function.faults = NO_FAULTS

    def killed(self) -> int:
        return sum(invocation.outcome == "timeout" for invocation in self.function.invocations)

    def close(self) -> None:
        self._stack.close()
