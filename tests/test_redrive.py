"""`peeklock send --redrive`: the command that docs/platforms.md shows."""

from __future__ import annotations

import io
import json
import sys
from dataclasses import replace
from typing import Any

import pytest

from peeklock import DeadLetter, Queue, SendError, consumer, sqs
from peeklock.cli import main
from peeklock.message import Lineage
from peeklock.outgoing import OutgoingMessage
from peeklock.sending.file import FileSender, read
from peeklock.sending.fitting import prepare, unfolded
from peeklock.stores.memory import MemoryStore
from peeklock.testing import Outbox
from peeklock.testing.outages import SizeLimitedSender
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
        sqs.run_sample(handle, event(tenant="blue"), store=store, dead_letter=FileSender(str(dead)))
    assert len(ran) == 1
    assert main(["send", f"file://{back}", str(dead), "--redrive"]) == 0
    assert "sent m-1 to" in capsys.readouterr().out
    (outgoing,) = read(str(back))
    assert (outgoing.body, dict(outgoing.attributes), outgoing.dead_letter) == (
        b'{"id":"o-1"}',
        {"tenant": "blue"},
        False,
    )
    sqs.run_sample(handle, event(peeklock=outgoing.lineage.dump()), store=store, dead_letter=FileSender(str(dead)))
    assert len(ran) == 2


@pytest.mark.parametrize(
    "option", [["--id", "a"], ["--group", "a"], ["--delay", "5"], ["-a", "a=b"], ["--content-type", "text/plain"]]
)
def test_what_a_dead_letter_says_by_itself_is_not_given(tmp_path, capsys, option):
    """It would be ignored without a word."""
    assert main(["send", f"file://{tmp_path}/b.jsonl", "a.jsonl", "--redrive", *option]) == 2
    assert (
        f"{option[0].replace('-a', '--attribute') if option[0] == '-a' else option[0]} does not go with --redrive"
        in capsys.readouterr().err
    )


def test_a_message_that_was_never_dead_lettered_is_not_redriven(tmp_path, capsys):
    """In its old life it would complete unrun. None of the others is sent before that is said."""
    outgoing = OutgoingMessage(body=b"{}", lineage=Lineage(id="m-1", generation=1), dead_letter=True)
    FileSender(str(tmp_path / "a.jsonl")).send(
        [outgoing, replace(outgoing, lineage=Lineage(id="m-2"), dead_letter=False)]
    )
    assert main(["send", f"file://{tmp_path}/b.jsonl", str(tmp_path / "a.jsonl"), "--redrive"]) == 2
    assert "a.jsonl: line 2 (m-2) is no dead letter; nothing was sent" in capsys.readouterr().err
    assert not (tmp_path / "b.jsonl").exists()


def test_a_redriven_message_may_be_as_long_as_its_queue_takes():
    """A new one keeps room for a dead letter's reason; this one is compressed where it has to be."""
    outbox = SizeLimitedSender(Outbox(), max_bytes=2_000)
    outbox.limit = 2_000  # as it is once a refusal said so
    long = OutgoingMessage(body=b"x" * 1_990, lineage=Lineage(id="m-1"))
    assert isinstance(prepare(long, outbox), SendError)
    redriven = prepare(replace(long, lineage=Lineage(id="m-1", generation=1)), outbox)
    assert isinstance(redriven, OutgoingMessage)
    assert unfolded(redriven).body == long.body


BAD = ["no JSON", "[]", '{"id":"a"}', "5", "[" * 100_000]
MENDED = {
    "id": "",
    "generation": -1,
    "copy_number": "x",
    "attempts": True,
    "group": 5,
    "content_type": [],
    "dead_letter": "yes",
}


@pytest.mark.parametrize("bad", [*BAD, "late"], ids=lambda bad: bad[:10])
def test_a_line_that_is_no_dead_letter_is_named(tmp_path, capsys, bad):
    """The error has the line's number in the file, where empty lines count too; and none of the good ones is sent."""
    good = OutgoingMessage(body=b"{}", lineage=Lineage(id="m-1", generation=1), dead_letter=True)
    FileSender(str(tmp_path / "a.jsonl")).send([good, good])
    first, two = (tmp_path / "a.jsonl").read_text().splitlines()
    if bad == "late":  # by more than any time can be
        bad = first.replace('"delay_s": 0.0', '"delay_s": 1e300')
    (tmp_path / "a.jsonl").write_text(f"{first}\n\n{bad}\n{two}\n")
    assert main(["send", f"file://{tmp_path}/b.jsonl", str(tmp_path / "a.jsonl"), "--redrive"]) == 2
    assert "a.jsonl: line 3 is not one of a file:// dead-letter queue" in capsys.readouterr().err
    assert not (tmp_path / "b.jsonl").exists()


@pytest.mark.parametrize(("name", "value"), [*MENDED.items(), ("generation", 0)])
def test_a_line_that_was_mended_wrongly(name, value, tmp_path, capsys):
    """Is none either: what no lineage says, a queue would refuse or complete unrun."""
    FileSender(str(tmp_path / "a.jsonl")).send(
        [OutgoingMessage(body=b"{}", lineage=Lineage(id="m-1", generation=1), dead_letter=True)]
    )
    line = json.loads((tmp_path / "a.jsonl").read_text()) | {name: value}
    (tmp_path / "a.jsonl").write_text(json.dumps(line))
    assert main(["send", f"file://{tmp_path}/b.jsonl", str(tmp_path / "a.jsonl"), "--redrive"]) == 2
    assert "a.jsonl: line 1" in capsys.readouterr().err
    assert not (tmp_path / "b.jsonl").exists()


@pytest.mark.parametrize("text", ["", "\n \n"])
def test_no_dead_letter_at_all(tmp_path, capsys, text):
    """Is no success: the filter before it may have found nothing."""
    (tmp_path / "a.jsonl").write_text(text)
    assert main(["send", "memory://back", str(tmp_path / "a.jsonl"), "--redrive"]) == 2
    assert capsys.readouterr().err == f"peeklock send: no dead letter in {tmp_path}/a.jsonl; nothing was sent\n"


def test_standard_input_has_a_name(capsys):
    """Where a message says which file it was."""
    before, sys.stdin = sys.stdin, io.TextIOWrapper(io.BytesIO())
    try:
        assert main(["send", "memory://back", "-", "--redrive"]) == 2
    finally:
        sys.stdin = before
    assert "no dead letter in standard input" in capsys.readouterr().err
