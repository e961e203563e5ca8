"""The queue, by boto3, whose calls are made one at a time in a thread of their own.

moto's SQS needs that too: it rebuilds its list of messages without a lock, so that two deletes at once undo each other.
"""

from __future__ import annotations

import asyncio
import functools
import os
import threading
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from cloudqueues.errors import CloudqueuesError, ConfigError, missing
from cloudqueues.quotas.aws import ENTRIES as MAX_ENTRIES
from cloudqueues.sqs_lambda.events import ReceivedMessage, received_message

CONNECT_SECONDS = 2.0
READ_SECONDS = 10.0

_making = threading.Lock()
"""Lock for boto3's session, which makes one client at a time. https://docs.aws.amazon.com/boto3/latest/guide/session.html"""

_COUNTS = (
    "ApproximateNumberOfMessages",
    "ApproximateNumberOfMessagesNotVisible",
    "ApproximateNumberOfMessagesDelayed",
)


class QueueError(CloudqueuesError):
    """Raised when SQS does not answer, or refuses."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Description:
    arn: str
    visibility: timedelta


class Queue:
    """SQS queue. Each call raises QueueError."""

    def __init__(self, url: str, endpoint_url: str, region: str) -> None:
        self._url = url
        self._region = region
        self._arn = ""
        self._thread = ThreadPoolExecutor(1, "cloudqueues-sqs-client")
        self._endpoint = endpoint_url
        self._sqs: Any = None

    async def describe(self) -> Description:
        response = await self._call("get_queue_attributes", AttributeNames=["QueueArn", "VisibilityTimeout"])
        self._arn = response["Attributes"]["QueueArn"]
        return Description(
            arn=self._arn, visibility=timedelta(seconds=int(response["Attributes"]["VisibilityTimeout"]))
        )

    async def receive(self, most: int) -> list[ReceivedMessage]:
        """Receive messages without waiting: moto's long poll of a FIFO queue is a busy loop, and delays a stop."""
        response = await self._call(
            "receive_message",
            MaxNumberOfMessages=most,
            AttributeNames=["All"],
            MessageAttributeNames=["All"],
            WaitTimeSeconds=0,
        )
        return [received_message(message, self._arn, self._region) for message in response.get("Messages", ())]

    async def delete(self, messages: Sequence[ReceivedMessage]) -> list[str]:
        """Delete messages, and return the ids of those that were not deleted, with the reasons of SQS."""
        failed: list[str] = []
        for start in range(0, len(messages), MAX_ENTRIES):
            chunk = messages[start : start + MAX_ENTRIES]
            entries = [{"Id": str(n), "ReceiptHandle": message.handle} for n, message in enumerate(chunk)]
            response = await self._call("delete_message_batch", Entries=entries)
            failed += [f"{chunk[int(entry['Id'])].id}: {entry.get('Code')}" for entry in response.get("Failed", ())]
        return failed

    async def release(self, message: ReceivedMessage) -> None:
        """End the lock of a message."""
        await self._call("change_message_visibility", ReceiptHandle=message.handle, VisibilityTimeout=0)

    async def empty(self) -> bool:
        """Return True if the queue has no message, be it visible, locked or delayed.

        SQS counts these one after the other, and a message whose lock ends in between is counted nowhere. The queue is
        therefore asked twice.
        """
        return not await self._count() and not await self._count()

    async def _count(self) -> int:
        response = await self._call("get_queue_attributes", AttributeNames=list(_COUNTS))
        return sum(int(response["Attributes"].get(name, 0)) for name in _COUNTS)

    async def close(self) -> None:
        if self._sqs is not None:
            await asyncio.get_running_loop().run_in_executor(self._thread, self._sqs.close)
        self._thread.shutdown()

    async def _call(self, method: str, **arguments: Any) -> Any:
        try:
            return await asyncio.get_running_loop().run_in_executor(self._thread, self._answered, method, arguments)
        except ConfigError:
            raise
        except Exception as exc:
            raise QueueError(f"{self._url}: {type(exc).__name__}: {exc}") from exc

    def _answered(self, method: str, arguments: Mapping[str, Any]) -> Any:
        if self._sqs is None:
            self._sqs = client(self._endpoint, self._region)
        return getattr(self._sqs, method)(QueueUrl=self._url, **arguments)


def client(endpoint_url: str, region: str, service: str = "sqs", *, patience: float = READ_SECONDS) -> Any:
    """Return a boto3 client that reads no files or variables of this user. It waits `patience` seconds for an answer.

    Raises ConfigError where boto3 is missing.
    """
    with _making:
        config = _config(connect_timeout=CONNECT_SECONDS, read_timeout=patience)
        return _session().client(service, endpoint_url=endpoint_url, region_name=region, config=config)


@functools.cache
def _session() -> Any:
    """Return the session of all clients: loading its description of SQS takes a quarter of a second."""
    try:
        import boto3
        import botocore.session
    except ImportError as exc:
        raise missing(exc) from exc
    fixed = {"profile": None, "config_file": os.devnull, "credentials_file": os.devnull}
    core = botocore.session.Session(session_vars={name: (None, [], value, None) for name, value in fixed.items()})
    sdk: Any = boto3
    return sdk.Session(
        aws_access_key_id="testing",
        aws_secret_access_key="testing",  # noqa: S106 - good for nothing but an emulator
        botocore_session=core,
    )


def _config(**timeouts: float) -> Any:
    from botocore.config import Config

    return Config(**timeouts, retries={"total_max_attempts": 2}, proxies={})
