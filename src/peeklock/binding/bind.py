"""Binding a consumer to a platform: checks the options and the environment, and makes the BoundConsumer that the engine runs."""

from __future__ import annotations

import logging
import os
import random
import threading
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any, TypedDict, TypeVar

from peeklock.binding.addresses import check_apart, dead_letters_of, is_in_memory, place_of, queue_sender_of, store_of
from peeklock.binding.option_checks import check_options, unwrap_of
from peeklock.consuming.declaration import Consumer, resolve
from peeklock.engine import run as engine
from peeklock.engine.bound_consumer import RESERVE, BoundConsumer, Delays
from peeklock.errors import ConfigError
from peeklock.idempotency.store import Store
from peeklock.message import Message
from peeklock.observability.observer import LogObserver, Observer, Settled, log_event
from peeklock.outgoing import Sender
from peeklock.queue import Queue
from peeklock.sending.send import sender_to
from peeklock.timing.clock import Clock, SystemClock
from peeklock.timing.delays import MAX_DURATION, Random, Seconds, seconds
from peeklock.unwrap import Unwrap


class Options(TypedDict, total=False):
    """Options of every `bind`. Those left out come from the environment, which the infrastructure sets."""

    store: Store | str
    """The store or its URL. By default `PEEKLOCK_STORE`; without either there is no store, and the weaker guarantees are logged
    once."""
    dead_letter: Sender | str
    """Destination of dead letters. By default `PEEKLOCK_<QUEUE>_DEAD_LETTER`."""
    queue: Sender | str
    """Destination of delayed copies, on platforms that need them. By default `PEEKLOCK_<QUEUE>_URL`."""
    parallel: int
    """Handlers that run concurrently within one event. By default `PEEKLOCK_<QUEUE>_PARALLEL`, or else 1, since few objects
    are safe to share between threads."""
    lock: Seconds
    """Time limit of an event, as for a local run. By default `PEEKLOCK_<QUEUE>_LOCK`, the seconds of the queue's lock."""
    unwrap: Unwrap | Sequence[Unwrap]
    """Envelope around each body, from `peeklock.unwrap`; several with the outermost first: `(sns, s3)`."""
    observer: Observer
    """Receives runs and settlements, in place of the log."""
    clock: Clock
    random: Random


_UNKNOWN = timedelta(-1)
"""Placeholder for a lock that has not been looked up yet."""


class Binding:
    """Consumer on one platform. The environment is read at the first event, not at import."""

    def __init__(
        self,
        function: Callable[..., Any],
        platform: str,
        *,
        delays: Delays,
        longest: timedelta,
        options: Options,
        longest_delay: timedelta = MAX_DURATION,
    ) -> None:
        """Check the declaration and the options. Raises ConfigError for those that cannot work.

        - `longest`: the platform's time limit of an event.
        - `longest_delay`: the platform's longest delay of a message.
        """
        self.function = function
        self.platform = platform
        self.delays = delays
        self.longest_delay = longest_delay
        self.consumer: Consumer = resolve(function)
        self.options = options
        self._bound: BoundConsumer | None = None
        self._lock_known: timedelta | None = _UNKNOWN
        self._lock = threading.Lock()
        check_options(options, Options.__annotations__, platform)
        self._check_timeout(longest)

    @property
    def queue(self) -> Queue:
        return self.consumer.queue

    @property
    def is_async(self) -> bool:
        return self.consumer.handler.is_async

    def _check_timeout(self, longest: timedelta) -> None:
        if self.queue.timeout + RESERVE > longest:
            most = (longest - RESERVE).total_seconds()
            raise ConfigError(
                f"queue {self.queue.name!r}: timeout={self.queue.timeout.total_seconds():g} s does not fit {self.platform},"
                f" which ends an event after {longest.total_seconds():g} s; use at most timeout={most:g}"
            )

    def bound(self) -> BoundConsumer:
        """Return the bound consumer, made at the first call. Raises ConfigError where the environment does not fit the
        declaration."""
        bound = self._bound
        if bound is not None:
            return bound
        with self._lock:
            self._bound = self._bound or self._make()
            return self._bound

    def _make(self) -> BoundConsumer:
        queue, options, declared = self.queue, self.options, self.consumer.declared
        _check_fingerprint(queue)
        store = store_of(options.get("store"))
        delays = Delays.NONE if self.delays is Delays.COPY and store is None else self.delays
        self._check_store(store, delays)
        self._log_what_is_weaker(store, delays)
        dead_letters, own = (
            dead_letters_of(queue, options.get("dead_letter")),
            queue_sender_of(queue, options.get("queue")),
        )
        check_apart(queue, dead_letters, place_of(own))
        return BoundConsumer(
            platform=self.platform,
            queue=queue,
            handler=self.consumer.handler,
            unwrap=unwrap_of(options.get("unwrap")),
            decode=self.consumer.decode,
            key=self.consumer.key,
            has_hooks=self.consumer.has_hooks or options.get("unwrap") is not None,
            check_body=declared.check_body,
            results=self.consumer.results,
            fatal=declared.fatal,
            on_error=self.consumer.on_error,
            store=store,
            dead_letters=dead_letters,
            copies=None if delays is not Delays.COPY else sender_to(queue) if own is None else own,
            delays=delays,
            longest_delay=self.longest_delay,
            parallel=self._parallel(),
            observer=self._observer(),
            clock=SystemClock() if (clock := options.get("clock")) is None else clock,
            random=options.get("random") or random.SystemRandom(),  # forks of one process draw different delays
        )

    def check_dead_letter(self, *own: object) -> None:
        """Raise ConfigError where dead letters go to the queue that an event came from. `own`: the `place` of senders to it."""
        check_apart(self.queue, self.bound().dead_letters, *own)

    def _parallel(self) -> int:
        """Return how many handlers run concurrently. The function's time-out was computed for the variable's number: with fewer,
        an event would not end within it."""
        option, variable = self.options.get("parallel"), self.queue.variable("PARALLEL")
        setting = os.environ.get(variable)
        if setting is None:
            return 1 if option is None else option
        if not setting.isdecimal() or int(setting) < 1:
            raise ConfigError(f"{variable} must be the number of handlers that run concurrently, 1 or more")
        if option not in (None, int(setting)):
            raise ConfigError(
                f"queue {self.queue.name!r}: bind(parallel={option}) contradicts {variable}={setting}, for which the"
                " infrastructure was made; leave parallel= out, or change the capacity"
            )
        return int(setting)

    def _observer(self) -> Observer:
        observer = self.options.get("observer")
        observer = LogObserver() if observer is None else observer
        if not (address := os.environ.get("PEEKLOCK_FOLLOW")):
            return observer
        from peeklock.observability.follow import followed

        return followed(observer, self.platform, address)

    def _check_store(self, store: Store | None, delays: Delays) -> None:
        queue, fix = self.queue, "set PEEKLOCK_STORE, such as sqlite:///var/lib/orders.db, or pass store="
        for value, option in ((self.consumer.key, "key="), (self.consumer.results, "keep_result=True")):
            if store is None and value is not None:
                raise ConfigError(f"{self.consumer.name}: {option} needs a store; {fix}")
        if queue.exact_delay and delays is not self.delays:
            raise ConfigError(
                f"queue {queue.name!r}: first_delay={queue.first_delay.total_seconds():g} s needs a store on"
                f" {self.platform}, which cannot delay a message itself; {fix}, or leave first_delay out"
            )

    def _log_what_is_weaker(self, store: Store | None, delays: Delays) -> None:
        """Log the weaker guarantees, once: as a warning those that a setting can mend, else as information."""
        queue, weaker = self.queue, []
        if is_in_memory(queue.variable("DEAD_LETTER"), self.options.get("dead_letter")):
            weaker.append("memory:// as dead-letter queue: dead letters are lost when this process ends")
        if store is None:
            weaker.append("no store: duplicates run again, and the platform's delivery count limits the attempts")
        elif is_in_memory("PEEKLOCK_STORE", self.options.get("store")):
            weaker.append(
                "memory:// as store: its records are lost when this process ends, and no other process sees them"
            )
        level = logging.WARNING if weaker else logging.INFO
        if delays is Delays.NONE and (store is None or queue.exact_delay):
            weaker.append("the queue's own delay, not first_delay, lies between the attempts")
        if weaker:
            log_event("peeklock.weaker %s", {"queue": queue.name, "detail": "; ".join(weaker)}, level=level)

    def lock(self, default: timedelta | None = None) -> timedelta | None:
        """Return how long the platform holds a message; None where that is not configured. Raises ConfigError for a lock
        shorter than one message may take, under which no message would ever be started."""
        if self._lock_known is _UNKNOWN:
            self._lock_known = self._read_lock(default)
        return self._lock_known

    def _read_lock(self, default: timedelta | None) -> timedelta | None:
        variable = self.queue.variable("LOCK")
        setting = self.options.get("lock", os.environ.get(variable))
        try:
            lock = (
                default if setting is None else seconds(float(setting) if isinstance(setting, str) else setting, "lock")
            )
        except (TypeError, ValueError) as exc:
            raise ConfigError(f"{variable} is not a number of seconds") from exc
        needed = self.queue.timeout + RESERVE
        if lock is not None and lock < needed and "lock" not in self.options:
            raise ConfigError(
                f"queue {self.queue.name!r}: its lock of {lock.total_seconds():g} s ends before a message can take its"
                f" {self.queue.timeout.total_seconds():g} s; raise the lock, and {variable}, to {needed.total_seconds():g} s"
                " or more, or lower timeout="
            )
        return lock

    def run(self, messages: Sequence[Message], remaining: timedelta | None = None, **changes: Any) -> Sequence[Settled]:
        """Handle one event's messages, from synchronous code. `changes`: fields of the bound consumer, for this event."""
        bound = replace(self.bound(), **changes) if changes else self.bound()
        return engine.run(bound, messages, remaining)

    async def run_async(
        self, messages: Sequence[Message], remaining: timedelta | None = None, **changes: Any
    ) -> Sequence[Settled]:
        """Handle one event's messages on the caller's event loop, as `run` does."""
        bound = replace(self.bound(), **changes) if changes else self.bound()
        return await engine.handle_async(bound, messages, remaining)


_MARK = "__peeklock_binding__"

E = TypeVar("E", bound=Callable[..., Any])


def mark(entry: E, binding: Binding) -> E:
    """Attach its binding to a platform's entry point, for replay."""
    setattr(entry, _MARK, binding)
    return entry


def binding_of(entry: object) -> Binding | None:
    """Return the binding of an entry point; None for anything else."""
    binding = getattr(entry, _MARK, None)
    return binding if isinstance(binding, Binding) else None


def _check_fingerprint(queue: Queue) -> None:
    expected = os.environ.get(queue.variable("FINGERPRINT"))
    if expected and expected != queue.fingerprint:
        raise ConfigError(
            f"queue {queue.name!r}: the infrastructure was made for the declaration {expected}, and this code has"
            f" {queue.fingerprint}; deploy both from the same commit"
        )
