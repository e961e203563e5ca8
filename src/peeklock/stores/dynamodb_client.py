"""The client of DynamoDB."""

from __future__ import annotations

from typing import Any

from peeklock.errors import ConfigError
from peeklock.once import once
from peeklock.registry import missing
from peeklock.stores.together import CONNECTIONS

CONNECT_SECONDS = 2


READ_SECONDS = 3
"""DynamoDB answers within milliseconds; what takes longer is lost, and the desk asks again while there is time."""


@once
def client() -> Any:
    """The process's client; region, endpoint and credentials are boto3's business. Raises ConfigError without boto3 or a
    region. Parameters are not validated, which the service does anyway, and nothing is retried, which the desk does.
    https://docs.aws.amazon.com/botocore/latest/reference/config.html"""
    try:
        import boto3
        from botocore.config import Config
        from botocore.exceptions import NoRegionError
    except ImportError as exc:
        raise missing(exc, "dynamodb") from exc
    config = Config(
        connect_timeout=CONNECT_SECONDS,
        read_timeout=READ_SECONDS,
        max_pool_connections=CONNECTIONS,
        parameter_validation=False,
        retries={"mode": "standard", "total_max_attempts": 1},
    )
    try:
        return boto3.client("dynamodb", config=config)
    except NoRegionError as exc:
        raise ConfigError("the DynamoDB store needs a region: set AWS_DEFAULT_REGION, as Lambda does") from exc
