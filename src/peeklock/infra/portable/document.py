"""Document of a stack: each queue with its names, settings, variables, permissions and alarms."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict
from typing import Any

from peeklock.infra.options import check_capacity_queues, check_variables
from peeklock.infra.portable import aws, azure, gcp
from peeklock.infra.portable.stack import Stack
from peeklock.queue import Queue

FORMAT = 1
"""Version of the document's form. It grows where a key is renamed, removed or means something else; new keys do not change it."""

QUEUES: Mapping[str, Callable[[Stack, Queue], dict[str, Any]]] = {
    "aws": aws.queue_document,
    "azure": azure.queue_document,
    "gcp": gcp.queue_document,
}


def document(cloud: str, stack: Stack, queues: Mapping[str, Queue]) -> dict[str, Any]:
    """Return everything that the components of a cloud compute for the queues. Raises ConfigError for what the cloud does not
    accept, and for capacities of queues that there are not."""
    check_capacity_queues(stack.capacity, queues)
    check_variables(queues)
    return {
        "format": FORMAT,
        "cloud": cloud,
        "app": stack.app,
        "stack": stack.name,
        "stage": {**asdict(stack.stage), "notify": dict(stack.stage.notify)},
        "queues": {
            name: {
                "fingerprint": queue.fingerprint,
                "fifo": queue.fifo,
                "capacity": asdict(stack.capacity_of(queue)),
                **QUEUES[cloud](stack, queue),
            }
            for name, queue in sorted(queues.items())
        },
    }
