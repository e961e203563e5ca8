"""Secrets of functions on AWS, read by aws-lambda-powertools."""

from __future__ import annotations

from typing import Any

from peeklock import registry

KEPT_SECONDS = 300
"""Time for which a value is kept, after which a rotated one is read: requests are charged."""


def from_reference(arn: str) -> str:
    """Return the secret of Secrets Manager or the parameter of Parameter Store that has this ARN. Raises ConfigError where
    Powertools is not installed; and Powertools' `GetParameterError` where AWS refuses or does not answer, which is a failed
    attempt like any other exception of a handler.
    """
    try:
        from aws_lambda_powertools.utilities import parameters
    except ImportError as exc:
        raise registry.missing(exc) from exc
    value: Any
    if ":ssm:" in arn:
        value = parameters.get_parameter(arn, decrypt=True, max_age=KEPT_SECONDS)
    else:
        value = parameters.get_secret(arn, max_age=KEPT_SECONDS)
    return value.decode() if isinstance(value, bytes) else str(value)
