"""peeklock on Cloud Tasks, end to end: Google's client sends to the emulator, and functions-framework serves the handler
in a process of its own, with a store that outlives it. Each request's token is checked.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path

import pytest

from cloudqueues.faults import Faults
from peeklock import Queue
from peeklock.concurrency.interrupt import HANGS_WHEN_TRACED
from peeklock.sending.send import send
from tests.e2e.cloudtasks_world import QUEUE, SECONDS, World, body
from tests.support import environment

DISPATCH_SECONDS = 600
"""Seconds that Cloud Tasks waits for an answer where a task does not say."""
LATER = 500
"""Within that, and longer than any test takes."""


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with ExitStack() as stack:
        yield World(tmp_path_factory.mktemp("orders"), stack)


@pytest.fixture
def world(shared: World) -> Iterator[World]:
    """With an empty queue. Its time may be ahead by some hours."""
    yield shared
    shared.client.purge_queue(name=QUEUE)


@pytest.fixture
def fresh(tmp_path: Path) -> Iterator[World]:
    """For tests in which real time is compared with Cloud Tasks'."""
    with ExitStack() as stack:
        yield World(tmp_path, stack)


@pytest.fixture
def single(tmp_path: Path) -> Iterator[World]:
    """With one thread, the main one, whose handlers can be interrupted."""
    with ExitStack() as stack:
        yield World(tmp_path, stack, threads=1)


def test_done(world: World) -> None:
    task = world.send("plain")
    world.idle()
    assert world.statuses(task) == [204]
    assert world.attempts("plain") == [1]
    assert len(world.runs("plain", "end")) == 1


def test_a_second_delivery_while_it_runs(world: World) -> None:
    with world.faults(Faults(duplicate=1, delay_s=LATER)):
        task = world.send("delivered twice", "wait")
        with world.inside():
            world.emulator.advance(LATER)
            world.wait_for(task, 409)
    world.idle()
    assert [(dispatch.status, dispatch.duplicate) for dispatch in world.dispatches(task)] == [
        (409, True),
        (204, False),
    ]
    assert world.attempts("delivered twice") == [1]


def test_a_second_delivery_after_it_is_done(world: World) -> None:
    with world.faults(Faults(duplicate=1, delay_s=LATER)):
        task = world.send("delivered again")
        world.wait_for(task, 204)
    world.emulator.advance(LATER)
    world.idle()
    assert [(dispatch.status, dispatch.duplicate) for dispatch in world.dispatches(task)] == [
        (204, False),
        (204, True),
    ]
    assert world.attempts("delivered again") == [1]


def test_a_second_message_of_its_key(world: World) -> None:
    for _ in range(2):
        task = world.send("twin")
        world.idle()
        assert world.statuses(task) == [204]
    assert world.attempts("twin") == [1]


def test_a_retry_is_a_task_of_its_own_after_its_delay(fresh: World) -> None:
    task = fresh.send("later", "retry")
    fresh.wait_for(task, 204)
    (copy,) = fresh.client.list_tasks(parent=QUEUE)
    assert copy.name != task
    scheduled = copy.schedule_time.timestamp()
    assert scheduled == pytest.approx(datetime.now(UTC).timestamp() + 3600, abs=60)
    fresh.emulator.advance(3600)
    fresh.idle()
    (dispatch,) = fresh.dispatches(copy.name)
    assert dispatch.status == 204
    assert dispatch.when >= scheduled
    assert fresh.attempts("later") == [1, 2]


def test_exhausted(world: World) -> None:
    task = world.send("luckless", "always fail")
    world.idle()
    assert world.statuses(task) == [204]
    assert world.attempts("luckless") == [1, 2]
    (dead_letter,) = world.dead_letters(body("luckless", "always fail"))
    about = dead_letter.attributes
    assert (about["peeklock-reason"], about["peeklock-attempts"]) == ("exhausted", "2")
    assert about["peeklock-detail"] == "ValueError: no luck"


def test_invalid(world: World) -> None:
    task = world.create(b"{", {})
    world.idle()
    assert world.statuses(task) == [204]
    assert [dead_letter.attributes["peeklock-reason"] for dead_letter in world.dead_letters(b"{")] == ["invalid"]


@pytest.mark.parametrize(("do", "detail"), [("decline", "Declined: card"), ("refuse", "never")])
def test_fatal(world: World, do: str, detail: str) -> None:
    """A class of the declaration, or `DeadLetter` raised by the handler, makes a failure fatal."""
    task = world.send(f"fatal {do}", do)
    world.idle()
    assert world.statuses(task) == [204]
    assert world.attempts(f"fatal {do}") == [1]
    (dead_letter,) = world.dead_letters(body(f"fatal {do}", do))
    assert dead_letter.attributes["peeklock-reason"] == "fatal"
    assert detail in str(dead_letter.attributes["peeklock-detail"])


def test_over_its_time_and_broken_off_late(world: World) -> None:
    """A handler that blocks in C cannot be stopped: its message is busy until it returns, and is broken off then. The
    next attempt succeeds. A worker under coverage on CPython 3.11 breaks off nothing that blocks: there the handler
    succeeds late, and that is recorded."""
    task = world.send("slow", "wait")
    with world.inside():
        world.wait_for(task, 500, 409)
    world.idle()
    assert world.statuses(task)[0] == 500
    assert world.statuses(task)[-1] == 204
    is_broken_off = not (HANGS_WHEN_TRACED and sys.gettrace())
    assert world.attempts("slow") == ([1, 2] if is_broken_off else [1])
    assert len(world.runs("slow", "end")) == 1


def test_over_its_time_and_failed_late(world: World) -> None:
    """The claim ends with the handler, and the attempt counts."""
    task = world.send("slow and bad", "wait, then fail")
    with world.inside():
        world.wait_for(task, 500)
    world.idle()
    assert world.statuses(task)[-1] == 204
    assert world.attempts("slow and bad") == [1, 2]
    assert len(world.runs("slow and bad", "end")) == 1


def test_over_its_time_and_interrupted(single: World) -> None:
    """It has ended, so its claim is let go, and a delayed copy carries on."""
    task = single.send("stuck", "wait")
    with single.inside():
        single.wait_for(task, 204)
    single.idle()
    assert single.statuses(task) == [204]
    assert single.attempts("stuck") == [1, 2]
    assert len(single.runs("stuck", "end")) == 1


def test_a_dispatch_deadline_too_short_to_start(world: World) -> None:
    """It goes back, uncounted, until there is time for it."""
    with world.hasty():
        task = world.send("hasty")
        world.emulator.wait_for(lambda ended: sum(dispatch.task == task for dispatch in ended) >= 3, SECONDS)
        assert not world.runs("hasty")
    world.idle()
    *before, last = world.statuses(task)
    assert (set(before), last) == ({500}, 204)
    (run,) = world.runs("hasty")
    assert run["attempt"] == 1
    assert run["delivery"] > 3


def test_a_dispatch_deadline_that_passes(world: World) -> None:
    """Cloud Tasks gives it up and sends it again, while the handler goes on: one run."""
    task = world.send("given up", "wait")
    with world.inside():
        world.emulator.advance(DISPATCH_SECONDS)
        world.wait_for(task, 504, 409)
    world.idle()
    assert world.statuses(task)[0] == 504
    assert world.statuses(task)[-1] == 204
    assert world.attempts("given up") == [1]
    assert len(world.runs("given up", "end")) == 1


def test_a_worker_killed_in_mid_handler(world: World) -> None:
    """A later dispatch finishes what it began, in the worker that took its place, once its claim is over. The start
    that was lost counts."""
    task = world.send("killed", "wait")
    with world.inside():
        (began,) = world.runs("killed")
        os.kill(began["pid"], signal.SIGKILL)
        world.wait_for(task, 0, 409)
    world.outlive_claims()
    world.idle()
    assert world.statuses(task)[0] == 0
    assert world.statuses(task)[-1] == 204
    first, second = world.runs("killed")
    assert (first["attempt"], second["attempt"]) == (1, 2)
    assert first["pid"] != second["pid"]
    assert len(world.runs("killed", "end")) == 1


def test_a_redriven_dead_letter_runs_again(world: World) -> None:
    """Sent again as it is: it has a new life, and is done."""
    world.send("once", "decline")
    world.idle()
    assert not world.runs("once", "end")
    (dead_letter,) = world.dead_letters(body("once", "decline"))
    again = world.redrive(dead_letter)
    world.idle()
    assert world.statuses(again) == [204]
    assert [(run["generation"], run["attempt"]) for run in world.runs("once")] == [(0, 1), (1, 1)]
    assert len(world.runs("once", "end")) == 1
    assert len(world.dead_letters(body("once", "decline"))) == 1


def test_a_delayed_message_is_handled_once(fresh: World) -> None:
    orders, due = Queue("orders"), fresh.emulator.now + 3600
    with environment(CLOUD_TASKS_EMULATOR_HOST=fresh.emulator.address, PEEKLOCK_ORDERS_URL=fresh.url):
        for _ in range(2):
            send(orders, {"order_id": "o-1"}, delay=3600, id="o-1")
    fresh.emulator.advance(3600)
    fresh.idle()
    (dispatch,) = fresh.emulator.dispatches
    assert dispatch.status == 204
    assert dispatch.when >= due - 1
    assert fresh.attempts("o-1") == [1]


@pytest.mark.parametrize("token", [None, {"service_account_email": "other@p.iam.gserviceaccount.com"}])
def test_a_request_without_the_right_token_is_turned_away(world: World, token: dict[str, str] | None) -> None:
    task = world.create(body("forged", ""), {}, oidc_token=token)
    world.wait_for(task, 401)
    assert not world.runs("forged")
