"""peeklock's own handlers over a real queue, in the real runtime client: what happens to each kind of message.

The store is a file, so that it survives the processes; dead letters are read back, and sent again, with the real client.
"""

from __future__ import annotations

import json
from collections.abc import Generator, Mapping
from contextlib import ExitStack
from typing import Any

import pytest

from cloudqueues.sqs_lambda import SqsLambda
from tests.emulators.sqs_lambda.conftest import World

TIMEOUT = 2.5
"""Seconds that the function may take: a message's half second, peeklock's reserve of one, and time for a slow
machine."""

VISIBILITY = 3
LEASE = 2.5 + 5
"""Longest time of a killed process's claim: the function's time, and peeklock's allowance for clocks that differ."""


class Orders:
    """A queue, its dead letters, and peeklock's handler between them."""

    def __init__(self, world: World, *, fifo: bool = False, batch_size: int = 10) -> None:
        self.world = world
        self.dead_letters_url = world.queue(fifo=fifo)
        self.url = world.queue(fifo=fifo, visibility=VISIBILITY)
        self._options: dict[str, Any] = {
            "handler": "orders.fifo_handler" if fifo else "orders.handler",
            "batch_size": batch_size,
            "timeout": TIMEOUT,
            "maximum_concurrency": 2,
            "environ": {
                "PEEKLOCK_STORE": f"sqlite://{world.evidence.parent}/keys.db",
                "PEEKLOCK_ORDERS_DEAD_LETTER": self.dead_letters_url,
            },
        }

    def handle(self, seconds: float = 60) -> SqsLambda:
        """Handle all that is on the queue."""
        function = self.world.function(self.url, **self._options)
        function.wait_idle(seconds)
        return function

    def send(self, name: str, do: str | None = None, group: str | None = None) -> None:
        self.world.send(self.url, json.dumps({"order_id": name, "do": do}), group=group)

    def runs(self, name: str, what: str = "begin") -> list[dict[str, Any]]:
        return [note for note in self.world.seen() if note["order"] == name and note["what"] == what]

    def dead_letters(self) -> dict[str, Mapping[str, Any]]:
        """Receive the dead letters without deleting them, and return them by body."""
        dead_letters: dict[str, Mapping[str, Any]] = {}
        while messages := self.world.receive(self.dead_letters_url):
            dead_letters |= {message["Body"]: message for message in messages}
        return dead_letters


def attribute(dead_letter: Mapping[str, Any], name: str) -> str:
    return str(dead_letter["MessageAttributes"][f"peeklock-{name}"]["StringValue"])


def body(name: str, do: str) -> str:
    return json.dumps({"order_id": name, "do": do})


class Handled:
    """A queue of everything, handled to its end, one message an invocation."""

    def __init__(self, orders: Orders) -> None:
        self.orders = orders
        for do in ("die once", "hang once", "retry once", "always fail", "decline", "refuse"):
            orders.send(do, do)
        orders.send("plain")
        for _ in range(2):
            orders.send("twin")
        orders.world.send(orders.url, "{")
        self.function = orders.handle()
        self.dead_letters = orders.dead_letters()


@pytest.fixture(scope="module")
def handled(moto_endpoint: str, tmp_path_factory: pytest.TempPathFactory) -> Generator[Handled, None, None]:
    with ExitStack() as stack:
        world = World(moto_endpoint, tmp_path_factory.mktemp("orders"), stack)
        yield Handled(Orders(world, batch_size=1))


def test_done(handled: Handled) -> None:
    assert [run["attempt"] for run in handled.orders.runs("plain")] == [1]
    assert len(handled.orders.runs("plain", "end")) == 1


def test_duplicate(handled: Handled) -> None:
    """Two messages of one key: one run."""
    assert len(handled.orders.runs("twin")) == 1


def test_a_retry_waits_for_its_delay(handled: Handled) -> None:
    """Two seconds, that SQS kept: it counts whole ones, from when it was told."""
    first, second = handled.orders.runs("retry once")
    assert (first["attempt"], second["attempt"]) == (1, 2)
    assert second["at"] - first["at"] >= 1.9


def test_exhausted(handled: Handled) -> None:
    assert [run["attempt"] for run in handled.orders.runs("always fail")] == [1, 2]
    dead_letter = handled.dead_letters[body("always fail", "always fail")]
    assert (attribute(dead_letter, "reason"), attribute(dead_letter, "attempts")) == ("exhausted", "2")
    assert "ValueError: no luck" in attribute(dead_letter, "detail")


def test_fatal(handled: Handled) -> None:
    """A class of the declaration, or `DeadLetter` raised by the handler, makes a failure fatal."""
    for do, detail in {"decline": "Declined: card", "refuse": "never"}.items():
        assert len(handled.orders.runs(do)) == 1
        dead_letter = handled.dead_letters[body(do, do)]
        assert attribute(dead_letter, "reason") == "fatal"
        assert detail in attribute(dead_letter, "detail")


def test_invalid(handled: Handled) -> None:
    assert attribute(handled.dead_letters["{"], "reason") == "invalid"


def test_a_message_over_its_time(handled: Handled) -> None:
    """It is interrupted, not the process; its claim is waited out, and then it is done."""
    first, second = handled.orders.runs("hang once")
    assert (first["attempt"], second["attempt"]) == (1, 2)
    assert len(handled.orders.runs("hang once", "end")) == 1
    assert not [invocation for invocation in handled.function.invocations if invocation.outcome == "timeout"]


def test_a_process_killed_in_mid_handler(handled: Handled) -> None:
    """A later delivery finishes what it began, once its claim has ended."""
    first, second = handled.orders.runs("die once")
    assert (first["delivery"], second["delivery"] > 1) == (1, True)
    assert first["pid"] != second["pid"]
    assert second["at"] - first["at"] > LEASE - 1
    assert len(handled.orders.runs("die once", "end")) == 1
    died = [invocation for invocation in handled.function.invocations if invocation.outcome == "exit"]
    assert [invocation.error for invocation in died] == ["Runtime.ExitError: exit status -9"]


def test_nothing_else_became_a_dead_letter(handled: Handled) -> None:
    expected = {body(do, do) for do in ("always fail", "decline", "refuse")} | {"{"}
    assert set(handled.dead_letters) == expected


def test_what_cannot_end_in_time_is_not_begun(world: World) -> None:
    """The rest of a batch that takes longer than its function may goes back, uncounted; nothing runs twice."""
    orders = Orders(world)
    names = [f"n{n}" for n in range(10)]
    for name in names:
        orders.send(name, "take")
    function = orders.handle()
    assert function.invocations[0].outcome == "partial"
    assert len(function.invocations[0].message_ids) == 10
    runs = [(note["order"], note["attempt"]) for note in world.seen() if note["what"] == "begin"]
    assert sorted(runs) == [(name, 1) for name in names]
    assert not [invocation for invocation in function.invocations if invocation.outcome == "timeout"]
    assert not orders.dead_letters()


def test_a_failing_head_holds_its_group(world: World) -> None:
    """Until it is done; and until it is a dead letter, after which its group goes on."""
    orders = Orders(world, fifo=True)
    for group, do in {"a": "retry once", "b": "refuse"}.items():
        for n, misdeed in enumerate([do, None, None]):
            orders.send(f"{group}{n}", misdeed, group=group)
    orders.handle()
    begun = [note["order"] for note in world.seen() if note["what"] == "begin"]
    assert [order_id for order_id in begun if order_id[0] == "a"] == ["a0", "a0", "a1", "a2"]
    assert [order_id for order_id in begun if order_id[0] == "b"] == ["b0", "b1", "b2"]
    ((text, dead_letter),) = orders.dead_letters().items()
    assert json.loads(text)["order_id"] == "b0"
    assert attribute(dead_letter, "reason") == "fatal"


def test_a_redriven_dead_letter_runs_again(world: World) -> None:
    """Sent again as it is, body and attributes, as redrive tools do: it has a new life, and is done."""
    orders = Orders(world)
    orders.send("once", "decline")
    orders.handle().stop()
    assert not orders.runs("once", "end")
    ((text, dead_letter),) = orders.dead_letters().items()
    world.sqs.send_message(QueueUrl=orders.url, MessageBody=text, MessageAttributes=dead_letter["MessageAttributes"])
    orders.handle()
    assert [run["attempt"] for run in orders.runs("once")] == [1, 1]
    assert len(orders.runs("once", "end")) == 1
