"""Laws that hold for any batch, any failure and any crash."""

from __future__ import annotations

import os
import threading
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from peeklock import Queue, consumer
from peeklock.concurrency import event_loop
from peeklock.engine.bound_consumer import BoundConsumer, Delays
from peeklock.engine.run import handle, handle_async
from peeklock.idempotency.record import State
from peeklock.message import Message
from peeklock.outcome import NOT_AN_ATTEMPT
from peeklock.outgoing import OutgoingMessage
from peeklock.stores.memory import MemoryStore
from peeklock.testing import FakeClock, Outbox
from tests.core.world import Crash, Declined, FlakySender, FlakyStore, Script, bound_for, message

MAX_ATTEMPTS = 3
QUEUE = Queue("orders", max_attempts=MAX_ATTEMPTS, timeout=30)
FAULTS = ("before", "after", "short", "crash_before", "crash_after")
KINDS = ("ok", "raise", "fatal", "slow", "flaky")


@dataclass
class World:
    """A queue, a dead-letter queue and what the handlers did to the outside."""

    bodies: dict[str, dict[str, Any]]
    clock: FakeClock = field(default_factory=FakeClock)
    store: MemoryStore = field(default_factory=MemoryStore)
    dead_letters: Outbox = field(default_factory=Outbox)
    copies: Outbox = field(default_factory=Outbox)
    effects: Counter[str] = field(default_factory=Counter)
    starts: Counter[str] = field(default_factory=Counter)
    started: Counter[str] = field(default_factory=Counter)
    """Starts of each copy of a message."""
    running: set[str] = field(default_factory=set)
    lock: Any = field(default_factory=threading.RLock)
    violations: list[str] = field(default_factory=list)
    """A handler's own assertions would only be its failures."""
    crashes: int = 0
    unsure: int = 0
    newest: Counter[str] = field(default_factory=Counter)
    """The highest copy number that was published of each message."""

    def act(self, payload: dict[str, Any], message: Message, epoch: int) -> None:
        """Run the handler. After the death of its process it does nothing."""
        key = payload["key"]
        with self.lock:
            if epoch != self.crashes:
                return
            if key in self.running:
                self.violations.append(f"two runs of {key} at once")
            record = self.store.records.get(f"orders/{key}")
            if record is not None and record.state is State.DONE:
                self.violations.append(f"a run of {key} after its recorded success")
            self.running.add(key)
            self.started[message.effective_lineage.derived] += 1
            self.starts[payload["id"]] += 1
        try:
            self._end(payload)
        finally:
            with self.lock:
                self.running.discard(key)

    def _end(self, payload: dict[str, Any]) -> None:
        match payload["kind"]:
            case "raise":
                raise ValueError
            case "fatal":
                raise Declined
            case "slow":
                self.clock.advance(25)
            case "flaky" if self.starts[payload["id"]] == 1:
                raise ValueError
        self.effects[payload["key"]] += 1

    def handler(self, *, is_async: bool) -> Any:
        epoch = self.crashes
        if is_async:

            @consumer(QUEUE, key="key", fatal=(Declined,))
            async def handler_async(payload: dict, message: Message) -> None:
                self.act(payload, message, epoch)

            return handler_async

        @consumer(QUEUE, key="key", fatal=(Declined,))
        def handler(payload: dict, message: Message) -> None:
            self.act(payload, message, epoch)

        return handler


@st.composite
def bodies(draw: st.DrawFn) -> dict[str, dict[str, Any]]:
    count = draw(st.integers(1, 6))
    payloads = {}
    for n in range(count):
        kind = draw(st.sampled_from(KINDS))
        key = draw(st.sampled_from([f"k{n}", f"k{n}", "shared"]))
        group = draw(st.sampled_from([None, None, "a", "b"]))
        payloads[f"m{n}"] = {"id": f"m{n}", "kind": kind, "key": key, "group": group}
    return payloads


scripts = st.dictionaries(st.integers(1, 12), st.sampled_from(FAULTS), max_size=3)


def run_event(
    world: World, deliveries: Sequence[Message], bound: BoundConsumer, remaining: timedelta | None
) -> Sequence[Any] | None:
    """One event; None when the process died in it."""
    if bound.handler.is_async:
        with suppress(Crash):
            return event_loop.run(handle_async(bound, deliveries, remaining))
    else:
        with suppress(Crash):
            return handle(bound, deliveries, remaining)
    with world.lock:
        world.crashes += 1
        world.running.clear()
    return None


def check_event(world: World, settled: Sequence[Any], before: dict[str, Any], starts: Counter[str]) -> None:
    """The laws of one event."""
    halted: set[str] = set()
    ran_keys = {
        world.bodies[copy.partition(".")[0]]["key"] for copy in world.started if world.started[copy] > starts[copy]
    }
    for delivery in settled:
        outcome, group = delivery.outcome, delivery.message.group
        copy = delivery.message.effective_lineage.derived
        ran = world.started[copy] - starts[copy]
        if outcome.reason in NOT_AN_ATTEMPT:
            assert not ran, f"{outcome.reason} but run"
            old, now = before.get(delivery.key), world.store.records.get(f"orders/{delivery.key}")
            if old is not None and now is not None and delivery.key not in ran_keys:
                lost = old.state is State.RUNNING  # its process died, and that start counts
                assert now.attempts <= old.attempts + lost, "a delivery that never ran was counted"
        if group in halted:
            assert not ran, "ran after one of its group that was not completed"
        if group is not None and outcome.disposition == "abandon":
            halted.add(group)


def is_safe(world: World, delivery: Any) -> bool:
    """Return whether the platform may forget this delivery, because its work, its dead letter or its copy is safe."""
    name = delivery.message.id
    if delivery.outcome.copied or delivery.outcome.reason == "superseded":
        return delivery.message.effective_lineage.copy_number < world.newest[name]
    dead_lettered = any(outgoing.lineage.id == name for outgoing in world.dead_letters.outgoing_messages)
    return dead_lettered if delivery.outcome.disposition == "dead_letter" else world.effects[delivery.key] > 0


def to_delivery(world: World, outgoing: OutgoingMessage) -> Message:
    body = world.bodies[outgoing.lineage.id]
    return message(body, id=outgoing.lineage.id, group=body["group"], lineage=outgoing.lineage)


def simulate(
    world: World, script: dict[int, str], *, delays: Delays, is_async: bool, parallel: int, seconds: int
) -> None:
    """Deliver until the queue is empty. Faults stop after the script, so it must become empty."""
    queue = [message(body, id=name, group=body["group"]) for name, body in world.bodies.items()]
    stored, sent = Script(dict(script)), Script({n + 1: fault for n, fault in script.items() if n % 2})
    flaky = FlakyStore(world.store, stored)
    for _ in range(MAX_ATTEMPTS * len(world.bodies) * 2 + 12):
        if not queue:
            break
        world.copies.outgoing_messages.clear()
        before = {key.partition("/")[2]: record for key, record in world.store.records.items()}
        starts = world.started.copy()
        bound = replace(
            bound_for(
                world.handler(is_async=is_async),
                store=flaky,
                dead_letters=FlakySender(world.dead_letters, sent),
                copies=FlakySender(world.copies, sent),
                delays=delays,
                parallel=parallel,
                clock=world.clock,
            )
        )
        settled = run_event(world, queue, bound, timedelta(seconds=seconds))
        for outgoing in world.copies.outgoing_messages:
            world.newest[outgoing.lineage.id] = max(world.newest[outgoing.lineage.id], outgoing.lineage.copy_number)
        assert not world.violations
        if settled is not None:
            assert len(settled) == len(queue), "one outcome a message"
            check_event(world, settled, before, starts)
            for delivery in settled:
                assert not delivery.outcome.finished or is_safe(world, delivery), (
                    f"{delivery.message.id} lost: {delivery.outcome}"
                )
            queue = [delivery.message for delivery in settled if not delivery.outcome.finished]
        queue += [to_delivery(world, outgoing) for outgoing in world.copies.outgoing_messages]
        world.clock.advance(3600)
    world.unsure = flaky.unsure
    assert not queue, f"still queued: {[(m.id, m.lineage) for m in queue]}"


def check_end(world: World) -> None:
    """The laws of the end: done or dead-lettered, and effects no more often than crashes allow."""
    dead_lettered = {outgoing.lineage.id for outgoing in world.dead_letters.outgoing_messages}
    for name, body in world.bodies.items():
        key = body["key"]
        assert world.effects[key] or name in dead_lettered, f"{name} lost"
        if sum(payload["key"] == key for payload in world.bodies.values()) == 1:
            assert world.starts[name] <= MAX_ATTEMPTS, f"{name} started more often than its attempts, crashes included"
        allowed = 1 + world.crashes + world.unsure
        assert world.effects[key] <= allowed, "an effect repeated without a crash or a lost record"
        state = world.store.records[f"orders/{key}"].state
        unrecorded = {State.RUNNING: world.effects[key] > 0, State.DEAD_LETTERING: name in dead_lettered}
        assert state in (State.DONE, State.DEAD_LETTERED) or unrecorded.get(state), f"{name}: quiet, but {state}"


CASES = {
    "payloads": bodies(),
    "script": scripts,
    "delays": st.sampled_from([Delays.NATIVE, Delays.COPY]),
    "is_async": st.booleans(),
    "parallel": st.integers(1, 3),
    "seconds": st.sampled_from([31, 62, 100, 1000]),
}


def check(payloads: Any, script: Any, delays: Any, is_async: Any, parallel: Any, seconds: Any) -> None:
    world = World(payloads)
    simulate(world, script, delays=delays, is_async=is_async, parallel=parallel, seconds=seconds)
    check_end(world)


RELAXED = [HealthCheck.too_slow, HealthCheck.function_scoped_fixture]
EXAMPLES = int(os.environ.get("PEEKLOCK_EXAMPLES", "120"))


@settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=RELAXED)
@given(**CASES)
def test_every_message_ends_well(fast_pauses, payloads, script, delays, is_async, parallel, seconds):
    """Whatever fails and whenever the process dies, each message ends done or dead-lettered and no law is broken."""
    check(payloads, script, delays, is_async, parallel, seconds)


@pytest.mark.slow
@settings(max_examples=EXAMPLES * 20, deadline=None, suppress_health_check=RELAXED)
@given(**CASES)
def test_every_message_ends_well_at_length(fast_pauses, payloads, script, delays, is_async, parallel, seconds):
    """The same, for longer."""
    check(payloads, script, delays, is_async, parallel, seconds)
