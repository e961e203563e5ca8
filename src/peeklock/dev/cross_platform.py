"""Sends from a function of one platform to a queue that another platform consumes: both emulators run, so they arrive."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence

from peeklock.dev.runner import Discovery, Runner
from peeklock.queue import Queue

OWN = frozenset({"AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_DEFAULT_REGION"})
"""Variables that a client of the emulator needs, with any values: where the user has set them, handlers may need them elsewhere."""


def variables_across(runners: Sequence[Runner], found: Discovery) -> dict[str, dict[str, str]]:
    """Return for each platform the variables with which its functions reach queues that it does not consume, and another does: the
    queue's address there, and what a client of that platform needs."""
    variables: dict[str, dict[str, str]] = {runner.platform: {} for runner in runners}
    for runner, queue, other in _crossing(runners, found):
        theirs = other.variables()
        kept = {name for name in theirs if _is_of(name, found.queues.values()) or (name in OWN and name in os.environ)}
        clients = {name: value for name, value in theirs.items() if name not in kept}
        address = queue.variable("URL")
        variables[runner.platform] |= {**clients, address: theirs[address]}
    return variables


def notices(runners: Sequence[Runner], found: Discovery) -> Iterator[str]:
    """Say where sends go that do not stay on their platform, and which queues nobody consumes."""
    for runner, queue, other in _crossing(runners, found):
        yield f"{runner.platform}: what is sent to {queue.name!r} goes to {other.platform}, which alone consumes it here"
    consumed = {name for runner in runners for name in found.consumed(runner.platform)}
    idle = sorted(found.queues.keys() - consumed)
    if idle:
        yield f"nobody here consumes {', '.join(map(repr, idle))}: what is sent there stays in its queue"


def _crossing(runners: Sequence[Runner], found: Discovery) -> Iterator[tuple[Runner, Queue, Runner]]:
    """Pairs of a platform and a queue that it does not consume, with the first platform that does."""
    for queue in found.queues.values():
        consuming = [runner for runner in runners if queue.name in found.consumed(runner.platform)]
        for runner in runners:
            if consuming and runner not in consuming:
                yield runner, queue, consuming[0]


def _is_of(variable: str, queues: Iterable[Queue]) -> bool:
    """Return whether a variable is about a queue, such as `PEEKLOCK_ORDERS_URL`."""
    return any(variable.startswith(queue.variable("")) for queue in queues)
