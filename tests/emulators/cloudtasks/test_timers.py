"""Repeated requests for times leave nothing behind in the timeline."""

from __future__ import annotations

import asyncio
from functools import partial

from cloudqueues.cloudtasks.timers import Deadlines, EarliestTimer
from cloudqueues.timeline import Timeline


def test_an_alarm_rings_at_the_earliest_time_and_keeps_few_timers() -> None:
    async def scenario() -> None:
        timeline = Timeline(asyncio.get_running_loop())
        far = timeline.now() + 10_000
        rung: list[float] = []

        def ring() -> None:
            rung.append(timeline.now())
            if timeline.now() < far:
                alarm.by(far)

        alarm = EarliestTimer(timeline, ring)
        alarm.by(far)
        for _ in range(500):
            alarm.by(timeline.now() + 10)
            alarm.by(timeline.now() + 5)
            timeline.advance(5)
        assert len(rung) == 500
        assert len(timeline._due) < 5
        timeline.advance(10_000)
        assert [when for when in rung if when >= far] == [rung[-1]]
        assert timeline._due == []

    asyncio.run(scenario())


def test_deadlines_pass_for_what_is_not_over() -> None:
    async def scenario() -> None:
        timeline = Timeline(asyncio.get_running_loop())
        deadlines = Deadlines(timeline)
        passed: list[int] = []
        kept = [deadlines.add(60 - number, partial(passed.append, number)) for number in range(5)]
        kept[1].over = True
        for _ in range(1000):
            deadlines.add(30, lambda: passed.append(-1)).over = True
            deadlines.tidy()
        timeline.advance(57)
        assert passed == [4, 3]
        timeline.advance(10)
        assert passed == [4, 3, 2, 0]
        assert [one.passed for one in kept] == [True, False, True, True, True]
        assert (deadlines._heap, timeline._due) == ([], [])

    asyncio.run(scenario())
