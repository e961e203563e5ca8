"""What the tables of AWS share: clients of the local server, and names as its API has them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from cloudqueues.pulumi.fake_outputs import REGION
from cloudqueues.pulumi.resources import Values
from cloudqueues.sqs_lambda.queue import client

MISSING = frozenset(
    {
        "AWS.SimpleQueueService.NonExistentQueue",
        "NoSuchEntity",
        "NotFound",
        "NotFoundException",
        "QueueDoesNotExist",
        "ResourceNotFound",
        "ResourceNotFoundException",
        "404",
    }
)
"""Error codes of what is not there."""


SERVICES = ("sqs", "lambda", "iam", "dynamodb", "cloudwatch", "logs", "sns")
PATIENCE = 60.0
"""Seconds: an upload of code to moto takes some."""


class Clients:
    """boto3's, at one address, for many threads. They read neither files nor variables of this machine's user."""

    def __init__(self, endpoint_url: str) -> None:
        self._made = {name: client(endpoint_url, REGION, name, patience=PATIENCE) for name in SERVICES}

    def __getitem__(self, service: str) -> Any:
        return self._made[service]

    def close(self) -> None:
        for one in self._made.values():
            one.close()


def none_if_missing(call: Callable[..., Any], **arguments: Any) -> Any:
    """What a client's method answers, or None where what it is about is not there."""
    client: Any = getattr(call, "__self__")  # noqa: B009 (mypy knows none of a callable)
    try:
        return call(**arguments)
    except client.exceptions.ClientError as exc:
        if exc.response["Error"]["Code"] in MISSING:
            return None
        raise


def pascal(value: Any) -> Any:
    """Keys as AWS's API has them: `maximumConcurrency` is `MaximumConcurrency`, at all depths."""
    if isinstance(value, dict):
        return {name[0].upper() + name[1:]: pascal(one) for name, one in value.items()}
    return [pascal(one) for one in value] if isinstance(value, list) else value


def camel(value: Any) -> Any:
    """The opposite of `pascal`."""
    if isinstance(value, dict):
        return {name[0].lower() + name[1:]: camel(one) for name, one in value.items()}
    return [camel(one) for one in value] if isinstance(value, list) else value


def to_api(values: Values, names: Mapping[str, str]) -> dict[str, Any]:
    """Those that are there, under the API's names."""
    return {theirs: pascal(values[ours]) for ours, theirs in names.items() if ours in values}


def found(answer: Mapping[str, Any], names: Mapping[str, str]) -> dict[str, Any]:
    """The opposite of `chosen`."""
    return {ours: camel(answer[theirs]) for ours, theirs in names.items() if theirs in answer}


def no_outputs(*_: Any) -> dict[str, Any]:
    """For what has nothing to do or to say."""
    return {}
