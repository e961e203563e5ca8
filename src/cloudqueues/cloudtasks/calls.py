"""Calls of the service's methods, which gRPC and REST share."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable
from typing import Any

from cloudqueues.cloudtasks.dispatch import Dispatcher
from cloudqueues.cloudtasks.errors import Code, Refused
from cloudqueues.cloudtasks.methods import Method
from cloudqueues.timeline import Timeline


class Caller:
    """Runs methods as remote calls, with faults before and after them."""

    def __init__(self, timeline: Timeline, dispatcher: Dispatcher, changed: Callable[[], None]) -> None:
        self._timeline = timeline
        self._dispatcher = dispatcher
        self._changed = changed
        self._seen: Counter[bytes] = Counter()

    async def run(self, name: str, method: Method, request: Any) -> Any:
        """Run a method. Raises Refused, also for a response that is lost: a client cannot tell the difference."""
        faults = self._dispatcher.faults
        what = self._identity(name, request)
        if faults.hits("refuse", *what):
            raise Refused(Code.UNAVAILABLE, "The service is currently unavailable.")
        answer = method(request)
        self._changed()
        if faults.hits("delay", *what):
            await self._timeline.sleep(faults.draw("delay for", *what) * faults.delay_s)
        if faults.hits("drop", *what):
            raise Refused(Code.UNAVAILABLE, "Socket closed")
        return answer

    def _identity(self, name: str, request: Any) -> tuple[str, str, int]:
        """Return the key that faults are drawn by: content and repetition of a call, so that a retry is drawn anew."""
        faults = self._dispatcher.faults
        if not (faults.refuse or faults.delay or faults.drop):
            return name, "", 0
        digest = hashlib.blake2b(name.encode() + request.SerializeToString(deterministic=True), digest_size=16)
        self._seen[digest.digest()] += 1
        return name, digest.hexdigest(), self._seen[digest.digest()]
