"""A call of a method, as gRPC and REST make it."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable
from typing import Any

from cloudqueues.cloudtasks.dispatch import Dispatcher, pause
from cloudqueues.cloudtasks.errors import Code, Refused
from cloudqueues.cloudtasks.methods import Method
from cloudqueues.timeline import Timeline


class Caller:
    """Runs a method as a remote call, with faults on the way to it and back."""

    def __init__(self, timeline: Timeline, dispatcher: Dispatcher, changed: Callable[[], None]) -> None:
        self._timeline = timeline
        self._dispatcher = dispatcher
        self._changed = changed
        self._seen: Counter[bytes] = Counter()

    async def run(self, name: str, method: Method, request: Any) -> Any:
        """Raises Refused, also for an answer that is lost: the client sees no more than that."""
        faults = self._dispatcher.faults
        what = self._identity(name, request)
        if faults.hits("refuse", *what):
            raise Refused(Code.UNAVAILABLE, "The service is currently unavailable.")
        answer = method(request)
        self._changed()
        if faults.hits("delay", *what):
            await pause(self._timeline, faults.draw("delay for", *what) * faults.delay_s)
        if faults.hits("drop", *what):
            raise Refused(Code.UNAVAILABLE, "Socket closed")
        return answer

    def _identity(self, name: str, request: Any) -> tuple[str, str, int]:
        """A call by its content and how often it was made: a second try has another fate than the first."""
        faults = self._dispatcher.faults
        if not (faults.refuse or faults.delay or faults.drop):
            return name, "", 0
        digest = hashlib.blake2b(name.encode() + request.SerializeToString(deterministic=True), digest_size=16)
        self._seen[digest.digest()] += 1
        return name, digest.hexdigest(), self._seen[digest.digest()]
