"""The client of SQS, and what an address says of its queue."""

from __future__ import annotations

import functools
import re
from typing import Any
from urllib.parse import urlsplit

from peeklock.concurrency.per_process import per_process
from peeklock.errors import ConfigError

CONNECT_SECONDS = 2

READ_SECONDS = 5
"""SQS answers within milliseconds. boto3 would wait for 60 seconds, longer than many an event lasts."""

TRIES = 2
"""The second is for a connection that was closed while it was idle, and for a throttled call. What fails twice comes back
with its message. https://docs.aws.amazon.com/boto3/latest/guide/retries.html"""

_REGION = re.compile(r"[a-z]{2,4}(?:-[a-z]+)+-\d+")
_AWS = re.compile(
    r"\.(amazonaws\.(com|com\.cn|eu)|api\.(aws|amazonwebservices\.com\.cn)|c2s\.ic\.gov|sc2s\.sgov\.gov)$"
)
_LEGACY = re.compile(r"(sqs\.[a-z0-9-]+|([a-z0-9-]+\.)?queue)\.amazonaws\.com(\.cn)?")
# https://docs.aws.amazon.com/general/latest/gr/sqs-service.html


@per_process
def client(region: str | None = None, endpoint: str | None = None) -> Any:
    """The process's client. Raises ConfigError where boto3 is missing, or a region."""
    try:
        import boto3
        from botocore.config import Config
        from botocore.exceptions import NoRegionError
    except ImportError as exc:
        raise ConfigError("boto3 is not installed: pip install 'peeklock[sqs]'") from exc
    config = Config(
        connect_timeout=CONNECT_SECONDS,
        read_timeout=READ_SECONDS,
        retries={"mode": "standard", "total_max_attempts": TRIES},
    )
    try:
        return boto3.client("sqs", region_name=region, endpoint_url=endpoint, config=config)
    except NoRegionError as exc:
        raise ConfigError("the queue's address names no region of AWS: set AWS_REGION") from exc


def client_of(url: str) -> Any:
    """The client for an address. Where the host is not the region's usual one (FIPS, a VPC endpoint, dual stack) or not
    AWS's at all (an emulator), it is also the endpoint."""
    parts = urlsplit(url)
    usual = _LEGACY.fullmatch((parts.hostname or "").lower())
    return client(region_of(url), None if usual else f"{parts.scheme}://{parts.netloc}")


def region_of(url: str) -> str | None:
    """The region that AWS's hosts name; None for an emulator's."""
    host = (urlsplit(url).hostname or "").lower()
    region = "us-east-1" if host == "queue.amazonaws.com" else None
    known = _LEGACY.fullmatch(host) or _AWS.search(host)
    return next(filter(_REGION.fullmatch, host.split(".")), region) if known else None


@functools.lru_cache(maxsize=32)
def places_of(arn: str) -> tuple[str, ...]:
    """The `place` of senders to a queue, whether their address names its region or not; none for what is no ARN."""
    *_, region, account, name = ["", "", *arn.split(":")]
    return (f"{region}/{account}/{name}", f"/{account}/{name}") if region else ()
