"""peeklock's own handlers over a real queue, in the real runtime client: what happens to each kind of message.

The store is a file, so that it survives the processes; letters are read back, and sent again, with the real client.
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
"""Of the function, in seconds: a message's half second, peeklock's reserve of one, and time for a slow machine."""

VISIBILITY = 3
LEASE = 2.5 + 5
"""What a killed process's claim lasts at most: the function's time, and peeklock's allowance for clocks that differ."""


class Orders:
    """A queue, its letters, and peeklock's handler between them."""

    def __init__(self, world: World, *, fifo: bool = False, batch_size: int = 10) -> None:
        self.world = world
        self.letters_url = world.queue(fifo=fifo)
        self.url = world.queue(fifo=fifo, visibility=VISIBILITY)
        self._options: dict[str, Any] = {
            "handler": "orders.fifo_handler" if fifo else "orders.handler",
            "batch_size": batch_size,
            "timeout": TIMEOUT,
            "maximum_concurrency": 2,
            "environ": {
                "PEEKLOCK_STORE": f"sqlite://{world.evidence.parent}/keys.db",
                "PEEKLOCK_ORDERS_DEAD_LETTER": self.letters_url,
            },
        }

    def handle(self, seconds: float = 60) -> SqsLambda:
        """What is on the queue, to its end."""
        function = self.world.function(self.url, **self._options)
        function.wait_idle(seconds)
        return function

    def send(self, name: str, do: str | None = None, group: str | None = None) -> None:
        self.world.send(self.url, json.dumps({"order_id": name, "do": do}), group=group)

    def runs(self, name: str, what: str = "begin") -> list[dict[str, Any]]:
        return [one for one in self.world.seen() if one["order"] == name and one["what"] == what]

    def letters(self) -> dict[str, Mapping[str, Any]]:
        """By body. They stay."""
        found: dict[str, Mapping[str, Any]] = {}
        while messages := self.world.receive(self.letters_url):
            found |= {one["Body"]: one for one in messages}
        return found


def told(letter: Mapping[str, Any], name: str) -> str:
    return str(letter["MessageAttributes"][f"peeklock-{name}"]["StringValue"])


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
        self.letters = orders.letters()


@pytest.fixture(scope="module")
def handled(moto_endpoint: str, tmp_path_factory: pytest.TempPathFactory) -> Generator[Handled, None, None]:
    with ExitStack() as stack:
        world = World(moto_endpoint, tmp_path_factory.mktemp("orders"), stack)
        yield Handled(Orders(world, batch_size=1))


def test_done(handled: Handled) -> None:
    assert [one["attempt"] for one in handled.orders.runs("plain")] == [1]
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
    assert [one["attempt"] for one in handled.orders.runs("always fail")] == [1, 2]
    letter = handled.letters[body("always fail", "always fail")]
    assert (told(letter, "reason"), told(letter, "attempts")) == ("exhausted", "2")
    assert "ValueError: no luck" in told(letter, "detail")


def test_fatal(handled: Handled) -> None:
    """By the declaration's class, and by the handler's word."""
    for do, detail in {"decline": "Declined: card", "refuse": "never"}.items():
        assert len(handled.orders.runs(do)) == 1
        letter = handled.letters[body(do, do)]
        assert told(letter, "reason") == "fatal"
        assert detail in told(letter, "detail")


def test_invalid(handled: Handled) -> None:
    assert told(handled.letters["{"], "reason") == "invalid"


def test_a_message_over_its_time(handled: Handled) -> None:
    """It is interrupted, not the process; its claim is waited out, and then it is done."""
    first, second = handled.orders.runs("hang once")
    assert (first["attempt"], second["attempt"]) == (1, 2)
    assert len(handled.orders.runs("hang once", "end")) == 1
    assert not [one for one in handled.function.invocations if one.outcome == "timeout"]


def test_a_process_killed_in_mid_handler(handled: Handled) -> None:
    """A later delivery finishes what it began, once its claim has ended."""
    first, second = handled.orders.runs("die once")
    assert (first["delivery"], second["delivery"] > 1) == (1, True)
    assert first["pid"] != second["pid"]
    assert second["at"] - first["at"] > LEASE - 1
    assert len(handled.orders.runs("die once", "end")) == 1
    died = [one for one in handled.function.invocations if one.outcome == "exit"]
    assert [one.error for one in died] == ["Runtime.ExitError: exit status -9"]


def test_nothing_else_became_a_letter(handled: Handled) -> None:
    expected = {body(do, do) for do in ("always fail", "decline", "refuse")} | {"{"}
    assert set(handled.letters) == expected


def test_what_cannot_end_in_time_is_not_begun(world: World) -> None:
    """Of a batch that takes longer than its function may, the rest goes back, uncounted; nothing runs twice."""
    orders = Orders(world)
    names = [f"n{n}" for n in range(10)]
    for name in names:
        orders.send(name, "take")
    function = orders.handle()
    assert function.invocations[0].outcome == "partial"
    assert len(function.invocations[0].message_ids) == 10
    runs = [(one["order"], one["attempt"]) for one in world.seen() if one["what"] == "begin"]
    assert sorted(runs) == [(name, 1) for name in names]
    assert not [one for one in function.invocations if one.outcome == "timeout"]
    assert not orders.letters()


def test_a_failing_head_holds_its_group(world: World) -> None:
    """Until it is done; and until it is a letter, after which its group goes on."""
    orders = Orders(world, fifo=True)
    for group, do in {"a": "retry once", "b": "refuse"}.items():
        for n, misdeed in enumerate([do, None, None]):
            orders.send(f"{group}{n}", misdeed, group=group)
    orders.handle()
    begun = [one["order"] for one in world.seen() if one["what"] == "begin"]
    assert [one for one in begun if one[0] == "a"] == ["a0", "a0", "a1", "a2"]
    assert [one for one in begun if one[0] == "b"] == ["b0", "b1", "b2"]
    ((text, letter),) = orders.letters().items()
    assert json.loads(text)["order_id"] == "b0"
    assert told(letter, "reason") == "fatal"


def test_a_redriven_letter_runs_again(world: World) -> None:
    """Sent again as it is, body and attributes, as redrive tools do: it has a new life, and is done."""
    orders = Orders(world)
    orders.send("once", "decline")
    orders.handle().stop()
    assert not orders.runs("once", "end")
    ((text, letter),) = orders.letters().items()
    world.sqs.send_message(QueueUrl=orders.url, MessageBody=text, MessageAttributes=letter["MessageAttributes"])
    orders.handle()
    assert [one["attempt"] for one in orders.runs("once")] == [1, 1]
    assert len(orders.runs("once", "end")) == 1
