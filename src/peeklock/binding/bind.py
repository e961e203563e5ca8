"""From a consumer and a platform to a Plan: what was said at bind, what the environment says, and what must hold."""

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
    """What every `bind` takes. What is left out comes from the environment that the infrastructure sets."""

    store: Store | str
    """The store or its URL; else `PEEKLOCK_STORE`; else none, and what is then weaker is logged once."""
    dead_letter: Sender | str
    """Where dead letters go; else `PEEKLOCK_<QUEUE>_DEAD_LETTER`."""
    queue: Sender | str
    """Where delayed copies go, on platforms that need them; else `PEEKLOCK_<QUEUE>_URL`."""
    parallel: int
    """Handlers that run at once within one event; else `PEEKLOCK_<QUEUE>_PARALLEL`; else 1, since few sessions are safe
    to share."""
    lock: Seconds
    """How long this event may take, as for a rehearsal; else `PEEKLOCK_<QUEUE>_LOCK`, in seconds, the queue's lock."""
    unwrap: Unwrap | Sequence[Unwrap]
    """The envelope around each body, from `peeklock.unwrap`; several with the outermost first: `(sns, s3)`."""
    observer: Observer
    """Hears of runs and settlements instead of the log."""
    clock: Clock
    random: Random


_UNKNOWN = timedelta(-1)
"""A lock that was not looked up yet."""


class Binding:
    """A consumer on one platform. The environment is read at the first event, not at import."""

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
        """`longest`: how long the platform lets an event take at most; `longest_delay`: how long it holds a message back.
        Raises ConfigError for what cannot work."""
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
        """The plan, made at the first call. Raises ConfigError where environment and declaration do not fit."""
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
        """Raise ConfigError where dead letters go to the queue that an event came from, of which senders say this."""
        check_apart(self.queue, self.bound().dead_letters, *own)

    def _parallel(self) -> int:
        """The function's time-out was computed for what the infrastructure says: fewer at once would not end in it."""
        given, variable = self.options.get("parallel"), self.queue.variable("PARALLEL")
        told = os.environ.get(variable)
        if told is None:
            return 1 if given is None else given
        if not told.isdecimal() or int(told) < 1:
            raise ConfigError(f"{variable} is not the number of handlers that may run at once, 1 or more")
        if given not in (None, int(told)):
            raise ConfigError(
                f"queue {self.queue.name!r}: bind(parallel={given}), but the infrastructure was made for {variable}={told};"
                " leave parallel= out, or change the capacity"
            )
        return int(told)

    def _observer(self) -> Observer:
        observer = self.options.get("observer")
        observer = LogObserver() if observer is None else observer
        if not (address := os.environ.get("PEEKLOCK_FOLLOW")):
            return observer
        from peeklock.observability.follow import followed

        return followed(observer, self.platform, address)

    def _check_store(self, store: Store | None, delays: Delays) -> None:
        queue, fix = self.queue, "set PEEKLOCK_STORE, such as sqlite:///var/lib/orders.db, or pass store="
        for asked, what in ((self.consumer.key, "key="), (self.consumer.results, "keep_result=True")):
            if store is None and asked is not None:
                raise ConfigError(f"{self.consumer.name}: {what} needs a store that remembers keys; {fix}")
        if queue.exact_delay and delays is not self.delays:
            raise ConfigError(
                f"queue {queue.name!r}: first_delay={queue.first_delay.total_seconds():g} s needs a store on"
                f" {self.platform}, which cannot delay a message itself; {fix}, or leave first_delay out"
            )

    def _log_what_is_weaker(self, store: Store | None, delays: Delays) -> None:
        """Once, when it is bound: the first of these a setting mends, the last is the platform's way."""
        queue, weaker = self.queue, []
        if is_in_memory(queue.variable("DEAD_LETTER"), self.options.get("dead_letter")):
            weaker.append("memory:// as dead-letter queue: what is given up is gone with this process")
        if store is None:
            weaker.append(
                "no store: duplicates run again, and the platform's own count of deliveries limits the attempts"
            )
        elif is_in_memory("PEEKLOCK_STORE", self.options.get("store")):
            weaker.append("memory:// as store: no other process, and no later one, knows of its records")
        level = logging.WARNING if weaker else logging.INFO
        if delays is Delays.NONE and (store is None or queue.exact_delay):
            weaker.append("the queue's own delay is between the attempts, not first_delay")
        if weaker:
            log_event("peeklock.weaker %s", {"queue": queue.name, "detail": "; ".join(weaker)}, level=level)

    def lock(self, default: timedelta | None = None) -> timedelta | None:
        """How long the platform holds a message, as far as it was said. Raises ConfigError for less than one message
        may take: nothing would ever be started."""
        if self._lock_known is _UNKNOWN:
            self._lock_known = self._read_lock(default)
        return self._lock_known

    def _read_lock(self, default: timedelta | None) -> timedelta | None:
        variable = self.queue.variable("LOCK")
        given = self.options.get("lock", os.environ.get(variable))
        try:
            lock = default if given is None else seconds(float(given) if isinstance(given, str) else given, "lock")
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
        """Handle one event's messages, from synchronous code. `changes`: fields of the plan, for this event."""
        bound = replace(self.bound(), **changes) if changes else self.bound()
        return engine.run(bound, messages, remaining)

    async def run_async(
        self, messages: Sequence[Message], remaining: timedelta | None = None, **changes: Any
    ) -> Sequence[Settled]:
        """As `run`, on the caller's event loop."""
        bound = replace(self.bound(), **changes) if changes else self.bound()
        return await engine.handle_async(bound, messages, remaining)


_MARK = "__peeklock_binding__"

E = TypeVar("E", bound=Callable[..., Any])


def mark(entry: E, binding: Binding) -> E:
    """Let a platform's entry point tell what it is bound to, for replay."""
    setattr(entry, _MARK, binding)
    return entry


def binding_of(entry: object) -> Binding | None:
    """What an entry point is bound to; None for anything else."""
    found = getattr(entry, _MARK, None)
    return found if isinstance(found, Binding) else None


def _check_fingerprint(queue: Queue) -> None:
    expected = os.environ.get(queue.variable("FINGERPRINT"))
    if expected and expected != queue.fingerprint:
        raise ConfigError(
            f"queue {queue.name!r}: the infrastructure was made for the declaration {expected}, this code has"
            f" {queue.fingerprint}; deploy both from the same commit"
        )
