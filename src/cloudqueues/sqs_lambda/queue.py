"""The queue, by the real SDK. Its calls are made one at a time in a thread of their own.

One at a time also because moto's SQS rebuilds its list of messages without a lock: two deletes at once undo each other.
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
"""A boto3 session makes one client at a time. https://docs.aws.amazon.com/boto3/latest/guide/session.html"""

_COUNTS = (
    "ApproximateNumberOfMessages",
    "ApproximateNumberOfMessagesNotVisible",
    "ApproximateNumberOfMessagesDelayed",
)


class QueueError(CloudqueuesError):
    """SQS did not answer, or refused."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Description:
    arn: str
    visibility: timedelta


class Queue:
    """Each call raises QueueError."""

    def __init__(self, url: str, endpoint_url: str, region: str) -> None:
        self._url = url
        self._region = region
        self._arn = ""
        self._thread = ThreadPoolExecutor(1, "cloudqueues-sqs-client")
        self._endpoint = endpoint_url
        self._sqs: Any = None

    async def describe(self) -> Description:
        told = await self._call("get_queue_attributes", AttributeNames=["QueueArn", "VisibilityTimeout"])
        self._arn = told["Attributes"]["QueueArn"]
        return Description(arn=self._arn, visibility=timedelta(seconds=int(told["Attributes"]["VisibilityTimeout"])))

    async def receive(self, most: int) -> list[ReceivedMessage]:
        """Without waiting: moto's long poll of a FIFO queue turns in circles, and a stop would have to wait for it."""
        told = await self._call(
            "receive_message",
            MaxNumberOfMessages=most,
            AttributeNames=["All"],
            MessageAttributeNames=["All"],
            WaitTimeSeconds=0,
        )
        return [received_message(one, self._arn, self._region) for one in told.get("Messages", ())]

    async def delete(self, messages: Sequence[ReceivedMessage]) -> list[str]:
        """The ids of those that are not deleted, with SQS's reasons."""
        failed: list[str] = []
        for start in range(0, len(messages), MAX_ENTRIES):
            chunk = messages[start : start + MAX_ENTRIES]
            entries = [{"Id": str(n), "ReceiptHandle": one.handle} for n, one in enumerate(chunk)]
            told = await self._call("delete_message_batch", Entries=entries)
            failed += [f"{chunk[int(one['Id'])].id}: {one.get('Code')}" for one in told.get("Failed", ())]
        return failed

    async def release(self, message: ReceivedMessage) -> None:
        """Its lock ends now."""
        await self._call("change_message_visibility", ReceiptHandle=message.handle, VisibilityTimeout=0)

    async def empty(self) -> bool:
        """Whether there is no message of any kind: visible, under a lock, delayed.

        The kinds are counted one after the other, and a message whose lock ends in between is in none of them: so only
        the second zero is believed.
        """
        return not await self._count() and not await self._count()

    async def _count(self) -> int:
        told = await self._call("get_queue_attributes", AttributeNames=list(_COUNTS))
        return sum(int(told["Attributes"].get(name, 0)) for name in _COUNTS)

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
    """A boto3 client that reads neither files nor variables of this machine's user; it waits `patience` seconds for an
    answer.

    Raises ConfigError where boto3 is missing.
    """
    with _making:
        config = _config(connect_timeout=CONNECT_SECONDS, read_timeout=patience)
        return _session().client(service, endpoint_url=endpoint_url, region_name=region, config=config)


@functools.cache
def _session() -> Any:
    """One for all clients: what it reads of SQS's description takes a quarter of a second."""
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
