"""Secrets of handlers: from the environment, and by reference on AWS, through Powertools' own reader on moto."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

import boto3
import pytest
from aws_lambda_powertools.utilities import parameters
from moto import mock_aws

from peeklock import ConfigError, secret
from tests.support import environment


@pytest.fixture
def aws() -> Iterator[None]:
    keys = dict.fromkeys(("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"), "testing")
    parameters.clear_caches()
    parameters.base.DEFAULT_PROVIDERS.clear()
    with environment(AWS_DEFAULT_REGION="eu-west-1", **keys), mock_aws():
        yield
    parameters.clear_caches()
    parameters.base.DEFAULT_PROVIDERS.clear()


def in_secrets_manager(**value: Any) -> str:
    return str(boto3.client("secretsmanager").create_secret(Name="gateway", **value)["ARN"])


def in_parameter_store(name: str) -> str:
    client = boto3.client("ssm")
    client.put_parameter(Name=name, Value="s3cret", Type="SecureString")
    return str(client.get_parameter(Name=name)["Parameter"]["ARN"])


def test_a_secret_is_the_value_of_its_variable():
    with environment(GATEWAY_KEY="s3cret", PEEKLOCK_SECRET_GATEWAY_KEY="arn:never:read"):
        assert secret("GATEWAY_KEY") == "s3cret"


def test_a_missing_secret_names_the_variable_and_the_argument():
    with (
        environment(GATEWAY_KEY=""),
        pytest.raises(ConfigError, match=r"set the environment variable GATEWAY_KEY.*secrets="),
    ):
        secret("GATEWAY_KEY")


@pytest.mark.parametrize("value", [{"SecretString": "s3cret"}, {"SecretBinary": b"s3cret"}])
def test_a_secret_of_secrets_manager_is_read_by_reference(aws, value):
    with environment(PEEKLOCK_SECRET_GATEWAY_KEY=in_secrets_manager(**value)):
        assert secret("GATEWAY_KEY") == "s3cret"


@pytest.mark.parametrize("name", ["gateway", "/shop/gateway"])
def test_a_parameter_of_parameter_store_is_read_and_decrypted(aws, name):
    with environment(PEEKLOCK_SECRET_GATEWAY_KEY=in_parameter_store(name)):
        assert secret("GATEWAY_KEY") == "s3cret"


def test_a_secret_is_read_once_in_five_minutes(aws):
    arn = in_secrets_manager(SecretString="s3cret")
    with environment(PEEKLOCK_SECRET_GATEWAY_KEY=arn):
        assert secret("GATEWAY_KEY") == "s3cret"
        boto3.client("secretsmanager").put_secret_value(SecretId=arn, SecretString="rotated")
        assert secret("GATEWAY_KEY") == "s3cret"


def test_a_secret_is_read_again_after_five_minutes(aws, monkeypatch):
    """Powertools keeps values until a time of day, as `datetime` says it."""
    from aws_lambda_powertools.utilities.parameters import base

    arn = in_secrets_manager(SecretString="s3cret")
    with environment(PEEKLOCK_SECRET_GATEWAY_KEY=arn):
        assert secret("GATEWAY_KEY") == "s3cret"
        boto3.client("secretsmanager").put_secret_value(SecretId=arn, SecretString="rotated")
        later = datetime.now() + timedelta(seconds=301)  # noqa: DTZ005 - as Powertools does
        monkeypatch.setattr(base, "datetime", type("Later", (), {"now": staticmethod(lambda: later)}))
        assert secret("GATEWAY_KEY") == "rotated"


def test_a_refused_secret_is_powertools_own_error(aws):
    with (
        environment(PEEKLOCK_SECRET_GATEWAY_KEY="arn:aws:secretsmanager:eu-west-1:123456789012:secret:gone-AbCdEf"),
        pytest.raises(parameters.GetParameterError, match="ResourceNotFoundException"),
    ):
        secret("GATEWAY_KEY")


def test_without_powertools_the_error_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "aws_lambda_powertools.utilities", None)
    with (
        environment(PEEKLOCK_SECRET_GATEWAY_KEY="arn:aws:ssm:eu-west-1:123456789012:parameter/gateway"),
        pytest.raises(ConfigError, match=r"pip install 'peeklock\[powertools\]'"),
    ):
        secret("GATEWAY_KEY")


def test_a_reference_that_azure_could_not_read_is_no_secret():
    """The platform leaves the reference itself in the environment."""
    reference = "@Microsoft.KeyVault(SecretUri=https://shop.vault.azure.net/secrets/gateway)"
    with environment(GATEWAY_KEY=reference), pytest.raises(ConfigError, match="could not be read from Key Vault"):
        secret("GATEWAY_KEY")
