"""A queue on Google Cloud, where every name is known before its resource exists."""

from __future__ import annotations

from typing import Any

from peeklock.errors import ConfigError
from peeklock.infra.alarms import Alarm
from peeklock.infra.gcp import identity
from peeklock.infra.gcp.alarms import SEVERITIES, MetricSignal, Names, Signal, alarms, failures_metric, log_filter
from peeklock.infra.gcp.environment import address, dead_letters_address, environment
from peeklock.infra.gcp.naming import Deployment
from peeklock.infra.portable.stack import Stack, plain_fields
from peeklock.infra.settings.gcp import compute
from peeklock.queue import Queue

COLLECTION = "leases"


def queue_document(stack: Stack, queue: Queue) -> dict[str, Any]:
    """Return the queue's part of the document. Raises ConfigError without a project and a region."""
    if not stack.project or not stack.region:
        raise ConfigError("give --project and --region, or a stack file with gcp:project and gcp:region")
    deployment = Deployment(project=stack.project, region=stack.region, app=stack.app, stack=stack.name)
    settings, names = compute(queue, stack.capacity_of(queue)), _names(deployment, queue)
    target, topic = deployment.url(names["function"]), f"projects/{stack.project}/topics/{names['topic']}"
    queue_address = address(deployment.queue(names["queue"]), target, names["caller"], settings.deadline)
    watched = Names(queue=names["queue"], service=names["function"], subscription=names["subscription"])
    return {
        "names": names,
        "settings": plain_fields(settings),
        "variables": environment(
            queue,
            settings,
            address=queue_address,
            dead_letters=dead_letters_address(topic),
            store=f"firestore://{stack.project}/{names['database']}/{COLLECTION}",
            target=target,
            caller=names["caller"],
            uses={},
            variables={},
        ),
        "producer": {queue.variable("URL"): queue_address},
        "roles": _roles(queue),
        "failures_metric": {"name": failures_metric(names["function"]), "filter": log_filter(queue, names["function"])},
        "alarms": {alarm.name: _alarm(alarm) for alarm in alarms(queue, settings, stack.stage.thresholds, watched)},
    }


def _names(deployment: Deployment, queue: Queue) -> dict[str, str]:
    service = deployment.service(queue)
    dead_letters = deployment.resource_name(queue.name, "dead-letters", most=200)
    return {
        "queue": service,
        "function": service,
        "topic": dead_letters,
        "subscription": dead_letters,
        "caller": deployment.email(deployment.account(queue.name, "call")),
        "runner": deployment.email(deployment.account(queue.name, "run")),
        "database": deployment.resource_name(),
    }


def _roles(queue: Queue) -> dict[str, list[dict[str, str]]]:
    """Return the roles; `send` and `redrive_dead_letters` are for producers and operators."""
    granted = {
        "function": identity.grants(queue),
        "caller": (identity.CALLER,),
        "send": identity.send_grants("send", "sends to the queue"),
        "redrive_dead_letters": identity.redrive_grants(),
    }
    return {who: [_grant(grant) for grant in grants] for who, grants in granted.items()}


def _grant(grant: identity.Grant) -> dict[str, str]:
    return {"name": grant.name, "role": grant.role.value, "on": grant.on, "why": grant.why}


def _alarm(alarm: Alarm[Signal]) -> dict[str, Any]:
    signal = alarm.signal
    watched = (
        {"kind": "metric", "filter": signal.filter, "period": signal.period}
        if isinstance(signal, MetricSignal)
        else {"kind": "query", "query": signal.query(alarm.threshold), "lasting": signal.lasting}
    )
    return {
        **watched,
        "severity": SEVERITIES[alarm.severity],
        "description": alarm.description,
        "threshold": alarm.threshold,
    }
