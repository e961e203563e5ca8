"""Clients of the local AWS server, and conversion between the property names of Pulumi and of AWS."""

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
"""Error codes for a resource that does not exist."""


SERVICES = ("sqs", "lambda", "iam", "dynamodb", "cloudwatch", "logs", "sns")
PATIENCE = 60.0
"""Seconds to wait for an answer. Uploads of code to moto are slow."""


class Clients:
    """boto3 clients of one address, for many threads. They read no files and no variables of this machine's user."""

    def __init__(self, endpoint_url: str) -> None:
        self._clients = {name: client(endpoint_url, REGION, name, patience=PATIENCE) for name in SERVICES}

    def __getitem__(self, service: str) -> Any:
        return self._clients[service]

    def close(self) -> None:
        for service_client in self._clients.values():
            service_client.close()


def none_if_missing(call: Callable[..., Any], **arguments: Any) -> Any:
    """Return the result of a client's method, or None where the resource does not exist."""
    client: Any = getattr(call, "__self__")  # noqa: B009 (mypy knows none of a callable)
    try:
        return call(**arguments)
    except client.exceptions.ClientError as exc:
        if exc.response["Error"]["Code"] in MISSING:
            return None
        raise


def pascal(value: Any) -> Any:
    """Return a value with the keys of AWS's API at all depths: `maximumConcurrency` becomes `MaximumConcurrency`."""
    if isinstance(value, dict):
        return {name[0].upper() + name[1:]: pascal(inner) for name, inner in value.items()}
    return [pascal(item) for item in value] if isinstance(value, list) else value


def camel(value: Any) -> Any:
    """Return a value with the keys of Pulumi, the opposite of `pascal`."""
    if isinstance(value, dict):
        return {name[0].lower() + name[1:]: camel(inner) for name, inner in value.items()}
    return [camel(item) for item in value] if isinstance(value, list) else value


def to_api(values: Values, names: Mapping[str, str]) -> dict[str, Any]:
    """Return the values that are set, under the API's names."""
    return {theirs: pascal(values[ours]) for ours, theirs in names.items() if ours in values}


def from_api(answer: Mapping[str, Any], names: Mapping[str, str]) -> dict[str, Any]:
    """Return the values of an API's answer under Pulumi's names, the opposite of `to_api`."""
    return {ours: camel(answer[theirs]) for ours, theirs in names.items() if theirs in answer}


def no_outputs(*_: Any) -> dict[str, Any]:
    """Return no outputs, as an update of a resource that has nothing to change."""
    return {}
