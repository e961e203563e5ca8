"""What the parts of a running host share."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
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
    """Belongs to the host's loop, but for `faults`, which may be replaced from anywhere."""

    timeline: Timeline
    faults: Faults
    options: HostOptions
    supervisor: WorkerSupervisor
    history: History
    emit_line: EmitLine
    namespace: str
    locks: LockRegistry = field(default_factory=LockRegistry)
    timer_tasks: set[asyncio.Task[None]] = field(default_factory=set[asyncio.Task[None]])
    """What timers have begun; moving the time waits for it."""
    seen: dict[tuple[object, ...], int] = field(default_factory=dict[tuple[object, ...], int])

    def spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self.timer_tasks.add(task)
        task.add_done_callback(self.timer_tasks.discard)

    def hits(self, knob: str, *what: object) -> bool:
        """Whether a fault happens now. Deliveries that look alike are told apart by how often they were seen."""
        if not getattr(self.faults, knob):
            return False
        key = (knob, *what)
        self.seen[key] = self.seen.get(key, 0) + 1
        return self.faults.hits(knob, *what, self.seen[key])

    def after(self, seconds: float, action: Callable[[], None]) -> Callable[[], None]:
        """What cancels it again."""
        return self.timeline.after(seconds, action).cancel

    async def pause(self, seconds: float) -> None:
        """In the host's own time."""
        over = asyncio.Event()
        cancel = self.after(seconds, over.set)
        try:
            await over.wait()
        finally:
            cancel()
