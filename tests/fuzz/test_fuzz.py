"""The laws hold for mutated events: a few of them in `make test`, 100,000 in `make slow`, as many as you like in `make fuzz`."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import pytest

from peeklock.errors import SendError
from peeklock.outgoing import OutgoingMessage
from tests.fuzz.entries import PLATFORMS, REFUSED
from tests.fuzz.run import Found, Tally, fuzz, fuzz_one, samples, stage_of

SEED = 20261130
FEW = 150
MANY = 25_000
"""Events of each platform; 100,000 together."""
CHUNK = 2500


@pytest.mark.parametrize("platform", PLATFORMS)
def test_the_laws_hold(platform):
    """And the events reach the handlers: most are not refused at the door."""
    tally = fuzz(platform, SEED, range(FEW))
    assert tally.reasons["done"] > FEW / 10
    assert tally.reasons["invalid"] > FEW / 20


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("first", range(FEW, MANY, CHUNK))
@pytest.mark.parametrize("platform", PLATFORMS)
def test_the_laws_hold_for_many(platform, first):
    """In chunks, for several processes."""
    assert fuzz(platform, SEED, range(first, first + CHUNK)).events == CHUNK


@pytest.mark.parametrize("platform", PLATFORMS)
def test_the_same_seed_is_the_same_event(platform):
    """Whatever was tried before."""
    together, alone = Tally(), Tally()
    for number in (3, 7, 11):
        fuzz_one(platform, SEED, number, together)
    fuzz_one(platform, SEED, 11, alone)
    stage, _ = stage_of(platform)
    first = [delivery.outcome for delivery in stage.watcher.settled_items]
    fuzz_one(platform, SEED, 11, Tally())
    assert [str(delivery.outcome) for delivery in stage.watcher.settled_items] == [str(outcome) for outcome in first]
    assert samples(platform)


class Forgetful:
    """A sender that says yes and keeps nothing."""

    def __init__(self, inner: Any) -> None:
        self.inner = inner

    def __getattr__(self, name: str) -> Any:
        return getattr(self.inner, name)

    def send(self, outgoing_messages: Sequence[OutgoingMessage], /) -> Sequence[SendError | None]:
        self.inner.outgoing_messages = []
        return [None] * len(outgoing_messages)


def found_in(platform: str, events: int = 400) -> str:
    with pytest.raises(Found) as raised:
        fuzz(platform, SEED, range(events))
    return str(raised.value)


@pytest.mark.parametrize("platform", PLATFORMS)
def test_a_dead_letter_that_is_not_there_is_found(platform, monkeypatch):
    """The report says the way back to it."""
    stage, _ = stage_of(platform)
    monkeypatch.setattr(stage.dead_letters, "send", Forgetful(stage.dead_letters).send)
    report = found_in(platform)
    assert "no dead letter of" in report
    assert f"python -m tests.fuzz {platform} --seed {SEED} --only" in report
    path = report.partition("event: ")[2].partition("\n")[0]
    with open(path) as event:  # noqa: PTH123 - the path of a report
        assert json.load(event)


def lying(say: Any, lie: Any) -> Any:
    """An entry point that tells its platform something else."""

    def said(event: Any) -> Any:
        answer = say(event)
        return answer if answer == REFUSED else lie(answer)

    return said


LIES = {
    "sqs": lambda answer: {**answer, "batchItemFailures": []},
    "cloudtasks": lambda _: 204,
    "pubsub": lambda _: 204,
    "servicebus": lambda answer: "returned" if isinstance(answer, str) else [(verb, n) for verb, n in answer][1:],
}


@pytest.mark.parametrize("platform", PLATFORMS)
def test_a_platform_that_is_told_something_else_is_found(platform, monkeypatch):
    """That all is well, or nothing of one message."""
    _, entries = stage_of(platform)
    for entry in entries:
        monkeypatch.setitem(entry.__dict__, "say", lying(entry.say, LIES[platform]))
    assert "again: python" in found_in(platform)
