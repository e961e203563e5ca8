"""Client of DynamoDB."""

from __future__ import annotations

from typing import Any

from peeklock.concurrency.per_process import per_process
from peeklock.errors import ConfigError
from peeklock.registry import missing
from peeklock.stores.parallel import CONNECTIONS

CONNECT_SECONDS = 2

READ_SECONDS = 3
"""DynamoDB answers within milliseconds: a slower answer is taken for lost, and the engine retries while there is time."""


@per_process
def client() -> Any:
    """Return the process's client, with boto3's own region, endpoint and credentials.

    Making it fetches credentials, which has no time limit. Parameters are not validated, since the service does that, and
    nothing is retried, since the engine does that. https://docs.aws.amazon.com/botocore/latest/reference/config.html
    """
    import boto3
    from botocore.config import Config

    config = Config(
        connect_timeout=CONNECT_SECONDS,
        read_timeout=READ_SECONDS,
        max_pool_connections=CONNECTIONS,
        parameter_validation=False,
        retries={"mode": "standard", "total_max_attempts": 1},
    )
    return boto3.client("dynamodb", config=config)


def check() -> None:
    """Raise ConfigError where boto3 or a region is missing. Does no I/O over a network."""
    try:
        import boto3
    except ImportError as exc:
        raise missing(exc, "dynamodb") from exc
    if not boto3.Session().region_name:
        raise ConfigError("the DynamoDB store needs a region: set AWS_DEFAULT_REGION, as Lambda does")
