"""Clock, fault injection, settings and state that the parts of a running host share."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from dataclasses import dataclass, field
from typing import Any

from cloudqueues.faults import Faults
from cloudqueues.functions_host.history import History
from cloudqueues.functions_host.locked_messages import LockRegistry
from cloudqueues.functions_host.settings import HostOptions
from cloudqueues.functions_host.supervisor import WorkerSupervisor
from cloudqueues.functions_host.worker import EmitLine
from cloudqueues.timeline import Timeline


@dataclass(slots=True, kw_only=True)
class HostContext:
    """Shared state of one load of an app. It belongs to the host's event loop; `faults` may be replaced from any thread."""

    timeline: Timeline
    faults: Faults
    options: HostOptions
    supervisor: WorkerSupervisor
    history: History
    emit_line: EmitLine
    namespace: str
    locks: LockRegistry = field(default_factory=LockRegistry)
    timer_tasks: set[asyncio.Task[None]] = field(default_factory=set[asyncio.Task[None]])
    """Tasks that timers have started; moving the time waits for them."""
    occurrences: dict[tuple[object, ...], int] = field(default_factory=dict[tuple[object, ...], int])
    """How often each fault was asked about, by its knob and delivery."""

    def spawn(self, work: Coroutine[Any, Any, None]) -> None:
        """Run a coroutine for a timer."""
        task = asyncio.get_running_loop().create_task(work)
        self.timer_tasks.add(task)
        task.add_done_callback(self.timer_tasks.discard)

    def hits(self, knob: str, *what: object) -> bool:
        """Return True when a fault happens now. Equal deliveries are distinguished by how often they occurred."""
        if not getattr(self.faults, knob):
            return False
        key = (knob, *what)
        self.occurrences[key] = self.occurrences.get(key, 0) + 1
        return self.faults.hits(knob, *what, self.occurrences[key])
