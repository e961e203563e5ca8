"""Sends from a function of one platform to a queue that another platform consumes: both emulators run, so they arrive."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence

from peeklock.dev.discovery import Discovery
from peeklock.dev.runner import Runner
from peeklock.queue import Queue

OWN = frozenset({"AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_DEFAULT_REGION"})
"""Variables that a client of the emulator needs, with any values: where the user has set them, handlers may need them elsewhere."""


def variables_across(runners: Sequence[Runner], discovery: Discovery) -> dict[str, dict[str, str]]:
    """Return for each platform the variables with which its functions reach queues that it does not consume, and another
    does: the queue's address there, and what a client of that platform needs."""
    variables: dict[str, dict[str, str]] = {runner.platform: {} for runner in runners}
    for runner, queue, other in _crossing(runners, discovery):
        theirs = other.variables()
        kept = {
            name for name in theirs if _is_of(name, discovery.queues.values()) or (name in OWN and name in os.environ)
        }
        clients = {name: value for name, value in theirs.items() if name not in kept}
        address = queue.variable("URL")
        variables[runner.platform] |= {**clients, address: theirs[address]}
    return variables


def notices(runners: Sequence[Runner], discovery: Discovery) -> Iterator[str]:
    """Yield a line for each send that leaves its platform, and one with the queues that are not consumed."""
    for runner, queue, other in _crossing(runners, discovery):
        yield f"{runner.platform}: messages sent to {queue.name!r} go to {other.platform}, the only platform here that consumes it"
    consumed = {name for runner in runners for name in discovery.consumed(runner.platform)}
    yield from unconsumed(discovery.queues.keys() - consumed)


def unconsumed(queues: Iterable[str]) -> Iterator[str]:
    """Yield a line about queues that no function consumes, if there are any."""
    names = ", ".join(map(repr, sorted(queues)))
    if names:
        yield f"no function here consumes {names}: messages stay in the queue"


def _crossing(runners: Sequence[Runner], discovery: Discovery) -> Iterator[tuple[Runner, Queue, Runner]]:
    """Yield a platform and a queue that it does not consume, with the first platform that does."""
    for queue in discovery.queues.values():
        consuming = [runner for runner in runners if queue.name in discovery.consumed(runner.platform)]
        for runner in runners:
            if consuming and runner not in consuming:
                yield runner, queue, consuming[0]


def _is_of(variable: str, queues: Iterable[Queue]) -> bool:
    """Return whether a variable is about a queue, such as `PEEKLOCK_ORDERS_URL`."""
    return any(variable.startswith(queue.variable("")) for queue in queues)
