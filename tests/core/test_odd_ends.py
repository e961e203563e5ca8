"""Answers that come late, or are not what was asked for, and what a handler leaves behind."""

from __future__ import annotations

import asyncio
import threading
import time
from datetime import timedelta
from typing import Any

import pytest

from peeklock import Batch, Message, Queue, Retry, consumer
from peeklock.concurrency import event_loop
from peeklock.concurrency.bounded import bounded
from peeklock.concurrency.interrupt import HandlerTimer
from peeklock.concurrency.thread_pool import Pool
from peeklock.consuming.hooks import call_within
from peeklock.engine.run import run
from peeklock.platforms.http_push.certificates import MOST_FETCHES, Certificates, Unavailable
from peeklock.platforms.sqs.bind import settle
from peeklock.stores.memory import MemoryStore
from peeklock.testing import FakeClock, Outbox, deliver
from peeklock.timing.clock import SystemClock
from tests.core.world import bound_for, message

ORDERS = Queue("orders", max_attempts=3, timeout=30, first_delay=1)


def test_a_duplicate_has_no_detail_of_an_earlier_failure():
    """The work is done, and earlier failures are not kept."""
    runs: list[int] = []

    @consumer(ORDERS)
    def handler(_: dict) -> None:
        runs.append(1)
        if len(runs) == 1:
            raise ValueError("card 4111 refused")

    store = MemoryStore()
    outcomes = [deliver(handler, {}, store=store) for _ in range(3)]
    assert [outcome.reason for outcome in outcomes] == ["retry", "done", "duplicate"]
    assert [outcome.detail for outcome in outcomes[1:]] == ["", ""]
    assert [record.detail for record in store.records.values()] == [""]


def test_a_task_that_an_async_handler_returns_is_a_value():
    """The handler ran; to run it again would do its work twice."""

    async def audit() -> None: ...

    @consumer(ORDERS)
    async def handler(_: dict) -> Any:
        return asyncio.ensure_future(audit())

    assert deliver(handler, {}).reason == "done"


def test_a_coroutine_that_an_async_handler_returns_has_not_run():
    """A decorator without an `await` returns one."""

    async def work() -> None: ...

    @consumer(ORDERS)
    async def handler(_: dict) -> Any:
        return work()

    assert deliver(handler, {}).reason == "retry"


def test_attributes_that_a_handler_changes_are_its_own():
    """Dead letters carry the producer's."""

    @consumer(ORDERS)
    def handler(_: dict, message: Message) -> None:
        message.attributes["n"] = 5  # type: ignore[index] # what is a dict can be changed
        raise ValueError

    @consumer(ORDERS)
    def batch(messages: Batch[dict]) -> None:
        handler({}, messages.messages[0])

    for declared in (handler, batch):
        dead_letters = Outbox()
        bound = bound_for(declared, dead_letters=dead_letters)
        arrived = message({}, delivery=3)
        arrived.attributes = {"trace": "1"}
        run(bound, [arrived])
        (dead_letter,) = dead_letters.outgoing_messages
        assert {name for name in dead_letter.attributes if not name.startswith("peeklock")} == {"trace"}


def test_a_retry_says_whether_it_counts():
    with pytest.raises(TypeError, match="True or False"):
        Retry(counts="no")  # type: ignore[arg-type] # as users write it


class Odd:
    """A store that answers its second call with what is no answer; it has made the change."""

    def __init__(self) -> None:
        self.inner = MemoryStore()
        self.calls = 0

    def swap(self, changes: Any, /) -> Any:
        self.calls += 1
        answers = list(self.inner.swap(changes))
        return [None] * len(answers) if self.calls == 2 else answers


def test_a_store_that_answers_nonsense_is_asked_again():
    """Messages that ran are done nevertheless."""

    @consumer(ORDERS)
    def handler(_: dict) -> None: ...

    (settled,) = run(bound_for(handler, store=Odd()), [message({})])
    assert (settled.outcome.reason, settled.outcome.unrecorded) == ("done", False)


@pytest.mark.parametrize(
    "answer",
    [None, {"Failed": None}, {"Failed": [{"Id": "7"}]}, {"Failed": [{}]}],
    ids=["nothing", "none", "id", "no id"],
)
def test_an_odd_answer_of_sqs_does_not_end_the_event(answer):
    """Completed messages must not be delivered again because of it."""

    class Client:
        def get_queue_url(self, **_: Any) -> Any:
            return {"QueueUrl": "u"}

        def change_message_visibility_batch(self, **_: Any) -> Any:
            return answer

    @consumer(ORDERS)
    def handler(_: dict) -> None:
        raise ValueError

    arrived = message({})
    arrived.raw = {"eventSourceARN": "arn:aws:sqs:eu-west-1:1:q", "receiptHandle": "r"}
    settled = run(bound_for(handler, store=MemoryStore()), [arrived])
    assert settle(settled, Client(), SystemClock(), None) == {"batchItemFailures": [{"itemIdentifier": "m-1"}]}


@pytest.mark.parametrize("wait", [bounded, lambda call, seconds, pool: call_within(pool, call, seconds)])
def test_an_answer_of_the_last_moment_is_taken(wait):
    """One that comes between the end of the time and the look at it."""

    class Late(Pool):
        def submit(self, call: Any) -> Any:
            future = super().submit(call)
            result = future.result

            def late(seconds: float | None = None) -> Any:
                if seconds is None:
                    return result()
                result()
                raise TimeoutError

            future.result = late  # type: ignore[method-assign] # the moment cannot be had otherwise
            return future

    assert wait(lambda: "answer", 0.01, Late(1, "test")) == "answer"


def test_the_end_of_a_span_has_no_time_beyond_the_event():
    """It takes none of what is kept for recording."""
    with HandlerTimer(10, time.monotonic() + 1) as timer:
        timer.start(10)
        assert timer.due == timer.latest


def test_a_loop_that_was_blocked_is_used_again():
    """Connections and other values that handlers keep belong to it."""
    release = threading.Event()

    async def where() -> asyncio.AbstractEventLoop:
        return asyncio.get_running_loop()

    async def block() -> None:
        release.wait(20)

    first = event_loop.run(where())
    with pytest.raises(TimeoutError):
        event_loop.run(block(), 0.05)
    assert event_loop.run(where()) is not first
    release.set()
    asyncio.run_coroutine_threadsafe(where(), first).result(20)
    assert event_loop.run(where()) is first


def test_certificates_that_never_come_take_few_threads():
    """One for each time-out would be as many as there are minutes."""
    clock = FakeClock()
    hung = threading.Event()
    certificates = Certificates("http://192.0.2.1/", clock=clock.monotonic)
    certificates._run = lambda _: hung.wait(20)  # type: ignore[assignment,method-assign,return-value] # an endpoint that trickles
    before = threading.active_count()
    for _ in range(MOST_FETCHES + 3):
        with pytest.raises(Unavailable):
            certificates.of("k", 0.01)
        clock.advance(timedelta(seconds=61))
    assert threading.active_count() - before <= MOST_FETCHES
    hung.set()
