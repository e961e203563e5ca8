"""peeklock's own handlers on Service Bus, in the real Functions worker, with the real client before and after them.

The store is a file, so that it survives the worker. The time of the queues is moved; that of claims is the machine's.
"""

from __future__ import annotations

import json
from collections.abc import Generator
from contextlib import ExitStack
from datetime import UTC, datetime

import pytest
from azure.servicebus import ServiceBusMessage, ServiceBusReceivedMessage

from tests.e2e.servicebus_world import LOCK, QUEUES, World, body, message, told

PARTS = [f"n{n}" for n in range(6)]
"""Messages of which three take longer than a batch may: they may come in more than one."""

LEASE = LOCK + 5
"""Seconds that the claim of a killed process lasts: the lock, and peeklock's allowance for clocks that differ."""

DELAY = 60
"""The longest that a copy waits."""


class Handled:
    """All that can become of a message, one after the other where one would disturb the other."""

    def __init__(self, world: World) -> None:
        self.world = world
        first = [message(do, do) for do in ("retry once", "always fail", "decline", "refuse")]
        invalid = ServiceBusMessage("{", message_id="invalid")
        world.send("orders", message("plain"), message("twin"), *first, invalid)
        self._send_lines_and_parts()
        world.wait_done("plain", "twin", "retry once", "always fail", "decline", "refuse", "invalid")
        self.scheduled, copies = world.scheduled(), world.scheduled_ids()
        self.runs_before = len(world.runs("retry once"))
        world.bus.advance(DELAY)
        self.dead_letters = world.dead_letters("orders", 4)
        self._redrive(self.dead_letters[body("decline", "decline")])
        world.send("orders", ServiceBusMessage(body("twin"), message_id="other"))
        world.wait_done(*copies, "redriven", "other")
        self._hang_and_die()

    def _send_lines_and_parts(self) -> None:
        for head, do in {"x": "retry soon", "y": "refuse"}.items():
            misdeeds = [do, None, None]
            self.world.send("lines", *(message(f"{head}{n}", misdeed, head) for n, misdeed in enumerate(misdeeds)))
        self.world.send("parts", *(message(name, "take") for name in PARTS))
        self.world.wait_done("x2", "y2", *PARTS)
        self.line_dead_letters = self.world.dead_letters("lines", 1)

    def _redrive(self, dead_letter: ServiceBusReceivedMessage) -> None:
        """Send a dead letter again as it is, body and properties, as tools do."""
        properties = dict(dead_letter.application_properties or {})  # the client changes what it is given
        self.world.send(
            "orders", ServiceBusMessage(str(dead_letter), message_id="redriven", application_properties=properties)
        )

    def _hang_and_die(self) -> None:
        """The second takes the worker along, once the first is over its time."""
        self.world.send("orders", message("hang once", "hang once"))
        self.world.wait_failed("hang once")
        self.world.send("orders", message("die once", "die once"))
        self.world.wait_done("hang once", "die once")


@pytest.fixture(scope="module")
def handled(tmp_path_factory: pytest.TempPathFactory) -> Generator[Handled]:
    with ExitStack() as stack:
        yield Handled(World(tmp_path_factory.mktemp("orders"), stack))


@pytest.fixture
def world(handled: Handled) -> World:
    return handled.world


def test_done(world: World) -> None:
    assert [run["attempt"] for run in world.runs("plain")] == [1]
    assert len(world.runs("plain", "end")) == 1
    assert world.invocations("plain")[-1].settled == ("completed",)


def test_duplicate(world: World) -> None:
    """Two messages of one key: one run, and both are complete."""
    assert len(world.runs("twin")) == 1
    assert world.invocations("other")[-1].settled == ("completed",)


def test_a_retry_waits_for_its_delay(handled: Handled) -> None:
    """The retry is a scheduled copy, which nobody gets before its time."""
    first, second = handled.world.runs("retry once")
    due = handled.scheduled[body("retry once", "retry once")]
    assert DELAY <= (due - datetime.fromtimestamp(first["at"], UTC)).total_seconds() < DELAY + 10
    assert handled.runs_before == 1
    assert (first["attempt"], second["attempt"]) == (1, 2)
    assert len(handled.world.runs("retry once", "end")) == 1


def test_exhausted(handled: Handled) -> None:
    assert [run["attempt"] for run in handled.world.runs("always fail")] == [1, 2]
    dead_letter = handled.dead_letters[body("always fail", "always fail")]
    assert (told(dead_letter, "reason"), told(dead_letter, "attempts")) == ("exhausted", "2")
    assert "ValueError: no luck" in told(dead_letter, "detail")


def test_fatal(handled: Handled) -> None:
    """A class of the declaration, or `DeadLetter` raised by the handler, makes a failure fatal."""
    for do, detail in {"decline": "Declined: card", "refuse": "never"}.items():
        dead_letter = handled.dead_letters[body(do, do)]
        assert told(dead_letter, "reason") == "fatal"
        assert detail in told(dead_letter, "detail")
    assert len(handled.world.runs("refuse")) == 1


def test_invalid(handled: Handled) -> None:
    assert told(handled.dead_letters["{"], "reason") == "invalid"


def test_a_redriven_dead_letter_runs_again(world: World) -> None:
    """It has a new life, and is done."""
    assert [run["attempt"] for run in world.runs("decline")] == [1, 1]
    assert len(world.runs("decline", "end")) == 1


def test_a_message_over_its_time(world: World) -> None:
    """The claim is waited out, since the handler may still be running; then the second attempt succeeds."""
    first, second = world.runs("hang once")
    assert (first["attempt"], second["attempt"]) == (1, 2)
    assert second["at"] - first["at"] > LEASE - 1
    assert len(world.runs("hang once", "end")) == 1
    assert world.invocations("hang once")[0].settled == ("abandoned",)


def test_a_worker_killed_in_mid_handler(world: World) -> None:
    """A later delivery finishes what it began, once its claim has ended."""
    first, second = world.runs("die once")
    assert (first["delivery"], second["delivery"] > 1) == (1, True)
    assert first["pid"] != second["pid"]
    assert second["at"] - first["at"] > LEASE - 1
    assert len(world.runs("die once", "end")) == 1
    assert world.invocations("die once")[0].outcome == "killed"


def test_what_cannot_end_in_time_is_not_begun(world: World) -> None:
    """The rest of a batch that takes longer than its lock goes back, uncounted; nothing runs twice."""
    parts = [invocation for invocation in world.host.invocations if invocation.function == "part"]
    broken_off = [invocation for invocation in parts if invocation.outcome == "failed"]
    assert broken_off
    assert all(set(invocation.settled) == {"abandoned"} for invocation in broken_off)
    assert max(invocation.duration for invocation in parts) < LOCK
    assert [[line["attempt"] for line in world.runs(name)] for name in PARTS] == [[1]] * len(PARTS)


def test_a_failing_head_holds_its_session(handled: Handled) -> None:
    """Until it is done, after its delay; and until it is a dead letter, after which its session goes on."""
    begun = [line["order"] for line in handled.world.noted() if line["what"] == "begin"]
    assert [line for line in begun if line[0] == "x"] == ["x0", "x0", "x1", "x2"]
    assert [line for line in begun if line[0] == "y"] == ["y0", "y1", "y2"]
    first, second = handled.world.runs("x0")
    assert second["at"] - first["at"] >= 0.4
    ((text, dead_letter),) = handled.line_dead_letters.items()
    assert json.loads(text)["order_id"] == "y0"
    assert (told(dead_letter, "reason"), dead_letter.session_id) == ("fatal", "y")


def test_nothing_is_left(world: World) -> None:
    """Neither messages nor other dead letters."""
    assert [world.bus.messages(name) for name in (*QUEUES, *(f"{name}-dead" for name in QUEUES))] == [[]] * 6
