"""The driver for synchronous handlers: it does what the lives ask for, here and in threads. No decision is made here."""

from __future__ import annotations

from concurrent.futures import Future
from queue import Empty, SimpleQueue

from peeklock.crew import Crew, pool
from peeklock.desk import take_round
from peeklock.plan import Plan, Window
from peeklock.schedule import Schedule

NO_SLOT = "handlers that could not be stopped take every slot"


class Thread:
    """Drives synchronous handlers."""

    def __init__(self, schedule: Schedule, plan: Plan, window: Window, crew: Crew, inbox: SimpleQueue[object]) -> None:
        self.schedule = schedule
        self.plan = plan
        self.window = window
        self.crew = crew
        self.inbox = inbox
        self.desk_busy = False

    def drive(self) -> None:
        """Until each message has its outcome."""
        schedule, crew = self.schedule, self.crew
        while schedule.unfinished:
            self._do_io()
            if crew.work(schedule, io_waits=self.desk_busy):
                continue
            if crew.busy or self.desk_busy:
                self._wait()
            elif schedule.changes or schedule.sends:
                continue  # what a round led to comes first: a batch handler waits for all that it may let run
            elif schedule.ready:
                schedule.halt_ready(NO_SLOT)
            else:
                schedule.next_suspect()

    def _do_io(self) -> None:
        """Here, when there is nothing else to do; beside the handlers otherwise, one round at a time: what is asked for
        while one is under way goes out together in the next."""
        if self.desk_busy:
            return
        io = take_round(self.schedule, self.plan, self.window)
        if io is None:
            return
        if self.crew.busy or self.schedule.ready:
            self.desk_busy = True
            pool().submit(io).add_done_callback(self.inbox.put)
        else:
            self._feed(io())

    def _wait(self) -> None:
        ended, patience = self.crew.collect()
        for items, errors in ended:
            for item, error in zip(items, errors, strict=True):
                self.schedule.advance(item, error)
        if ended:
            return
        try:
            self._feed(self.inbox.get(timeout=patience))
        except Empty:
            return

    def _feed(self, arrived: object) -> None:
        """The results of a round; anything else only means: look at the crew. What ends a process is raised here."""
        if isinstance(arrived, Future):
            self.desk_busy = False
            arrived = arrived.result()
        if isinstance(arrived, list):
            for item, result in arrived:
                self.schedule.advance(item, result)
