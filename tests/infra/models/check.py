"""A registration against its cloud's own model of the API, under the name that the engine gives to it."""

from __future__ import annotations

from cloudqueues.pulumi import aws_requests, rules
from cloudqueues.pulumi.autonaming import with_name
from cloudqueues.pulumi.shapes import problems
from tests.infra.models import azure, google
from tests.infra.recording import Registration

CLOUDS = {"aws": aws_requests, "azure-native": azure, "gcp": google}


def broken(registration: Registration) -> list[str]:
    """Return what its cloud would refuse by its model, each as `type name: path=value: rule (source)`. Raises KeyError for a type that
    has no model, so that none is left out."""
    if registration.read or not registration.custom:
        return []
    inputs = with_name(registration.type, registration.name, b"", registration.inputs, {})
    requests = CLOUDS[registration.type.partition(":")[0]].requests(registration.type, inputs)
    return [
        f"{registration.type} {registration.name}: {said}" for shape, body in requests for said in problems(shape, body)
    ]


def refused(registration: Registration) -> list[str]:
    """Return what its cloud would refuse though no model says so, as the stand-in does."""
    if registration.read or not registration.custom:
        return []
    violations = rules.problems(
        registration.type, with_name(registration.type, registration.name, b"", registration.inputs, {})
    )
    return [f"{registration.type} {registration.name}: {said}" for said in violations]
