"""Parts that every emulator shares: a movable clock, faults from a seed, and a loop in a thread."""

from __future__ import annotations

import asyncio
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from cloudqueues.background import Background, BackgroundEmulator
from cloudqueues.errors import ConfigError
from cloudqueues.faults import Faults
from cloudqueues.functions_host import FunctionsHost
from cloudqueues.sqs_lambda import SqsLambda
from cloudqueues.timeline import SPARE, Timeline


def test_actions_are_done_in_order_at_their_own_times_when_time_is_moved() -> None:
    done: list[tuple[str, float]] = []

    async def scenario() -> None:
        timeline = Timeline(asyncio.get_running_loop())
        start = timeline.now()

        def note(name: str) -> None:
            done.append((name, round(timeline.now() - start)))

        def note_and_go_on() -> None:
            note("first")
            timeline.after(5, lambda: note("second"))

        timeline.at(start + 20, lambda: note("third"))
        timeline.at(start + 10, note_and_go_on)
        timeline.at(start + 10, lambda: note("cancelled")).cancel()
        timeline.after(60, lambda: note("not yet"))
        timeline.advance(30)
        note("moved")
        timeline.close()
        timeline.advance(100)

    asyncio.run(scenario())
    assert done == [("first", 10), ("second", 15), ("third", 20), ("moved", 30)]


def test_time_also_passes_by_itself() -> None:
    order: list[int] = []

    async def scenario() -> float:
        timeline = Timeline(asyncio.get_running_loop())
        rang = asyncio.Event()
        timeline.after(0.02, rang.set)
        timeline.after(0.02, lambda: order.append(2))
        timeline.after(0.01, lambda: order.append(1))
        await asyncio.wait_for(rang.wait(), 10)
        return timeline.now()

    assert abs(asyncio.run(scenario()) - time.time()) < 5
    assert order == [1, 2]


def test_actions_of_one_time_are_called_in_the_order_in_which_they_were_added() -> None:
    order: list[int] = []

    async def scenario() -> None:
        timeline = Timeline(asyncio.get_running_loop())
        when = timeline.now() + 10
        for n in range(5):
            timeline.at(when, lambda n=n: order.append(n))
        timeline.advance(20)

    asyncio.run(scenario())
    assert order == [0, 1, 2, 3, 4]


def test_time_is_never_set_back_by_an_action_that_is_overdue() -> None:
    times: list[float] = []

    async def scenario() -> float:
        timeline = Timeline(asyncio.get_running_loop())
        start = timeline.now()
        timeline.at(start - 1000, lambda: times.append(timeline.now() - start))
        timeline.advance(10)
        return timeline.now() - start

    assert asyncio.run(scenario()) >= 10
    assert times[0] >= 0


def test_a_sleep_that_is_cancelled_leaves_no_timer() -> None:
    async def scenario() -> int:
        timeline = Timeline(asyncio.get_running_loop())
        sleeps = [asyncio.create_task(timeline.sleep(3600)) for _ in range(200)]
        await asyncio.sleep(0)
        for sleep in sleeps:
            sleep.cancel()
        await asyncio.gather(*sleeps, return_exceptions=True)
        return len(timeline._due)

    assert asyncio.run(scenario()) <= SPARE


def test_an_action_that_fails_keeps_no_other_from_its_time() -> None:
    failures: list[Any] = []

    def fail() -> None:
        raise RuntimeError("planted")

    async def scenario() -> None:
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(lambda _, context: failures.append(context["exception"]))
        timeline = Timeline(loop)
        rang = asyncio.Event()
        timeline.after(0.01, fail)
        timeline.after(0.01, rang.set)
        await asyncio.wait_for(rang.wait(), 10)

    asyncio.run(scenario())
    assert [str(failure) for failure in failures] == ["planted"]


def test_faults_are_the_same_for_the_same_seed_in_any_order() -> None:
    faults = Faults(seed=7, drop=0.3, kill=1.0)
    again = Faults(seed=7, drop=0.3, kill=1.0)
    hits = {n: faults.hits("drop", "message", n) for n in range(1000)}
    assert {n: again.hits("drop", "message", n) for n in reversed(range(1000))} == hits
    assert 200 < sum(hits.values()) < 400
    assert hits != {n: Faults(seed=8, drop=0.3).hits("drop", "message", n) for n in range(1000)}
    assert faults.hits("kill", "x")
    assert not faults.hits("duplicate", "x")


@pytest.mark.parametrize("share", [-0.1, 1.5])
def test_a_share_that_is_none_is_refused(share: float) -> None:
    with pytest.raises(ConfigError, match=r"Faults\(drop="):
        Faults(drop=share)


def test_an_option_that_does_not_exist() -> None:
    """The nearest is named; all of them are, where none is near."""
    function = {"queue_url": "http://127.0.0.1/q", "handler": "app.handler", "region": "eu-west-1"}
    with pytest.raises(ConfigError, match=r"SqsLambda\(\) takes no environment=: did you mean 'environ'\?"):
        SqsLambda(**function, environment={})  # type: ignore[call-arg] # that is the point
    with pytest.raises(ConfigError, match=r"SqsLambda.. takes no handle=: did you mean 'handler'"):
        SqsLambda(**function, handle="x")  # type: ignore[call-arg] # as above
    with pytest.raises(ConfigError, match=r"SqsLambda.. takes no xyz=: known are batch_size, "):
        SqsLambda(**function, xyz=1)  # type: ignore[call-arg] # as above
    with pytest.raises(TypeError, match="unexpected keyword argument 'environment'"):
        FunctionsHost(Path(), servicebus="x", environment={})  # type: ignore[call-arg] # as above


class Example(BackgroundEmulator):
    """An emulator that notes what is done, and fails to open where it is told to."""

    name = "Example emulator"

    def __init__(self) -> None:
        self.done: list[str] = []
        self.problem: type[Exception] | None = None

    def _open(self, background: Background) -> None:
        self.done.append("open")
        if self.problem is not None:
            raise self.problem

    def _close(self, background: Background) -> None:
        self.done.append("close")
        if self.problem is not None:
            raise self.problem

    def sum(self) -> int:
        return self._loop().call(sum, (1, 2))


def test_an_emulator_starts_and_stops_once() -> None:
    example = Example()
    with example:
        assert example.start() is example
        assert example.sum() == 3
    example.stop()
    assert example.done == ["open", "close"]
    with pytest.raises(ConfigError, match=r"the Example emulator is not running: start\(\) it"):
        example.sum()


def test_an_emulator_that_does_not_open_or_close_leaves_no_thread() -> None:
    before = set(threading.enumerate())
    example = Example()
    example.problem = OSError
    with pytest.raises(OSError):
        example.start()
    assert example.done == ["open", "close"]
    assert set(threading.enumerate()) <= before
    example.problem = None
    example.start()
    example.problem = OSError
    with pytest.raises(OSError):
        example.stop()
    assert set(threading.enumerate()) <= before


def test_a_loop_in_a_thread_answers_and_ends_with_its_tasks_cancelled() -> None:
    background = Background("test")
    ended: list[str] = []

    async def forever() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ended.append("cancelled")

    async def start() -> asyncio.Task[None]:
        task = asyncio.create_task(forever())
        await asyncio.sleep(0)
        return task

    task = background.run(start())
    assert background.call(len, "abc") == 3
    with pytest.raises(ZeroDivisionError):
        background.call(lambda: 1 // 0)
    background.close()
    assert ended == ["cancelled"]
    assert task.cancelled()
