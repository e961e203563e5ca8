"""Faults, each on its own."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING

import pytest

from cloudqueues.faults import NO_FAULTS, Faults
from tests.emulators.sqs_lambda.conftest import sets
from tests.emulators.sqs_lambda.test_delivery import most_at_once

if TYPE_CHECKING:
    from tests.emulators.sqs_lambda.conftest import World


def only_first(knob: str, body: str) -> Faults:
    """A seed by which the fault happens to the first delivery and to none of the next."""
    candidates = (Faults(seed=seed, **{knob: 0.5}) for seed in range(10_000))
    return next(
        candidate
        for candidate in candidates
        if [candidate.hits(knob, body, str(count)) for count in range(1, 5)] == [True, False, False, False]
    )


def test_a_duplicate_comes_after_its_message_was_completed(world: World) -> None:
    """Counted once more, as SQS would, and only once."""
    url = world.queue()
    world.send(url, "fail:0")
    function = world.function(url, "app.report", faults=Faults(duplicate=1))
    function.wait_idle(20)
    assert [note["receives"] for note in world.seen()] == [1, 2]
    assert [invocation.outcome for invocation in function.invocations] == ["success", "success"]


def test_a_duplicate_does_not_go_before_a_failing_head(world: World) -> None:
    """In a group only what was completed comes twice: the rest waits for the lock of what failed."""
    url = world.queue(fifo=True, visibility=4)
    world.send(url, "fail:1", "next", group="g")
    function = world.function(url, "app.report", batch_size=1, faults=Faults(duplicate=1))
    function.wait_idle(20)
    assert [note["body"] for note in world.seen()] == ["fail:1"] * 3 + ["next"] * 2
    first, second, *_ = function.invocations
    assert (second.started - first.started).total_seconds() > 3


def test_messages_of_a_standard_queue_change_their_order(world: World) -> None:
    """The same way for the same seed, and none is lost."""
    orders: list[list[str]] = []
    bodies = [str(n) for n in range(10)]
    for _ in range(2):
        url = world.queue(visibility=30)
        named = dict(zip(world.send(url, *bodies), bodies, strict=True))
        function = world.function(url, "app.succeed", batch_size=10, faults=Faults(seed=3, reorder=0.5))
        function.wait_idle(20)
        begun = sorted(function.invocations, key=lambda invocation: invocation.started)
        orders.append([named[message] for invocation in begun for message in invocation.message_ids])
    assert sorted(orders[0]) == bodies
    assert orders[0] != bodies
    assert orders[0] == orders[1]


def test_a_group_keeps_its_order(world: World) -> None:
    url = world.queue(fifo=True, visibility=30)
    world.send(url, *(str(n) for n in range(6)), group="a")
    function = world.function(url, "app.succeed", batch_size=2, faults=Faults(reorder=1))
    function.wait_idle(20)
    assert [body for note in world.seen() for body in note["bodies"]] == [str(n) for n in range(6)]


def test_an_answer_that_is_held_back(world: World) -> None:
    url = world.queue(visibility=30)
    faults = Faults(delay=1, delay_s=1)
    ended: list[float] = []

    def told(_: object) -> None:
        ended.append(time.time())

    function = world.function(url, "app.succeed", faults=faults, on_invocation=told)
    world.send(url, "x")
    function.wait_idle(20)
    assert ended[0] - world.seen()[0]["at"] >= faults.draw("delay_by", "x", "1") > 0.05


def test_a_delete_that_never_happens(world: World) -> None:
    url = world.queue()
    function = world.function(url, "app.report", faults=only_first("drop", "fail:0"))
    (message,) = world.send(url, "fail:0")
    function.wait_idle(20)
    assert [note["receives"] for note in world.seen()] == [1, 2]
    assert [invocation.undeleted for invocation in function.invocations] == [(f"{message}: kept by a fault",), ()]


def test_a_process_killed_in_mid_handler(world: World) -> None:
    url = world.queue(visibility=4)
    function = world.function(url, "app.take_a_while", faults=only_first("kill", "x"))
    world.send(url, "x")
    function.wait_idle(20)
    assert [invocation.outcome for invocation in function.invocations] == ["killed", "success"]
    assert [note["what"] for note in world.seen()][-2:] == ["begin", "end"]
    assert [note["what"] for note in world.seen()].count("end") == 1


def test_an_answer_that_comes_before_the_kill_is_lost(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """An effect without its record: at the latest then the process dies."""
    monkeypatch.setattr("cloudqueues.sqs_lambda.mapping.KILL_WITHIN", 60)
    url = world.queue()
    faults = only_first("kill", "x")
    assert faults.draw("kill_at", "x", "1") * 60 > 10
    function = world.function(url, "app.succeed", faults=faults)
    world.send(url, "x")
    function.wait_idle(20)
    assert [invocation.outcome for invocation in function.invocations] == ["killed", "success"]
    assert [note["bodies"] for note in world.seen()] == [["x"], ["x"]]
    assert function.invocations[0].duration.total_seconds() < 10


def test_a_lock_that_ends_while_the_handler_runs(world: World) -> None:
    """A second run begins beside the first."""
    url = world.queue(visibility=30)
    function = world.function(url, "app.meet", timeout=30, faults=only_first("lose_lock", "x"))
    world.send(url, "x")
    function.wait_idle(20)
    assert most_at_once(world.seen()) == 2
    assert [invocation.outcome for invocation in function.invocations] == ["success", "success"]


def test_faults_may_be_changed_while_it_runs(world: World) -> None:
    url = world.queue()
    first = threading.Event()
    function = world.function(url, "app.succeed", faults=Faults(drop=1), on_invocation=sets(first))
    world.send(url, "x")
    assert first.wait(20)
    function.faults = NO_FAULTS
    function.wait_idle(20)
    assert len(function.invocations) == 2
