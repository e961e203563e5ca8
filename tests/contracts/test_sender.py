"""The contract suite over every sender, and what only the file's sender does."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import fields
from datetime import datetime, timedelta

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from peeklock import ConfigError, SendError
from peeklock.message import Lineage
from peeklock.outgoing import OutgoingMessage
from peeklock.registry import open_sender
from peeklock.sending.file import FileSender, from_url, load, read
from peeklock.sending.memory import Outbox
from peeklock.testing import SenderContract
from peeklock.testing.contracts.sender import outgoing
from tests.contracts.queues import StrictCloudTasks, StrictPubSub, StrictServiceBus, StrictSQS, google
from tests.support import ROOT

outgoing_messages = st.builds(
    OutgoingMessage,
    body=st.binary(max_size=100) | st.text(max_size=50).map(lambda text: text.encode("utf-8", "replace")),
    lineage=st.builds(
        Lineage,
        id=st.text(min_size=1, max_size=20).map(lambda t: t.encode("utf-8", "replace").decode()),
        generation=st.integers(0, 9),
        copy_number=st.integers(0, 9),
    ),
    attributes=st.dictionaries(st.sampled_from(["a", "ключ"]), st.binary(max_size=9) | st.just("значение"), max_size=2),
    group=st.none() | st.just("g"),
    delay=st.integers(0, 900).map(lambda n: timedelta(seconds=n)),
    content_type=st.none() | st.just("text/plain"),
    dead_letter=st.booleans(),
)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(sent=st.lists(outgoing_messages, max_size=4))
def test_a_file_gives_back_what_it_took(tmp_path, sent):
    """Each outgoing message is one line, whatever is in it."""
    path = tmp_path / "folder" / "dead-letters.jsonl"
    path.unlink(missing_ok=True)
    assert FileSender(str(path)).send(sent) == [None] * len(sent)
    assert list(read(str(path))) == sent


class TestMemory(SenderContract):
    """The outbox of tests."""

    keeps_order = True

    @pytest.fixture
    def sender(self):
        return Outbox()

    def arrived(self, sender):
        return sender.outgoing_messages


class TestFile(SenderContract):
    """A file of JSON lines."""

    keeps_order = True

    @pytest.fixture
    def sender(self, tmp_path):
        return FileSender(str(tmp_path / "dead-letters.jsonl"))

    def arrived(self, sender):
        return list(read(str(sender.path)))


class TestEveryPlatform(SenderContract):
    """Each platform's sender, over a queue with the limits of its service."""

    @pytest.fixture(params=[StrictSQS, StrictServiceBus, StrictCloudTasks, StrictPubSub])
    def queue(self, request):
        queue = request.param()
        tasks = queue if isinstance(queue, StrictCloudTasks) else None
        topic = queue if isinstance(queue, StrictPubSub) else None
        with google(tasks, topic):
            yield queue

    @pytest.fixture
    def sender(self, queue):
        sender = queue.sender()
        self.queues = {id(sender): queue}
        return sender

    def arrived(self, sender):
        queue = self.queues[id(sender)]
        return [queue.receive(event) for event in queue.events()]


def test_what_a_line_says(tmp_path):
    """For people and for other tools: times with their unit, bytes that are no text as base64."""
    sent = OutgoingMessage(
        body=b"\xff",
        lineage=Lineage(id="x", generation=1, attempts=2),
        attributes={"a": "é", "b": b"\x00"},
        group="g",
        delay=timedelta(seconds=1.5),
        content_type="text/plain",
        dead_letter=True,
    )
    sender = FileSender(str(tmp_path / "l.jsonl"))
    sender.send([sent])
    line = json.loads(sender.path.read_text(encoding="utf-8"))
    assert datetime.fromisoformat(line.pop("at")).tzinfo is not None
    assert line == {
        "id": "x",
        "generation": 1,
        "copy_number": 0,
        "attempts": 2,
        "dead_letter": True,
        "delay_s": 1.5,
        "group": "g",
        "content_type": "text/plain",
        "attributes": {"a": "é", "b": {"base64": "AA=="}},
        "body": {"base64": "/w=="},
    }


def test_half_a_surrogate_pair_comes_back(tmp_path):
    """A dead letter is written whatever its attributes hold."""
    sent = OutgoingMessage(body=b"", lineage=Lineage(id="x"), attributes={"detail": "\ud800"})
    sender = FileSender(str(tmp_path / "l.jsonl"))
    sender.send([sent])
    assert list(read(str(sender.path))) == [sent]


@pytest.mark.parametrize("cut", [1, 2, 20])
def test_a_line_that_was_cut_spoils_no_other(tmp_path, cut):
    """A full disk may cut what was never confirmed; the next dead letter starts a line of its own."""
    sender = FileSender(str(tmp_path / "l.jsonl"))
    sender.send([outgoing("a"), outgoing("é")])
    os.truncate(sender.path, sender.path.stat().st_size - cut)
    sender.send([outgoing("c")])
    names = [outgoing_message.lineage.id for outgoing_message in read(str(sender.path))]
    assert names == (["a", "é", "c"] if cut == 1 else ["a", "c"])


LIMITED = """
import resource, signal, sys
sys.path.insert(0, sys.argv[2])
from peeklock import SendError
from peeklock.sending.file import FileSender
from peeklock.testing.contracts.sender import outgoing
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
most = resource.getrlimit(resource.RLIMIT_FSIZE)[1]
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[3]), most))
try:
    FileSender(sys.argv[1]).send([outgoing("b" * 200)])
except SendError as exc:
    print(exc)
resource.setrlimit(resource.RLIMIT_FSIZE, (most, most))
"""


@pytest.mark.skipif(sys.platform == "win32", reason="no such limit on this system")
def test_a_disk_that_becomes_full_within_a_line(tmp_path):
    """Is a SendError, and what was confirmed before and after it can be read."""
    sender = FileSender(str(tmp_path / "l.jsonl"))
    sender.send([outgoing("a")])
    limit = sender.path.stat().st_size + 100
    command = [sys.executable, "-c", LIMITED, str(sender.path), str(ROOT), str(limit)]
    run = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    assert "only 100 of" in run.stdout
    sender.send([outgoing("c")])
    assert [outgoing_message.lineage.id for outgoing_message in read(str(sender.path))] == ["a", "c"]


def test_a_file_that_cannot_be_written(tmp_path):
    """Is a SendError, since the dead letters are not there."""
    with pytest.raises(SendError, match="Is a directory"):
        FileSender(str(tmp_path)).send([OutgoingMessage(body=b"dead_letters", lineage=Lineage(id="x"))])
    with pytest.raises(SendError, match=r"bytes were written|No space"):
        FileSender("/dev/full").send([OutgoingMessage(body=b"x", lineage=Lineage(id="x"))])


def test_addresses():
    """Relative and absolute paths, and one that is none."""
    assert str(from_url("file:///var/l.jsonl").path) == "/var/l.jsonl"
    assert str(from_url("file://l.jsonl").path) == "l.jsonl"
    assert str(from_url("file:///var/a%20b#1?.jsonl").path) == "/var/a b#1?.jsonl"
    with pytest.raises(ConfigError, match="names no file"):
        from_url("file://")
    assert open_sender("memory://dead-letters") is open_sender("memory://dead-letters")
    with pytest.raises(ConfigError, match="unknown scheme 'amqp'"):
        open_sender("amqp://host/queue")


def test_a_line_has_the_whole_lineage(tmp_path):
    """Each field of it that there is."""
    lineage = Lineage(id="x", generation=1, copy_number=2, attempts=3, sent=4, source="t/mail", extra='{"new":1}')
    assert all(getattr(lineage, field.name) for field in fields(Lineage))
    sender = FileSender(str(tmp_path / "l.jsonl"))
    sender.send([OutgoingMessage(body=b"{}", lineage=lineage)])
    (line,) = sender.path.read_text(encoding="utf-8").splitlines()
    assert load(json.loads(line)).lineage == lineage
