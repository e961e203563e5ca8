"""Handlers that hang cost their own message, and neither another queue nor the process."""

from __future__ import annotations

import _thread
import asyncio
import queue
import subprocess
import sys
import threading
import time
from dataclasses import replace
from typing import Any

import pytest

from peeklock import Batch, DeadLetter, Queue, consumer
from peeklock.concurrency import event_loop, interrupt
from peeklock.concurrency.interrupt import HANGS_WHEN_TRACED, Interrupted, Target, is_fragile
from peeklock.concurrency.thread_pool import Pool
from peeklock.engine import runaways as late
from peeklock.engine.bound_consumer import BoundConsumer, Deadline, Delays
from peeklock.engine.run import handle, handle_async, run
from peeklock.engine.runaways import watch
from peeklock.engine.scheduler import Schedule
from peeklock.idempotency.record import State
from peeklock.stores.memory import MemoryStore
from peeklock.testing import Outbox
from peeklock.timing.clock import SystemClock
from tests.core.world import QUEUE, Crash, FlakySender, FlakyStore, Script, bound_for, message, recording

QUICK = Queue("orders", max_attempts=5, timeout=0.1, first_delay=1)


def bound_by(handler: Any, store: Any = None, **world: Any) -> BoundConsumer:
    world.setdefault("parallel", 2)  # in threads
    return bound_for(handler, store=store, clock=SystemClock(), **world)


def reasons(settled: Any) -> list[str]:
    return [delivery.outcome.reason.value for delivery in settled]


class Stuck:
    """A handler that blocks in C until it is released, and remembers its runs."""

    def __init__(self) -> None:
        self.release = threading.Event()
        self.runs: list[Any] = []

    def consumer(self) -> Any:
        @consumer(QUICK)
        def stuck(payload: dict) -> None:
            self.runs.append(payload)
            if payload.get("hang"):
                self.release.wait(60)

        return stuck


def test_hung_handlers_of_one_queue_cost_another_nothing():
    """All threads of the first hang: its own next message is halted, not an attempt; the other's runs (trials 1.14)."""
    stuck, store = Stuck(), MemoryStore()
    hung = replace(bound_by(stuck.consumer(), store), handlers=Pool(2, "test"))
    for name in "ab":
        assert reasons(handle(hung, [message({"hang": 1}, id=name)])) == ["timeout"]
    assert reasons(handle(hung, [message({}, id="c")])) == ["halted"]
    assert store.records["orders#c"].attempts == 0
    handler, seen = recording()
    assert reasons(handle(bound_by(handler, MemoryStore()), [message({}, id=n) for n in "ab"])) == ["done", "done"]
    assert len(seen) == 2
    stuck.release.set()


@pytest.mark.parametrize("is_batch", [False, True])
def test_the_time_of_a_handler_that_is_still_running(is_batch):
    """It is the time until its event gave it up, and not zero. (stranger 2, bug 7)"""
    release = threading.Event()

    @consumer(QUICK)
    def single(payload: dict) -> None:
        release.wait(60)

    @consumer(QUICK)
    def batch(rows: Batch[dict]) -> None:
        release.wait(60)

    (settled,) = handle(bound_by(batch if is_batch else single, MemoryStore()), [message({})])
    assert reasons([settled]) == ["timeout"]
    assert "still running" in settled.outcome.detail
    assert settled.duration >= QUICK.timeout.total_seconds()
    release.set()


def test_what_never_got_a_thread_never_runs():
    """The claim is given back, and the handler does not run later when a thread is free (trials 1.22)."""
    stuck, store = Stuck(), MemoryStore()
    crowded = replace(bound_by(stuck.consumer(), store), handlers=Pool(1, "test"))
    occupied = crowded.handlers.submit(lambda: stuck.release.wait(60))
    (delivery,) = handle(crowded, [message({"n": 1})], _seconds(2))
    assert (delivery.outcome.reason.value, stuck.runs) == ("halted", [])
    record = store.records["orders#m-1"]
    assert (record.state, record.attempts) == (State.WAITING, 0)
    stuck.release.set()
    occupied.result(10)
    crowded.handlers.submit(lambda: None).result(10)
    assert stuck.runs == []
    assert reasons(handle(crowded, [message({"n": 1})])) == ["done"]
    assert stuck.runs == [{"n": 1}]


def _seconds(number: float) -> Any:
    from datetime import timedelta

    return timedelta(seconds=number)


def test_a_handler_waits_for_a_thread_and_then_has_its_whole_time():
    """The time-out begins with the start of the handler (trials 1.22)."""
    handler, seen = recording(queue=QUICK)
    crowded = replace(bound_by(handler), handlers=Pool(1, "test"))
    begun, go = threading.Event(), threading.Event()

    def occupy() -> None:
        begun.set()
        go.wait(10)

    crowded.handlers.submit(occupy)
    begun.wait(10)
    timer = threading.Timer(0.3, go.set)  # three time-outs
    timer.start()
    assert reasons(handle(crowded, [message({})], _seconds(30))) == ["done"]
    assert len(seen) == 1


def test_an_event_of_two_that_hang_answers():
    """The store has threads of its own (trials 1.14)."""
    stuck = Stuck()
    full = replace(bound_by(stuck.consumer(), MemoryStore()), handlers=Pool(2, "test"))
    assert reasons(handle(full, [message({"hang": 1}, id=n) for n in "ab"])) == ["timeout", "timeout"]
    stuck.release.set()


class Spinning:
    """A handler that hangs in Python when asked to, and remembers its threads."""

    def __init__(self) -> None:
        self.threads: list[threading.Thread] = []

    def work(self, payload: dict[str, Any]) -> None:
        self.threads.append(threading.current_thread())
        try:
            while payload.get("hang"):
                time.sleep(0.001)
        except Exception:  # noqa: BLE001 - what many handlers do
            raise AssertionError from None

    def consumer(self, *, is_batch: bool) -> Any:
        @consumer(QUICK)
        def single(payload: dict) -> None:
            self.work(payload)

        @consumer(QUICK)
        def batch(rows: Batch[dict]) -> None:
            self.work(rows[0])

        return batch if is_batch else single


@pytest.mark.parametrize("is_batch", [False, True])
def test_a_handler_in_a_thread_is_interrupted(is_batch):
    """It has ended, so its lease is let go and the next delivery runs; its thread is not used again (trials 1.14)."""
    spinning, store = Spinning(), MemoryStore()
    bound = bound_by(spinning.consumer(is_batch=is_batch), store)
    (delivery,) = handle(bound, [message({"hang": 1})])
    assert (delivery.outcome.reason.value, delivery.outcome.attempt) == ("timeout", 1)
    assert "interrupted" in delivery.outcome.detail
    assert delivery.duration > 0.05
    record = store.records["orders#m-1"]
    assert (record.state, record.attempts) == (State.WAITING, 1)
    (delivery,) = handle(bound, [message({})])
    assert (delivery.outcome.reason.value, delivery.outcome.attempt) == ("done", 2)
    first, second = spinning.threads
    first.join(10)
    assert not first.is_alive()
    assert second is not first


def test_it_is_interrupted_once():
    """A handler that swallows the interruption keeps its slot and its lease until it ends; then it may run again
    (trials 1.14, 1.26)."""
    release, rings, written = threading.Event(), [], threading.Event()

    @consumer(QUICK)
    def handler(payload: dict) -> None:
        while not release.is_set():
            try:
                time.sleep(0.01)
            except Interrupted:
                rings.append(1)

    class Telling(MemoryStore):
        def swap(self, changes: Any, /) -> Any:
            answers = super().swap(changes)
            if release.is_set():
                written.set()
            return answers

    store = Telling()
    assert reasons(handle(bound_by(handler, store, parallel=2), [message({})])) == ["timeout"]
    assert store.records["orders#m-1"].state is State.RUNNING
    release.set()
    assert written.wait(10)
    assert rings == [1]
    assert reasons(handle(bound_by(handler, store), [message({})])) == ["done"]


def test_an_interruption_hits_nothing_but_the_call():
    """However close to its end it comes (trials 1.14)."""
    outcomes = set()
    for n in range(300):
        target, begun = Target(), threading.Event()

        def work(target: Target = target, begun: threading.Event = begun, n: int = n) -> str:
            assert target.begin()
            begun.set()
            try:
                target.call(lambda: sum(range(n * 20)))
            except Interrupted:
                return "hit"
            return "ended"

        thread = Pool(1, "test").submit(work)
        begun.wait(10)
        target.interrupt()
        target.interrupt()
        outcomes.add(thread.result(10))
    assert "ended" in outcomes or "hit" in outcomes
    target = Target()
    target.interrupt()  # it has not begun
    assert target.begin()
    assert target.call(lambda: 7) == 7
    assert not target.cancel()


def test_an_interruption_between_the_end_and_the_mark_of_it():
    """Is the call's own: it arrives before the call is over."""

    class Slow(Target):
        """Is interrupted as it ends."""

        ends = 0

        def _end(self) -> None:
            self.ends += 1
            if self.ends == 1:
                raise Interrupted
            super()._end()

    target = Slow()
    assert target.begin()
    with pytest.raises(Interrupted):
        target.call(lambda: 7)
    assert target.ends == 2


TRACED = """
import sys, threading, time
from peeklock.concurrency.interrupt import Interrupted, Target

def spin():
    while True:
        pass

def block():
    threading.Event().wait()

def call():
    begun.set()
    try:
        target.call({call})
    except Interrupted:
        print("is interrupted")

sys.settrace(lambda *_: None)
threading.settrace(lambda *_: None)
target, begun = Target(), threading.Event()
thread = threading.Thread(target=lambda: target.begin() and call(), daemon=True)
thread.start()
begun.wait()
if {call} is block:  # once it does
    clock, spent = time.pthread_getcpuclockid(thread.ident), -1
    while spent != (spent := time.clock_gettime_ns(clock)):
        time.sleep(0.02)
for _ in range(100):
    target.interrupt()
    thread.join(0.001)
if {call} is spin:
    thread.join()
print("goes on")
"""


@pytest.mark.parametrize(("call", "printed"), [("spin", "is interrupted\ngoes on\n"), ("block", "goes on\n")])
def test_a_traced_process_goes_on(call, printed):
    """Coverage and debuggers trace. CPython 3.11 calls nothing in a traced thread while an exception waits for another, or
    after one was taken back."""
    script = TRACED.format(call=call)
    ended = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=30, check=True)
    assert ended.stdout == printed


def test_what_blocks_in_c_is_not_interrupted_where_that_would_hang(monkeypatch):
    """The thread has not worked since the last look, so it is unknown when the exception would arrive."""
    raised: list[Any] = []
    monkeypatch.setattr(interrupt, "HANGS_WHEN_TRACED", True)
    monkeypatch.setattr(interrupt, "_exception_setter", lambda: lambda *call: raised.append(call))
    gate, target = _thread.allocate_lock(), Target()
    gate.acquire()
    thread = threading.Thread(target=lambda: target.begin() and target.call(lambda: gate.acquire()))  # noqa: PLW0108 - a frame of its own
    thread.start()
    clock, spent = time.pthread_getcpuclockid(thread.ident or 0), -1
    while spent != (spent := time.clock_gettime_ns(clock)):
        time.sleep(0.02)
    tracer = sys.gettrace()
    sys.settrace(tracer or (lambda *_: None))
    looks = [target.interrupt(), target.interrupt()]
    sys.settrace(tracer)
    gate.release()
    thread.join()
    assert (looks, raised) == ([False, False], [])


class Parked:
    """A thread in a call that ends when the test says so, and in the function that the test names."""

    def __init__(self) -> None:
        self.inside, self.go = threading.Event(), threading.Event()

    def block(self) -> None:
        """Wait on a lock of C, so that no function of `threading` is the innermost."""
        lock = _thread.allocate_lock()
        lock.acquire()
        self.inside.set()
        while not self.go.is_set():
            lock.acquire(True, 0.001)

    def acquire(self) -> None:
        lock = _thread.allocate_lock()
        lock.acquire()
        self.inside.set()
        while not self.go.is_set():
            lock.acquire(True, 0.001)


@pytest.mark.parametrize(("name", "is_interrupted"), [("block", True), ("acquire", False)])
def test_a_call_is_not_interrupted_while_it_takes_a_lock(name, is_interrupted):
    """It would stay taken for good; whoever interrupts has to look again."""
    target, parked = Target(), Parked()

    def work() -> str:
        assert target.begin()
        try:
            target.call(getattr(parked, name))
        except Interrupted:
            return "hit"
        return "ended"

    ended = Pool(1, "test").submit(work)
    assert parked.inside.wait(10)
    looks = 0
    while not target.interrupt() and looks < (1000 if is_interrupted else 20):
        looks += 1
        parked.go.wait(0.001)
    parked.go.set()
    assert ended.result(10) == ("hit" if is_interrupted else "ended")


def blocks_in(call: Any, function: str, *, fragile: bool) -> bool:
    """Return whether a thread that makes the call comes to wait in that function, and whether that is known to be safe."""
    thread = threading.Thread(target=call, daemon=True)
    thread.start()
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        frame = sys._current_frames().get(thread.ident or 0)
        if frame is not None and frame.f_code.co_name == function and is_fragile(frame) is fragile:
            return True
        time.sleep(0.0005)
    return False


def test_where_an_exception_does_harm():
    """In the functions that take and release locks, in the queues, and in what joins a thread. What waits for an event or for
    an item has given its lock back, and may be interrupted."""
    items: queue.Queue[int] = queue.LifoQueue()
    event, gate = threading.Event(), _thread.allocate_lock()
    gate.acquire()
    waiter = threading.Thread(target=lambda: event.wait(10))
    waiter.start()

    def pause() -> None:
        gate.acquire(True, 10)

    assert not is_fragile(None)
    assert blocks_in(lambda: items.get(timeout=10), "wait", fragile=False)
    assert blocks_in(lambda: event.wait(10), "wait", fragile=False)
    assert blocks_in(pause, "pause", fragile=False)
    joins = "_wait_for_tstate_lock" if sys.version_info < (3, 13) else "join"
    assert blocks_in(waiter.join, joins, fragile=True)
    event.set()
    gate.release()
    items.put(1)
    for name in ("acquire", "release", "__enter__", "__exit__", "__del__"):
        namespace: dict[str, Any] = {}
        exec(f"import sys\ndef {name}(): return sys._getframe()", namespace)
        assert is_fragile(namespace[name]())


def test_a_call_is_not_interrupted_while_it_is_marked_as_over():
    """The lock of its mark would stay held."""
    target, marking, seen = Target(), _thread.allocate_lock(), []
    marking.acquire()

    class Slow:
        """A lock that somebody else holds for now."""

        def __enter__(self) -> None:
            while not seen:
                marking.acquire(True, 0.001)

        __exit__ = lambda *_: None  # noqa: E731 - nothing to give back

    target._lock = Slow()  # type: ignore[assignment] # as seen from the thread that marks
    thread = threading.Thread(target=target.begin)
    thread.start()
    while (frame := sys._current_frames().get(thread.ident or 0)) is None or frame.f_code.co_name != "__enter__":
        pass
    assert frame.f_back is not None
    seen.append(is_fragile(frame.f_back))
    thread.join()
    assert seen == [True]


def test_a_handler_that_takes_a_lock_at_its_time_is_interrupted_after_it():
    """Within its grace."""
    over = time.monotonic() + 0.2  # twice its time-out

    def acquire() -> None:
        while time.monotonic() < over:
            time.sleep(0.001)

    @consumer(QUICK)
    def handler(payload: dict) -> None:
        acquire()
        while True:
            time.sleep(0.001)

    (delivery,) = handle(bound_by(handler), [message({})])
    assert "interrupted" in delivery.outcome.detail
    assert time.monotonic() > over


def test_one_that_was_cancelled_does_not_begin():
    target = Target()
    assert target.cancel()
    assert not target.begin()


class Counting(Schedule):
    """Counts the turns of a driver."""

    turns = 0

    def start(self) -> Any:
        self.turns += 1
        return super().start()


@pytest.mark.parametrize("is_async", [False, True])
def test_without_a_store_a_slot_that_is_gone_stops_nothing(is_async, monkeypatch):
    """The rest is halted, also what was not admitted yet, and the driver does not spin (trials 1.24)."""
    slots: list[Counting] = []

    class Kept(Counting):
        def __init__(self, *arguments: Any) -> None:
            super().__init__(*arguments)
            slots.append(self)

    monkeypatch.setattr("peeklock.engine.run.Schedule", Kept)
    release = threading.Event()

    @consumer(QUICK)
    def sync(payload: dict) -> None:
        release.wait(60)

    @consumer(QUICK)
    async def coroutine(payload: dict) -> None:
        while not release.is_set():
            try:
                await asyncio.sleep(0.05)
            except asyncio.CancelledError:
                continue

    messages = [message({}, id=str(n)) for n in range(5)]
    if is_async:
        settled = event_loop.run(handle_async(bound_by(coroutine, parallel=1), messages, _seconds(20)))
    else:
        settled = _in_thread(lambda: handle(bound_by(sync, parallel=1), messages, _seconds(20)))
    assert reasons(settled) == ["timeout"] + ["halted"] * 4
    assert slots[0].turns < 20
    release.set()


def _in_thread(run: Any) -> Any:
    return Pool(1, "test").submit(run).result(60)


def test_a_driver_with_nothing_to_do_says_so():
    """Rather than to turn in a circle for ever: nothing is settled, and the messages come back."""
    handler, _ = recording()
    bound = bound_for(handler)
    schedule = Schedule([], bound, Deadline(bound, None, 1))
    schedule.unfinished = 1
    with pytest.raises(RuntimeError, match="waits for nothing"):
        schedule.unblock("no slot", alone=True)


def test_an_event_that_is_left_takes_what_has_not_begun_with_it():
    """A queue's client may end the process: no handler starts afterwards (trials 1.22)."""
    stuck = Stuck()
    dead_letters = FlakySender(Outbox(), Script({1: "crash_before"}))
    crowded = replace(bound_by(stuck.consumer(), MemoryStore(), dead_letters=dead_letters), handlers=Pool(1, "test"))
    crowded.handlers.submit(lambda: stuck.release.wait(60))
    with pytest.raises(Crash):
        handle(crowded, [message({}, id="a"), message(b"{", id="b")])
    stuck.release.set()
    crowded.handlers.submit(lambda: None).result(10)
    assert stuck.runs == []


@pytest.mark.parametrize("kind", ["sync", "async"])
def test_the_exit_of_the_process_waits_for_no_handler(kind, tmp_path):
    """(trials 1.14)"""
    program = f"""
import sys, threading, time
from peeklock import Queue, consumer, sqs
from peeklock.testing import Outbox
ORDERS = Queue("orders", timeout=0.1)
if {kind!r} == "sync":
    @consumer(ORDERS)
    def hang(payload: dict) -> None:
        threading.Event().wait()
else:
    @consumer(ORDERS)
    async def hang(payload: dict) -> None:
        import asyncio
        while True:
            try:
                await asyncio.sleep(1)
            except asyncio.CancelledError:
                pass
entry = sqs.bind(hang, dead_letter=Outbox(), parallel=2, client=object())
print(entry({{"Records": [{{"messageId": "m", "body": "{{}}", "eventSource": "aws:sqs"}}]}}))
sys.exit(3)
"""
    ended = subprocess.run(
        [sys.executable, "-c", program], timeout=100, check=False, capture_output=True, text=True, cwd=tmp_path
    )
    assert (ended.returncode, "'m'" in ended.stdout) == (3, True), ended.stderr


def test_a_coroutine_that_blocks_the_loop_costs_its_own_event(caplog):
    """Which answers before its limit; another queue's messages run on another loop, and nothing of the first begins later
    (trials 1.14)."""
    stuck, store = Stuck(), MemoryStore()

    @consumer(QUICK)
    async def blocking(payload: dict) -> None:
        stuck.runs.append(payload)
        stuck.release.wait(60)

    @consumer(QUICK)
    async def healthy(payload: dict) -> None: ...

    started = time.monotonic()
    bound = bound_by(blocking, store, parallel=1)
    settled = run(bound, [message({}, id=n) for n in "abc"], _seconds(2.5))
    assert time.monotonic() - started < 2.5
    assert reasons(settled) == ["halted"] * 3
    assert [delivery.duration > 0.05 for delivery in settled] == [True, False, False], (
        "of the one that ran (stranger 2, bug 7)"
    )
    assert "peeklock.blocked" in caplog.text
    assert reasons(run(bound_by(healthy), [message({})])) == ["done"]
    stuck.release.set()
    while store.records["orders#a"].state is not State.DONE:  # the end of the one that ran is recorded all the same
        time.sleep(0.001)
    _settle(bound)
    assert len(stuck.runs) == 1


def test_a_time_out_on_the_loop_itself_is_not_taken_for_one_that_blocks_it():
    async def fails() -> None:
        raise TimeoutError("mine")

    with pytest.raises(TimeoutError, match="mine"):
        event_loop.run(fails(), 30)


class EndedCall:
    """A handler that has ended after its event."""

    def __init__(self, deliveries: Any, errors: Any) -> None:
        self.deliveries = deliveries
        self.errors = errors

    def result(self) -> Any:
        return self.errors


class Done:
    """A future that is done."""

    def add_done_callback(self, call: Any) -> None:
        call(self)


def _late_delivery(store: MemoryStore) -> tuple[BoundConsumer, Deadline, Any]:
    """A message whose handler was still running when its event ended."""
    handler, _ = recording()
    bound = bound_for(handler, store=store)
    deadline = Deadline(bound, None, 1)
    schedule = Schedule([message({})], bound, deadline)
    ((delivery, change),) = schedule.changes
    (answer,) = store.swap([change])
    schedule.advance(delivery, answer)
    return bound, deadline, delivery


@pytest.fixture
def quick_tries(monkeypatch):
    monkeypatch.setattr(late, "PAUSES", (0.0, 0.0, 0.0))


@pytest.mark.usefixtures("quick_tries")
@pytest.mark.parametrize("wrong", [{2: "before"}, {2: "after"}, {}])
def test_a_late_success_is_written_until_it_is_there(wrong):
    """(trials 1.26)"""
    flaky = FlakyStore(MemoryStore(), Script(wrong))
    bound, deadline, delivery = _late_delivery(flaky)  # type: ignore[arg-type] # a store like any other
    watch(bound, deadline, {Done(): EndedCall([delivery], [None])})
    _settle(bound)
    assert flaky.store.records["orders#m-1"].state is State.DONE


def _settle(bound: BoundConsumer) -> None:
    """Until the threads for I/O have nothing to do."""
    workers = bound.io._of_this_process()
    deadline = time.monotonic() + 10
    while workers.spare < workers.threads and time.monotonic() < deadline:
        time.sleep(0.001)


@pytest.mark.usefixtures("quick_tries")
def test_a_late_success_that_cannot_be_written_is_said(caplog):
    """(trials 1.26)"""
    flaky = FlakyStore(MemoryStore(), Script(dict.fromkeys(range(2, 9), "before")))
    bound, deadline, delivery = _late_delivery(flaky)  # type: ignore[arg-type] # a store like any other
    watch(bound, deadline, {Done(): EndedCall([delivery], [None])})
    _settle(bound)
    assert "peeklock.unrecorded" in caplog.text
    assert flaky.script.calls == 1 + len(late.PAUSES)


@pytest.mark.usefixtures("quick_tries")
def test_a_late_end_follows_a_record_of_its_own_event():
    """Whose answer came too late for the event (trials 1.26)."""
    store = MemoryStore()
    bound, deadline, delivery = _late_delivery(store)
    record = store.records["orders#m-1"]
    store.records["orders#m-1"] = replace(record, version=record.version + 1)
    watch(bound, deadline, {Done(): EndedCall([delivery], [None])})
    _settle(bound)
    assert store.records["orders#m-1"].state is State.DONE


@pytest.mark.usefixtures("quick_tries")
def test_a_late_end_leaves_the_record_of_another_alone():
    """The lease was over, and the key has another owner."""
    store = MemoryStore()
    bound, deadline, delivery = _late_delivery(store)
    theirs = replace(store.records["orders#m-1"], owner="another", version=7)
    store.records["orders#m-1"] = theirs
    watch(bound, deadline, {Done(): EndedCall([delivery], [None])})
    _settle(bound)
    assert store.records["orders#m-1"] is theirs


def test_a_late_end_without_a_thread_to_write_it_is_said(caplog):
    """And nothing waits for one (trials 1.26)."""
    bound, deadline, delivery = _late_delivery(MemoryStore())
    release = threading.Event()
    bound = replace(bound, io=Pool(1, "test"))
    begun = bound.io.submit(lambda: release.wait(60))
    while not begun.running():
        time.sleep(0.001)
    bound.io.give_up(begun)
    watch(bound, deadline, {Done(): EndedCall([delivery], [None])})
    release.set()
    assert "peeklock.unrecorded" in caplog.text


def test_a_late_end_without_a_store_is_nobodys():
    handler, _ = recording(queue=QUEUE)
    bound = bound_for(handler, dead_letters=Outbox())
    watch(bound, Deadline(bound, None, 1), {Done(): EndedCall([], [])})


@pytest.mark.parametrize("is_async", [True, False])
def test_a_dead_letter_queue_that_hangs_holds_back_no_copy(is_async):
    """The copies of other messages go out beside it."""
    gone, copies = threading.Event(), Outbox()

    class Copies:
        def send(self, outgoing_messages: Any, /) -> Any:
            answers = copies.send(outgoing_messages)
            if len(copies.outgoing_messages) == 2:
                gone.set()
            return answers

    class DeadLetters(Outbox):
        def send(self, outgoing_messages: Any, /) -> Any:
            assert gone.wait(10), "it waits for the copies, and they for it"
            return super().send(outgoing_messages)

    def fails(payload: dict) -> None:
        raise DeadLetter("no") if payload["n"] == 0 else ValueError

    async def fails_async(payload: dict) -> None:
        fails(payload)

    dead_letters = DeadLetters()
    handler = consumer(Queue("orders", max_attempts=5, timeout=20))(fails_async if is_async else fails)
    bound = bound_by(handler, MemoryStore(), dead_letters=dead_letters, copies=Copies(), delays=Delays.COPY)
    settled = run(bound, [message({"n": n}, id=f"m-{n}") for n in range(3)])
    assert reasons(settled) == ["fatal", "retry", "retry"]
    assert (len(copies.outgoing_messages), len(dead_letters.outgoing_messages)) == (2, 1)


def test_without_a_clock_of_threads_a_traced_call_is_left_alone(monkeypatch):
    """Windows and macOS have none: it is unknown there whether the thread works or blocks."""
    target, parked = Target(), Parked()
    thread = threading.Thread(target=lambda: target.begin() and target.call(parked.block))
    thread.start()
    assert parked.inside.wait(10)
    monkeypatch.setattr("peeklock.concurrency.interrupt.HANGS_WHEN_TRACED", True)
    monkeypatch.setattr("peeklock.concurrency.interrupt.THREAD_CLOCK", None)
    traced = sys.gettrace()
    sys.settrace(traced or (lambda *_: None))
    try:
        answers = {target.interrupt() for _ in range(20)}
    finally:
        sys.settrace(traced)
    parked.go.set()
    thread.join()
    assert answers == {False}


def test_a_driver_that_looks_late_interrupts_all_the_same():
    """Both moments were over before it looked: then it gives the handler up, and it ends."""
    interrupted, go = threading.Event(), threading.Event()

    def block(_: BaseException) -> None:
        time.sleep(1.3)

    @consumer(Queue("orders", timeout=0.3), on_error=block)
    def handler(payload: dict) -> None:
        if payload:
            raise ValueError
        try:
            while not go.is_set():
                time.sleep(0.001)
        except Interrupted:
            interrupted.set()
            raise

    bound = bound_for(handler, store=MemoryStore(), parallel=3, clock=SystemClock())
    settled = handle(bound, [message({}, id="b"), message({"n": 1}, id="a"), message({"n": 1}, id="c")], _seconds(1.45))
    unblock = interrupted.wait(5)
    go.set()
    assert settled[0].outcome.reason == "timeout"
    assert unblock or (HANGS_WHEN_TRACED and sys.gettrace() is not None)  # there, one look may not be enough
