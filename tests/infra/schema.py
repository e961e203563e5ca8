"""Every registration against the installed SDK's own types.

The rules are `cloudqueues.pulumi.schema`, which the stand-in providers use too: take that package along.
"""

from __future__ import annotations

from cloudqueues.pulumi import schema
from tests.infra.recording import Registration


def problems(registration: Registration) -> list[str]:
    """Return the problems of a registration with the SDK's types, each as `type name: where: what`. Components have no types and no problems."""
    if not registration.custom or registration.read or registration.type.startswith("pulumi:"):
        return []
    complaints = schema.problems(registration.type, registration.inputs)
    return [f"{registration.type} {registration.name}: {complaint}" for complaint in complaints]
