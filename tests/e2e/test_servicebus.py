"""peeklock's own handlers on Service Bus, in the real Functions worker, with the real client before and after them.

The store is a file, so that it survives the worker. The time of the queues is moved; that of claims is the machine's.
"""

from __future__ import annotations

import json
from collections.abc import Generator, Mapping, Sequence
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from azure.servicebus import ServiceBusClient, ServiceBusMessage, ServiceBusReceivedMessage

from peeklock.emulators.functions_host import FunctionsHost, Invocation
from peeklock.emulators.servicebus import ServiceBusEmulator
from tests.support import ROOT

APP = Path(__file__).with_name("servicebus_app")
QUEUES = ("orders", "parts", "lines")
PARTS = [f"n{n}" for n in range(6)]
"""Messages of which three take longer than a batch may: they may come in more than one."""

LOCK = 3
"""Of a message, as the functions are told: half a second to run, a second to record, and time for a slow machine."""

LEASE = LOCK + 5
"""Seconds that the claim of a killed process lasts: the lock, and peeklock's allowance for clocks that differ."""

DELAY = 60
"""The longest that a copy waits."""

PATIENCE = 60


class World:
    """Queues, their letters, and peeklock's handlers between them."""

    def __init__(self, folder: Path, stack: ExitStack) -> None:
        self.bus = stack.enter_context(ServiceBusEmulator())
        self.evidence = folder / "evidence.jsonl"
        environ = {
            "PEEKLOCK_STORE": f"sqlite://{folder}/keys.db",
            "EVIDENCE": str(self.evidence),
            "PYTHONPATH": str(ROOT / "src"),
        }
        for name in QUEUES:
            self.bus.add_queue(name, requires_session=name == "lines", max_delivery_count=100)
            self.bus.add_queue(f"{name}-dead")
            environ |= {
                f"PEEKLOCK_{name.upper()}_URL": f"sb://127.0.0.1/{name}",
                f"PEEKLOCK_{name.upper()}_DEAD_LETTER": f"sb://127.0.0.1/{name}-dead",
                f"PEEKLOCK_{name.upper()}_LOCK": str(LOCK),
            }
        self.client = stack.enter_context(ServiceBusClient.from_connection_string(self.bus.connection_string))
        self._senders = {name: stack.enter_context(self.client.get_queue_sender(name)) for name in QUEUES}
        self.host = stack.enter_context(
            FunctionsHost(APP, servicebus=self.bus.connection_string, environ=environ),
        )

    def send(self, queue: str, *messages: ServiceBusMessage) -> None:
        """In one batch."""
        self._senders[queue].send_messages(list(messages))

    def wait_done(self, *names: str) -> None:
        """Until invocations for these message ids have gone well."""
        self.host.wait(
            lambda ended: {one for done in ended if done.outcome == "ok" for one in done.message_ids} >= {*names},
            PATIENCE,
        )

    def wait_failed(self, name: str) -> None:
        """Until it was begun, and came back."""

        def holds(ended: Sequence[Invocation]) -> bool:
            return bool(self.runs(name)) and any(one.outcome == "failed" and name in one.message_ids for one in ended)

        self.host.wait(holds, PATIENCE)

    def letters(self, queue: str, count: int) -> dict[str, ServiceBusReceivedMessage]:
        """By body. They are taken."""
        with self.client.get_queue_receiver(f"{queue}-dead") as receiver:
            found: dict[str, ServiceBusReceivedMessage] = {}
            while len(found) < count:
                for one in receiver.receive_messages(max_message_count=count, max_wait_time=PATIENCE):
                    found[str(one)] = one
                    receiver.complete_message(one)
        return found

    def scheduled(self) -> dict[str, datetime]:
        """When copies are to appear, by body."""
        with self.client.get_queue_receiver("orders") as receiver:
            peeked = receiver.peek_messages(max_message_count=100)
        return {str(one): one.scheduled_enqueue_time_utc for one in peeked if one.scheduled_enqueue_time_utc}

    def runs(self, name: str, what: str = "begin") -> Sequence[Mapping[str, Any]]:
        return [one for one in self.noted() if one["order"] == name and one["what"] == what]

    def noted(self) -> Sequence[Mapping[str, Any]]:
        return [json.loads(line) for line in self.evidence.read_text().splitlines()]

    def invocations(self, name: str) -> Sequence[Invocation]:
        return [one for one in self.host.invocations if name in one.message_ids]


def body(name: str, do: str | None = None) -> str:
    return json.dumps({"order_id": name, "do": do})


def message(name: str, do: str | None = None, session: str | None = None) -> ServiceBusMessage:
    return ServiceBusMessage(body(name, do), message_id=name, session_id=session)


def told(letter: ServiceBusReceivedMessage, name: str) -> str:
    value = (letter.application_properties or {})[f"peeklock-{name}".encode()]
    assert isinstance(value, bytes), value
    return value.decode()


class Handled:
    """All that can become of a message, one after the other where one would disturb the other."""

    def __init__(self, world: World) -> None:
        self.world = world
        first = [message(do, do) for do in ("retry once", "always fail", "decline", "refuse")]
        invalid = ServiceBusMessage("{", message_id="invalid")
        world.send("orders", message("plain"), message("twin"), *first, invalid)
        self._send_lines_and_parts()
        world.wait_done("plain", "twin", "retry once", "always fail", "decline", "refuse", "invalid")
        self.scheduled = world.scheduled()
        self.runs_before = [len(world.runs(name)) for name in ("retry once", "always fail")]
        world.bus.advance(DELAY)
        self.letters = world.letters("orders", 4)
        self._redrive(self.letters[body("decline", "decline")])
        world.send("orders", ServiceBusMessage(body("twin"), message_id="other"))
        world.wait_done("retry once.0.1", "redriven", "other")
        self._hang_and_die()

    def _send_lines_and_parts(self) -> None:
        for head, do in {"x": "retry soon", "y": "refuse"}.items():
            misdeeds = [do, None, None]
            self.world.send("lines", *(message(f"{head}{n}", one, head) for n, one in enumerate(misdeeds)))
        self.world.send("parts", *(message(name, "take") for name in PARTS))
        self.world.wait_done("x2", "y2", *PARTS)
        self.line_letters = self.world.letters("lines", 1)

    def _redrive(self, letter: ServiceBusReceivedMessage) -> None:
        """As it is, body and properties, as tools do."""
        properties = dict(letter.application_properties or {})  # the client changes what it is given
        self.world.send(
            "orders", ServiceBusMessage(str(letter), message_id="redriven", application_properties=properties)
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
    assert [one["attempt"] for one in world.runs("plain")] == [1]
    assert len(world.runs("plain", "end")) == 1
    assert world.invocations("plain")[-1].settled == ("completed",)


def test_duplicate(world: World) -> None:
    """Two messages of one key: one run, and both are complete."""
    assert len(world.runs("twin")) == 1
    assert world.invocations("other")[-1].settled == ("completed",)


def test_a_retry_waits_for_its_delay(handled: Handled) -> None:
    """As a scheduled copy, which nobody gets before its time."""
    first, second = handled.world.runs("retry once")
    due = handled.scheduled[body("retry once", "retry once")]
    assert 30 <= (due - datetime.fromtimestamp(first["at"], UTC)).total_seconds() < 40
    assert handled.runs_before == [1, 1]
    assert (first["attempt"], second["attempt"]) == (1, 2)
    assert len(handled.world.runs("retry once", "end")) == 1


def test_exhausted(handled: Handled) -> None:
    assert [one["attempt"] for one in handled.world.runs("always fail")] == [1, 2]
    letter = handled.letters[body("always fail", "always fail")]
    assert (told(letter, "reason"), told(letter, "attempts")) == ("exhausted", "2")
    assert "ValueError: no luck" in told(letter, "detail")


def test_fatal(handled: Handled) -> None:
    """By the declaration's class, and by the handler's word."""
    for do, detail in {"decline": "Declined: card", "refuse": "never"}.items():
        letter = handled.letters[body(do, do)]
        assert told(letter, "reason") == "fatal"
        assert detail in told(letter, "detail")
    assert len(handled.world.runs("refuse")) == 1


def test_invalid(handled: Handled) -> None:
    assert told(handled.letters["{"], "reason") == "invalid"


def test_a_redriven_letter_runs_again(world: World) -> None:
    """It has a new life, and is done."""
    assert [one["attempt"] for one in world.runs("decline")] == [1, 1]
    assert len(world.runs("decline", "end")) == 1


def test_a_message_over_its_time(world: World) -> None:
    """Its claim is waited out, since what it began may still be going on; then it is done, as the second attempt."""
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
    """Of a batch that takes longer than its lock, the rest goes back, uncounted; nothing runs twice."""
    parts = [one for one in world.host.invocations if one.function == "part"]
    broken_off = [one for one in parts if one.outcome == "failed"]
    assert broken_off
    assert all(set(one.settled) == {"abandoned"} for one in broken_off)
    assert max(one.duration for one in parts) < LOCK
    assert [[one["attempt"] for one in world.runs(name)] for name in PARTS] == [[1]] * len(PARTS)


def test_a_failing_head_holds_its_session(handled: Handled) -> None:
    """Until it is done, after its delay; and until it is a letter, after which its session goes on."""
    begun = [one["order"] for one in handled.world.noted() if one["what"] == "begin"]
    assert [one for one in begun if one[0] == "x"] == ["x0", "x0", "x1", "x2"]
    assert [one for one in begun if one[0] == "y"] == ["y0", "y1", "y2"]
    first, second = handled.world.runs("x0")
    assert second["at"] - first["at"] >= 0.4
    ((text, letter),) = handled.line_letters.items()
    assert json.loads(text)["order_id"] == "y0"
    assert (told(letter, "reason"), letter.session_id) == ("fatal", "y")


def test_nothing_is_left(world: World) -> None:
    """Neither messages nor other letters."""
    assert [world.bus.messages(name) for name in (*QUEUES, *(f"{name}-dead" for name in QUEUES))] == [[]] * 6
