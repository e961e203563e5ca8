"""Text of messages, exceptions, functions and other processes on a terminal."""

from __future__ import annotations

import json
import queue
import socket
from collections.abc import Mapping
from contextlib import closing
from typing import Any

import pytest

from peeklock.cli import main
from peeklock.cli.escaping import escaped
from peeklock.cli.screen import Json, Lines, Live
from peeklock.cli.table import Table
from peeklock.dev.events import EventListener
from peeklock.dev.runner import Screen
from peeklock.dev.state import opened

EVIL = "m-1\x1b[2J\x1b]0;owned\x07\x9b31m\r\x08\u202e"


def escapes(text: str) -> list[str]:
    """Characters that a terminal acts on."""
    return [c for c in text if not c.isprintable() and c != "\n"]


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("ключ 7", "ключ 7"),
        ("a\n\tb", "a\n\tb"),
        ("\x1b[2J", r"\x1b[2J"),
        ("a\rb\x9bc\u2028d", r"a\rb\x9bc\u2028d"),
        ("\ud800\U000e0001", r"\ud800\U000e0001"),
    ],
)
def test_what_a_terminal_acts_on_is_shown_as_an_escape(text, shown):
    """With line breaks and tabs left as they are. (trials 2.6)"""
    assert escaped(text) == shown


def test_a_table_and_its_lines(capsys):
    """Cells stay on one line. (trials 2.6)"""
    table = Table(message=20, detail=0)
    table.row(EVIL, f"{EVIL}\nsecond")
    table.line(f"first {EVIL}\nsecond")
    out = capsys.readouterr().out
    assert escapes(out) == []
    assert len(out.splitlines()) == 4


SETTLED = {"platform": "sqs", "queue": "q", "attempt": 1, "disposition": "complete", "reason": "done", "delay_s": 2}


@pytest.mark.parametrize("shown_by", [Lines, Json, Live])
def test_a_screen(capsys, shown_by, monkeypatch):
    """Ids, details, what functions print and what `peeklock dev` says. (trials 2.6)"""
    monkeypatch.setenv("TERM", "dumb")  # or rich moves the cursor
    monkeypatch.setenv("COLUMNS", "200")
    with closing(shown_by()) as screen:
        screen.event("started", {**SETTLED, "message_id": EVIL})
        screen.event("settled", {**SETTLED, "message_id": EVIL, "detail": EVIL})
        screen.line("sqs", f"printed {EVIL}")
        screen.say(f"said {EVIL}")
    out = capsys.readouterr().out
    assert escapes(out) == []
    assert "printed m-1" in out
    assert "said m-1" in out


ODD: list[Mapping[str, Any]] = [
    {},
    {"delay_s": "x", "duration_ms": [1]},
    {"delay_s": {}, "duration_ms": None},
    {"delay_s": float("nan"), "duration_ms": 10**400},
    {"message_id": {"a": [1]}, "attempt": None, "disposition": 7, "reason": ["x"]},
]


@pytest.mark.parametrize("shown_by", [Lines, Json, Live])
@pytest.mark.parametrize("fields", ODD, ids=str)
def test_a_screen_of_what_no_function_tells(capsys, shown_by, fields):
    """Any process of this machine may write to where it comes from. (trials 2.6)"""
    with closing(shown_by()) as screen:
        screen.event("started", fields)
        screen.event("settled", fields)
        screen.event("settled", {**SETTLED, "message_id": "m-2"})
    assert "m-2" in capsys.readouterr().out


class Heard(Lines, Screen):
    """A screen whose test waits for what is told."""

    def __init__(self) -> None:
        self.all: queue.SimpleQueue[tuple[str, Mapping[str, Any]]] = queue.SimpleQueue()

    def event(self, kind: str, fields: Mapping[str, Any]) -> None:
        self.all.put((kind, fields))


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\x00",
        b"\xff\xfe",
        b"null",
        b"[1]",
        b'"settled"',
        b'{"settled": 1}',
        b'{"settled": []}',
        b'{"started": null, "settled": "x"}',
        b"[" * 60_000,
        b"9" * 60_000,
    ],
    ids=lambda data: ascii(data[:20]),
)
def test_a_datagram_that_makes_no_sense(data):
    """Ends nothing, and shows nothing: what comes after it is heard. (trials 2.6)"""
    heard = Heard()
    with closing(EventListener(heard.event)) as listener, socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as to:
        host, _, port = listener.address.partition(":")
        for datagram in (data, json.dumps({"settled": {"message_id": "m-1"}}).encode()):
            to.sendto(datagram, (host, int(port)))
        assert heard.all.get(timeout=30) == ("settled", {"message_id": "m-1"})
    assert heard.all.empty()


def test_replay(tmp_path, monkeypatch, capsys):
    """An event's ids and a handler's exception are shown safely to people and machines. (trials 2.6)"""
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    (tmp_path / "screened.py").write_text(
        "from peeklock import Queue, consumer\n\n@consumer(Queue('q'))\ndef run(x: dict) -> None:\n    raise ValueError(x['t'])\n"
    )
    record = {"messageId": EVIL, "receiptHandle": "r", "body": json.dumps({"t": EVIL}), "eventSource": "aws:sqs"}
    (tmp_path / "e.json").write_text(json.dumps({"Records": [{**record, "eventSourceARN": "a:b:q"}]}))
    for words in ([], ["--json"]):
        assert main(["replay", "e.json", "--handler", "screened:run", *words]) == 0
        out = capsys.readouterr().out
        assert escapes(out) == []
        assert "m-1" in out


def test_errors_of_commands(capsys):
    """A text that names what it was given. (trials 2.6)"""
    assert main(["send", f"memory://{EVIL}", "/dev/null"]) == 2
    assert main(["send", f"nothing://{EVIL}", "/dev/null"]) == 2
    captured = capsys.readouterr()
    assert escapes(captured.out + captured.err) == []


def test_the_lines_of_a_record(tmp_path):
    """Lines that the screen shows already are left out, one by one: the traceback below is not. Lambda's client indents
    with spaces that do not break. (trials 3.3)"""

    class Shown(Lines):
        def line(self, platform: str, text: str) -> None:
            shown.append(f"{platform} {text}")

    shown: list[str] = []
    with opened(tmp_path, Shown()) as state:
        state.on_line(
            "servicebus",
            "WARNING peeklock: peeklock.settled platform=servicebus reason=retry\nTraceback:\n\nValueError: no",
        )
        state.on_line("sqs", "\xa0\xa0File x")
        state.on_line("servicebus", "INFO azure.servicebus: link opened")
    assert shown == ["servicebus Traceback:", "servicebus ValueError: no", "sqs   File x"]


def test_an_id_is_whole_in_the_live_table(monkeypatch, capsys):
    """However long it is: on several lines. (trials 3.1)"""
    monkeypatch.setenv("TERM", "dumb")  # or rich moves the cursor
    monkeypatch.setenv("COLUMNS", "120")
    with closing(Live()) as screen:
        screen.event("settled", {**SETTLED, "message_id": "#" * 90})
    assert capsys.readouterr().out.count("#") == 90


PLATFORMS = {"sqs": {"PEEKLOCK_ORDERS_URL": "a"}, "cloudtasks": {"PEEKLOCK_ORDERS_URL": "b"}}


def test_when_messages_can_be_sent(capsys):
    """A sentence for a person, data for a machine. (stranger 2, papercut 12)"""
    Lines().ready(1.25, "Try: peeklock send QUEUE FILE")
    assert capsys.readouterr().out == "\nready after 1.2 s. Try: peeklock send QUEUE FILE\n\n"
    Json().ready(1.25, "Try it")
    assert json.loads(capsys.readouterr().out) == {"ready": {"after_s": 1.25, "next_step": "Try it"}}


def test_addresses_of_several_platforms(capsys):
    """A block for each, since the variables have the same names; data for a machine."""
    Lines().addresses(PLATFORMS)
    out = capsys.readouterr().out
    assert (
        "sqs: paste this where a client runs, in a shell of its own: the platforms' variables have the same names\n"
        in out
    )
    assert "cloudtasks: paste this" in out
    assert "  export PEEKLOCK_ORDERS_URL='b'\n" in out
    Lines().addresses({"sqs": PLATFORMS["sqs"]})
    assert "sqs: paste this where a client runs\n" in capsys.readouterr().out
    Json().addresses(PLATFORMS)
    assert json.loads(capsys.readouterr().out) == {"addresses": PLATFORMS}


def test_a_dead_letter_says_where_it_lies(capsys):
    """Behind its detail, in a line of the table."""
    Lines().event("settled", {**SETTLED, "detail": "no", "dead_letter_queue": "sb://127.0.0.1/orders-dead"})
    assert "no; dead letter in sb://127.0.0.1/orders-dead" in capsys.readouterr().out
