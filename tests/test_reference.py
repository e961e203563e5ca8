"""docs/reference.md, docs/stack.md and the table of docs/platforms.md say what the code has."""

from __future__ import annotations

import inspect
import re
from contextlib import nullcontext
from dataclasses import MISSING, fields
from datetime import timedelta
from typing import Any

import pytest

import peeklock
from peeklock import Batch, ConfigError, Message, Queue, cloudtasks, consumer, pubsub, sqs
from peeklock.infra.options import Capacity, Stage, Thresholds
from tests.support import ROOT

REFERENCE = "".join((ROOT / "docs" / name).read_text() for name in ("reference.md", "stack.md"))


def rows(heading: str) -> dict[str, str]:
    """The default of each name in the table of a section, as it is written."""
    section = re.split(r"^## ", REFERENCE, flags=re.MULTILINE)
    (text,) = [part for part in section if part.startswith(f"{heading}\n")]
    cells = [re.split(r"\s*\|\s*", line) for line in text.splitlines() if line.startswith("| `")]
    return {cell[1].strip("`"): cell[2].strip("`") for cell in cells}


def value_of(text: str) -> Any:
    return eval(text, {"timedelta": timedelta, "Thresholds": Thresholds}) if text else inspect.Parameter.empty


def documented(heading: str) -> dict[str, Any]:
    return {name: value_of(text) for name, text in rows(heading).items()}


@pytest.mark.parametrize(
    "name",
    [name for name in ("Queue", "consumer", "send", "Retry", "DeadLetter", "secret") if name in peeklock.__all__],
)
def test_arguments_and_defaults(name):
    """In the order of the signature."""
    expected = {each.name: each.default for each in inspect.signature(getattr(peeklock, name)).parameters.values()}
    assert list(documented(name).items()) == list(expected.items())


def test_the_stacks_file():
    """docs/stack.md: each key with its default."""
    for heading, options in (("capacity", Capacity), ("stage", Stage), ("thresholds", Thresholds)):
        defaults = options()
        expected = {each.name: getattr(defaults, each.name) for each in fields(options)}
        assert list(documented(heading).items()) == list(expected.items())


def test_the_attributes_of_a_message():
    expected = {
        each.name: each.default_factory() if each.default_factory is not MISSING else each.default  # type: ignore[misc] # mypy does not know MISSING
        for each in fields(Message)
    }
    expected = {name: inspect.Parameter.empty if default is MISSING else default for name, default in expected.items()}
    assert list(documented("Message").items()) == list(expected.items())


def test_what_a_batch_has():
    assert sorted(name.removesuffix("()") for name in rows("Batch")) == sorted(
        name for name in {*Batch.__slots__, *vars(Batch)} if not name.startswith("_")
    )


def longest(platform: str) -> list[float]:
    """The longest time-outs of a platform, in seconds, as docs/platforms.md has them."""
    lines = (ROOT / "docs/platforms.md").read_text().splitlines()
    (line,) = [line for line in lines if line.startswith("| longest `timeout` |")]
    cell = line.split("|")[{"sqs": 2, "cloudtasks": 4, "pubsub": 5}[platform]]
    return [float(number.replace(",", "")) for number in re.findall(r"([\d,]+) s\b", cell)]


@pytest.mark.parametrize(
    ("platform", "bind"), [("sqs", sqs.bind), ("cloudtasks", cloudtasks.bind), ("pubsub", pubsub.bind)]
)
def test_the_longest_timeout(platform, bind):
    """It can be declared and bound, and one second more cannot. (stranger 2, bug 10)"""
    most = max(longest(platform))

    def declared(seconds: float) -> Any:
        @consumer(Queue("orders", timeout=seconds))
        def handle(order: dict) -> None:  # type: ignore[type-arg] # as users write it
            ...

        return bind(handle)

    for seconds, outcome in ((most, nullcontext()), (most + 1, pytest.raises(ConfigError, match="timeout="))):
        with outcome:
            declared(seconds)


@pytest.mark.parametrize(("left", "fits"), [(1800, True), (1799, False)])
def test_the_longest_timeout_of_an_ordinary_function(left, fits):
    """A function of 1,800 s runs a message of 1,799 s, since its last second is needed to settle; that is checked at an event,
    because only then the function's time is known."""
    seconds = min(longest("sqs"))

    @consumer(Queue("orders", timeout=seconds))
    def handle(order: dict) -> None:  # type: ignore[type-arg] # as users write it
        ...

    class Context:
        def get_remaining_time_in_millis(self) -> int:
            return left * 1000

    event = {
        "Records": [{"eventSource": "aws:sqs", "messageId": "m", "receiptHandle": "r", "body": "{}", "attributes": {}}]
    }
    with nullcontext() if fits else pytest.raises(ConfigError, match="set the function's timeout above 1800 s"):
        assert sqs.bind(handle, dead_letter="memory://d")(event, Context()) == {"batchItemFailures": []}
