"""The client of DynamoDB."""

from __future__ import annotations

from typing import Any

from peeklock.concurrency.per_process import per_process
from peeklock.errors import ConfigError
from peeklock.registry import missing
from peeklock.stores.parallel import CONNECTIONS

CONNECT_SECONDS = 2


READ_SECONDS = 3
"""DynamoDB answers within milliseconds; what takes longer is lost, and the desk asks again while there is time."""


@per_process
def client() -> Any:
    """The process's client; region, endpoint and credentials are boto3's business. To make one asks for credentials, which
    may take as long as their endpoint likes. Parameters are not validated, which the service does anyway, and nothing is
    retried, which the desk does. https://docs.aws.amazon.com/botocore/latest/reference/config.html"""
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
    """Raises ConfigError without boto3 or a region. Reaches no network."""
    try:
        import boto3
    except ImportError as exc:
        raise missing(exc, "dynamodb") from exc
    if not boto3.Session().region_name:
        raise ConfigError("the DynamoDB store needs a region: set AWS_DEFAULT_REGION, as Lambda does")
