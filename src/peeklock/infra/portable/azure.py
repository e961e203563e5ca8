"""A queue on Azure. `${...}` stands for what the program chooses or the cloud gives: names that are unique in the whole cloud, the
identity's client id, and the connection string of Application Insights."""

from __future__ import annotations

from typing import Any

from peeklock.infra.alarms import Alarm
from peeklock.infra.azure import naming
from peeklock.infra.azure.alarms import SEVERITIES, MetricSignal, Signal, alarms, period
from peeklock.infra.azure.environment import ResourceNames, environment, for_producers, store_address
from peeklock.infra.azure.identity import Grant, grants, redrive_grants, role_id, send_grants
from peeklock.infra.portable.stack import Stack, plain_fields
from peeklock.infra.settings.azure import compute, host_json
from peeklock.queue import Queue

NAMESPACE, FUNCTION = "${namespace}", "${function}"
TABLE = "leases"


def queue_document(stack: Stack, queue: Queue) -> dict[str, Any]:
    """Return the queue's part of the document."""
    settings, dead_letters = compute(queue, stack.capacity_of(queue)), f"{queue.name}-dead-letters"
    names = ResourceNames(
        namespace=NAMESPACE,
        dead_letters=dead_letters,
        store=store_address("${host_account}", TABLE),
        host_account="${host_account}",
        client_id="${client_id}",
        telemetry="${telemetry}",
    )
    host_id = naming.host_id(stack.app, queue.name, stack.name)
    rows = alarms(queue, settings, stack.stage.thresholds, app=FUNCTION, dead_letters=dead_letters)
    return {
        "names": {
            "queue": queue.name,
            "dead_letters": dead_letters,
            "function": naming.function_app(stack.app, queue.name),
            "container": f"code-{host_id}",
            "table": TABLE,
        },
        "settings": plain_fields(settings),
        "host": host_json(settings),
        "variables": environment(
            queue, settings, names, uses={}, variables={}, host_id=host_id, function="", consuming=True
        ),
        "producer": for_producers(queue, NAMESPACE),
        "roles": {
            "function": [_grant(grant) for grant in grants(queue)],
            "send": [_grant(grant) for grant in send_grants()],
            "redrive_dead_letters": [_grant(grant) for grant in redrive_grants()],
        },
        "alarms": {alarm.name: _alarm(alarm) for alarm in rows},
    }


def _grant(grant: Grant) -> dict[str, str]:
    return {"name": grant.name, "role_id": role_id(grant.role), "on": grant.on, "why": grant.why}


def _alarm(alarm: Alarm[Signal]) -> dict[str, Any]:
    signal = alarm.signal
    watched = plain_fields(signal) | {"window": period(signal.window), "every": period(signal.every)}
    return {
        **watched,
        "kind": "metric" if isinstance(signal, MetricSignal) else "query",
        "severity": SEVERITIES[alarm.severity],
        "description": alarm.description,
        "threshold": alarm.threshold,
    }
