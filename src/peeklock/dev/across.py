"""Sends from a function of one platform to a queue that another platform consumes: both emulators run, so they arrive."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence

from peeklock.dev.world import Found, Stand
from peeklock.queue import Queue

OWN = frozenset({"AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_DEFAULT_REGION"})
"""Variables that a client of the emulator needs, with any values: where the user has set them, handlers may need them elsewhere."""


def carried(stands: Sequence[Stand], found: Found) -> dict[str, dict[str, str]]:
    """Return for each platform the variables with which its functions reach queues that it does not consume, and another does: the
    queue's address there, and what a client of that platform needs."""
    variables: dict[str, dict[str, str]] = {stand.platform: {} for stand in stands}
    for stand, queue, other in _crossing(stands, found):
        theirs = other.variables()
        kept = {name for name in theirs if _is_of(name, found.queues.values()) or (name in OWN and name in os.environ)}
        clients = {name: value for name, value in theirs.items() if name not in kept}
        address = queue.variable("URL")
        variables[stand.platform] |= {**clients, address: theirs[address]}
    return variables


def notices(stands: Sequence[Stand], found: Found) -> Iterator[str]:
    """Say where sends go that do not stay on their platform, and which queues nobody consumes."""
    for stand, queue, other in _crossing(stands, found):
        yield f"{stand.platform}: what is sent to {queue.name!r} goes to {other.platform}, which alone consumes it here"
    consumed = {name for stand in stands for name in found.consumed(stand.platform)}
    idle = sorted(found.queues.keys() - consumed)
    if idle:
        yield f"nobody here consumes {', '.join(map(repr, idle))}: what is sent there stays in its queue"


def _crossing(stands: Sequence[Stand], found: Found) -> Iterator[tuple[Stand, Queue, Stand]]:
    """Pairs of a platform and a queue that it does not consume, with the first platform that does."""
    for queue in found.queues.values():
        consuming = [stand for stand in stands if queue.name in found.consumed(stand.platform)]
        for stand in stands:
            if consuming and stand not in consuming:
                yield stand, queue, consuming[0]


def _is_of(variable: str, queues: Iterable[Queue]) -> bool:
    """Return whether a variable is about a queue, such as `PEEKLOCK_ORDERS_URL`."""
    return any(variable.startswith(queue.variable("")) for queue in queues)
