"""A queue on AWS. `${...}` stands for what exists only once the resources do: ARNs and URLs."""

from __future__ import annotations

import json
from typing import Any

from peeklock.infra.alarms import Alarm
from peeklock.infra.aws import identity
from peeklock.infra.aws.alarms import Names, Signal, alarms
from peeklock.infra.aws.environment import check_names, environment
from peeklock.infra.portable.stack import Stack, plain_fields
from peeklock.infra.settings.aws import Settings, check_log_days, compute
from peeklock.queue import Queue

QUEUE, QUEUE_URL = "${queue_arn}", "${queue_url}"
DEAD_LETTERS, DEAD_LETTERS_URL = "${dead_letters_arn}", "${dead_letters_url}"
TABLE, LOGS = "${table_arn}", "${logs_arn}"


def queue_document(stack: Stack, queue: Queue) -> dict[str, Any]:
    """Return the queue's part of the document."""
    check_names(stack.app, queue)
    check_log_days(stack.stage.log_days)
    settings, names = compute(queue, stack.capacity_of(queue)), _names(stack, queue)
    watched = Names(app=stack.app, queue=names["queue"], dead_letters=names["dead_letters"], function=names["function"])
    return {
        "names": names,
        "settings": plain_fields(settings),
        "variables": environment(
            stack.app,
            queue,
            url=QUEUE_URL,
            dead_letters=DEAD_LETTERS_URL,
            table=names["table"],
            parallel=settings.parallel,
            uses={},
            variables={},
            secrets={},
        ),
        "producer": {queue.variable("URL"): QUEUE_URL},
        "policies": {name: json.loads(text) for name, text in _policies(settings).items()},
        "alarms": {alarm.name: _alarm(alarm) for alarm in alarms(queue, settings, stack.stage.thresholds, watched)},
    }


def _names(stack: Stack, queue: Queue) -> dict[str, str]:
    name, end = f"{stack.app}-{queue.name}", ".fifo" if queue.fifo else ""
    return {
        "queue": f"{name}{end}",
        "dead_letters": f"{name}-dead-letters{end}",
        "function": name,
        "role": f"{name}-role",
        "logs": f"/aws/lambda/{name}",
        "table": f"{stack.app}-store",
    }


def _policies(settings: Settings) -> dict[str, str]:
    """Return the documents of all policies; `send` and `redrive_dead_letters` are for producers and operators."""
    arns = identity.ConsumerArns(queue=QUEUE, dead_letters=DEAD_LETTERS, table=TABLE, logs=LOGS)
    return {
        "assume_role": identity.assumed_by_lambda(),
        "function": identity.document(identity.grants(arns)),
        "queue": identity.queue_policy(QUEUE),
        "dead_letters": identity.queue_policy(DEAD_LETTERS),
        "redrive": identity.redrive(DEAD_LETTERS, settings.receives),
        "redrive_allow": identity.redrive_allow(QUEUE),
        "send": identity.document(identity.send_grants(QUEUE)),
        "redrive_dead_letters": identity.document(identity.redrive_grants(QUEUE, DEAD_LETTERS)),
    }


def _alarm(alarm: Alarm[Signal]) -> dict[str, Any]:
    signal = alarm.signal
    return {
        "severity": alarm.severity,
        "description": alarm.description,
        "threshold": alarm.threshold,
        "comparison": "GreaterThanOrEqualToThreshold" if signal.or_equal else "GreaterThanThreshold",
        "evaluation_periods": signal.periods,
        "datapoints_to_alarm": signal.failing,
        "missing_data": "notBreaching",
        "expression": signal.expression,
        "metrics": [plain_fields(metric) for metric in signal.metrics],
    }
