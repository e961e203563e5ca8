"""`peeklock send --redrive`: the command that docs/platforms.md shows."""

from __future__ import annotations

from typing import Any

import pytest

from peeklock import DeadLetter, Queue, consumer, sqs
from peeklock.cli import main
from peeklock.senders.file import FileSender, read
from peeklock.stores.memory import MemoryStore
from tests.support import ROOT

QUEUE = Queue("orders")
ran: list[Any] = []


@consumer(QUEUE, key="id")
def handle(order: dict) -> None:  # type: ignore[type-arg] # as users write it
    ran.append(order)
    if len(ran) == 1:
        raise DeadLetter("not yet")


def event(**attributes: str) -> Any:
    carried = {name: {"dataType": "String", "stringValue": value} for name, value in attributes.items()}
    return {
        "Records": [
            {"messageId": "m-1", "body": '{"id":"o-1"}', "eventSource": "aws:sqs", "messageAttributes": carried}
        ]
    }


def test_a_dead_letter_of_a_file_is_redriven(tmp_path, capsys):
    """It is what it was, in its next life: so it runs again, where its id alone completes unrun."""
    assert "| peeklock send orders - --redrive" in (ROOT / "docs/platforms.md").read_text()
    store, dead, back = MemoryStore(), tmp_path / "dead.jsonl", tmp_path / "orders.jsonl"
    for _ in range(2):
        sqs.rehearse(handle, event(tenant="blue"), store=store, dead_letter=FileSender(str(dead)))
    assert len(ran) == 1
    assert main(["send", f"file://{back}", str(dead), "--redrive"]) == 0
    assert "sent m-1 to" in capsys.readouterr().out
    (parcel,) = read(str(back))
    assert (parcel.body, dict(parcel.attributes), parcel.letter) == (b'{"id":"o-1"}', {"tenant": "blue"}, False)
    sqs.rehearse(handle, event(peeklock=parcel.trail.dump()), store=store, dead_letter=FileSender(str(dead)))
    assert len(ran) == 2


@pytest.mark.parametrize("text", ["no JSON", "[]", '{"id":"a"}', "5"])
def test_a_line_that_is_no_dead_letter(tmp_path, capsys, text):
    """Is refused with what it should be, and nothing is sent."""
    (tmp_path / "a.jsonl").write_text(text)
    assert main(["send", f"file://{tmp_path}/b.jsonl", str(tmp_path / "a.jsonl"), "--redrive"]) == 2
    assert "not lines of a file:// dead-letter queue" in capsys.readouterr().err
    assert not (tmp_path / "b.jsonl").exists()
