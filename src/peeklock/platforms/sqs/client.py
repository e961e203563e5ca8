"""Client of SQS, and reading of queue URLs and ARNs."""

from __future__ import annotations

import functools
import re
from typing import Any
from urllib.parse import urlsplit

from peeklock.concurrency.per_process import per_process
from peeklock.errors import ConfigError

CONNECT_SECONDS = 2

READ_SECONDS = 5
"""SQS answers within milliseconds. boto3 would wait for 60 seconds, longer than many events last."""

TRIES = 2
"""Attempts of a call. The second follows a connection that was closed while idle, or a throttled call. After two failures the
message comes back. https://docs.aws.amazon.com/boto3/latest/guide/retries.html"""

_REGION = re.compile(r"[a-z]{2,4}(?:-[a-z]+)+-\d+")
_AWS = re.compile(
    r"\.(amazonaws\.(com|com\.cn|eu)|api\.(aws|amazonwebservices\.com\.cn)|c2s\.ic\.gov|sc2s\.sgov\.gov)$"
)
_LEGACY = re.compile(r"(sqs\.[a-z0-9-]+|([a-z0-9-]+\.)?queue)\.amazonaws\.com(\.cn)?")
# https://docs.aws.amazon.com/general/latest/gr/sqs-service.html


@per_process
def client(region: str | None = None, endpoint: str | None = None) -> Any:
    """Return the process's client. Raises ConfigError where boto3 or a region is missing."""
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
        raise ConfigError("the queue's URL names no AWS region: set AWS_REGION") from exc


def client_of(url: str) -> Any:
    """Return the client for a queue's URL. A host other than the region's usual one (FIPS, a VPC endpoint, dual stack, an
    emulator) is also the client's endpoint."""
    parts = urlsplit(url)
    usual = _LEGACY.fullmatch((parts.hostname or "").lower())
    return client(region_of(url), None if usual else f"{parts.scheme}://{parts.netloc}")


def region_of(url: str) -> str | None:
    """Return the region in the host name of an AWS URL; None for an emulator's."""
    host = (urlsplit(url).hostname or "").lower()
    region = "us-east-1" if host == "queue.amazonaws.com" else None
    is_aws = _LEGACY.fullmatch(host) or _AWS.search(host)
    return next(filter(_REGION.fullmatch, host.split(".")), region) if is_aws else None


@functools.lru_cache(maxsize=32)
def places_of(arn: str) -> tuple[str, ...]:
    """Return the `place` of senders to the queue of an ARN, with and without its region; nothing where it is no ARN."""
    *_, region, account, name = ["", "", *arn.split(":")]
    return (f"{region}/{account}/{name}", f"/{account}/{name}") if region else ()
