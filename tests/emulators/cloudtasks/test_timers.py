"""Times at which the dispatcher looks at a queue again, and deadlines of attempts, leave nothing behind in the timeline."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import Any

from cloudqueues.cloudtasks.dispatch import Dispatcher
from cloudqueues.timeline import SPARE, Timeline


def test_a_queue_is_looked_at_at_the_earliest_time_and_keeps_few_timers(monkeypatch: Any) -> None:
    async def scenario() -> None:
        timeline = Timeline(asyncio.get_running_loop())
        far = timeline.now() + 10_000
        rung: list[float] = []
        queue: Any = object()
        dispatcher = Dispatcher(timeline, lambda *_: "", lambda: None)

        def ring(_: object) -> None:
            rung.append(timeline.now())
            if timeline.now() < far:
                dispatcher._set_timer(queue, far)

        monkeypatch.setattr(dispatcher, "dispatch_due", ring)
        dispatcher._set_timer(queue, far)
        for _ in range(500):
            dispatcher._set_timer(queue, timeline.now() + 10)
            dispatcher._set_timer(queue, timeline.now() + 5)
            dispatcher._set_timer(queue, timeline.now() + 7)
            timeline.advance(5)
        assert len(rung) == 500
        assert len(timeline._due) <= SPARE + 2 * 2 + 1
        timeline.advance(10_000)
        assert [when for when in rung if when >= far] == [rung[-1]]
        assert (timeline._due, timeline._cancelled) == ([], 0)

    asyncio.run(scenario())


def test_deadlines_pass_for_what_is_not_over() -> None:
    async def scenario() -> None:
        timeline = Timeline(asyncio.get_running_loop())
        passed: list[int] = []
        kept = [timeline.after(60 - number, partial(passed.append, number)) for number in range(5)]
        kept[1].cancel()
        kept[1].cancel()
        for _ in range(1000):
            timeline.after(30, lambda: passed.append(-1)).cancel()
            assert len(timeline._due) <= SPARE + 2 * len(kept) + 1
        timeline.advance(57)
        assert passed == [4, 3]
        assert [timer.is_over for timer in kept] == [False, True, False, True, True]
        timeline.advance(10)
        assert passed == [4, 3, 2, 0]
        assert (timeline._due, timeline._cancelled) == ([], 0)

    asyncio.run(scenario())
