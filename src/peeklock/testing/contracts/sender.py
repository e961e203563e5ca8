"""Contract suite for senders: each outgoing message is answered for, and arrives as it was sent."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from datetime import UTC, datetime

import pytest

from peeklock.message import Lineage, Message
from peeklock.outgoing import OutgoingMessage, Sender, copy_of, dead_letter_of
from peeklock.timing.delays import ZERO

THREADS = 8
CALLS = 20
"""Calls of each thread, two messages each."""

BODIES = (b'{"cents":5}', "ключ 日本\U0001f9fe".encode(), b"\xff\x00\xfe", b"x" * 100_000)

ATTRIBUTES = {"tenant": "contoso", "note": "ключ \"'%", "x" * 100: "y" * 1_000}


def outgoing(name: str) -> OutgoingMessage:
    """Return a new message with a name as its body and its id."""
    return OutgoingMessage(body=name.encode(), lineage=Lineage(id=name))


class SenderContract:
    """Tests that every `peeklock.outgoing.Sender` must pass.

    Subclass it in a test module under a name that pytest collects, override the fixture `sender` and the method `arrived`:

        class TestSpool(SenderContract):
            @pytest.fixture
            def sender(self, tmp_path):
                return SpoolSender(tmp_path / "orders")

            def arrived(self, sender):
                return read_spool(sender.path)
    """

    keeps_order = False
    """Messages arrive in the order of their sending, and those of one call next to each other. Set it where this holds."""

    @pytest.fixture
    def sender(self) -> Sender:
        """Return or yield a sender to an empty queue."""
        raise NotImplementedError("override the fixture `sender`: return or yield a sender to an empty queue")

    def arrived(self, sender: Sender) -> Sequence[Message | OutgoingMessage]:
        """Return all messages that the queue of a sender holds, as the platform's `receive` makes them."""
        raise NotImplementedError("override the method `arrived`: return all messages that the queue holds")

    def _ids(self, sender: Sender) -> list[str]:
        ids = [_lineage(message).id for message in self.arrived(sender)]
        return ids if self.keeps_order else sorted(ids)

    def test_each_message_is_answered_for(self, sender: Sender) -> None:
        """None for each message that the queue has, and nothing for a call without messages."""
        assert list(sender.send([])) == []
        assert list(sender.send([outgoing("a"), outgoing("b")])) == [None, None]
        assert list(sender.send([outgoing("c")])) == [None]
        assert self._ids(sender) == ["a", "b", "c"]

    @pytest.mark.parametrize("body", BODIES, ids=["json", "text", "binary", "large"])
    def test_a_message_arrives_as_it_was_sent(self, sender: Sender, body: bytes) -> None:
        """Body, lineage and attributes in any script are unchanged."""
        lineage = Lineage(id="ключ/7", attempts=2, sent=1_798_761_600_123)
        sent = OutgoingMessage(body=body, lineage=lineage, attributes=ATTRIBUTES)
        assert list(sender.send([sent])) == [None]
        (message,) = self.arrived(sender)
        assert (message.body, _lineage(message)) == (body, lineage)
        assert {name: message.attributes.get(name) for name in ATTRIBUTES} == ATTRIBUTES

    def test_copies_of_a_message_all_arrive(self, sender: Sender) -> None:
        """A queue that deduplicates must take two copies of one message for two messages."""
        message = Message("m", b"{}", "orders")
        copies = [copy_of(message, copy_number=n, attempts=n, delay=ZERO) for n in (1, 2)]
        assert list(sender.send(copies)) == [None, None]
        assert sorted(_lineage(message).copy_number for message in self.arrived(sender)) == [1, 2]

    def test_a_dead_letter_arrives(self, sender: Sender) -> None:
        """A long detail in any script is no obstacle, and the lineage has the next generation."""
        message = Message("m", b"\x00\xff", "orders")
        message.attributes = ATTRIBUTES
        now = datetime(2026, 1, 1, tzinfo=UTC)
        dead_letter = dead_letter_of(message, reason="fatal", detail="ü\x00" * 2_000, attempts=3, now=now)
        assert list(sender.send([dead_letter])) == [None]
        (arrived,) = self.arrived(sender)
        assert (arrived.body, _lineage(arrived)) == (message.body, dead_letter.lineage)
        assert {name: arrived.attributes.get(name) for name in ATTRIBUTES} == ATTRIBUTES

    def test_many_threads_lose_nothing(self, sender: Sender) -> None:
        """Each message arrives exactly once; where order is kept, those of a call stay together."""
        start = threading.Barrier(THREADS)

        def run(n: int) -> None:
            start.wait(20)
            for m in range(CALLS):
                sender.send([outgoing(f"{n}-{m}-{part}") for part in "ab"])

        threads = [threading.Thread(target=run, args=(n,)) for n in range(THREADS)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
        ids = self._ids(sender)
        assert sorted(ids) == sorted(f"{n}-{m}-{part}" for n in range(THREADS) for m in range(CALLS) for part in "ab")
        if self.keeps_order:
            assert all(a[:-1] == b[:-1] for a, b in zip(ids[::2], ids[1::2], strict=True))


def _lineage(message: Message | OutgoingMessage) -> Lineage:
    return message.effective_lineage if isinstance(message, Message) else message.lineage
