"""Whatever a queue accepted can be dead-lettered and copied, by the real limits of each service."""

from __future__ import annotations

import logging
import random
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from peeklock import DeadLetter, Queue, Retry, SendError, consumer, send
from peeklock.message import Lineage, Message
from peeklock.outgoing import OutgoingMessage, Sender
from peeklock.sending.send import routed
from peeklock.stores.memory import MemoryStore
from peeklock.testing import Outbox
from tests.contracts.queues import (
    Refused,
    Strict,
    StrictCloudTasks,
    StrictPubSub,
    StrictServiceBus,
    StrictSQS,
    google,
)

QUEUE = Queue("orders", max_attempts=3, timeout=20, first_delay=2)

SEEN: list[Message] = []


@consumer(QUEUE)
def refuse(body: bytes) -> None:
    raise DeadLetter("half a pair \ud83d, a NUL \x00, ä" + "ü" * 2000)


@consumer(QUEUE)
def accept(body: bytes, message: Message) -> None:
    SEEN.append(message)


@consumer(QUEUE)
def fail(body: bytes) -> None:
    raise Retry(after=60)


class Quiet:
    """Hears and says nothing: a failing test would print the halves of surrogate pairs, which no terminal takes."""

    def running(self, _: Message, /) -> None:
        return None

    def settled(self, _: str, __: object, /) -> None:
        return None


Make = Callable[[], Strict]

PLACES: dict[str, tuple[Make, Make]] = {
    "sqs, 256 KiB": (StrictSQS, StrictSQS),
    "sqs, 1 MiB": (lambda: StrictSQS(2**20), lambda: StrictSQS(2**20)),
    "servicebus": (StrictServiceBus, StrictServiceBus),
    "servicebus, 1 MB": (lambda: StrictServiceBus(2**20), lambda: StrictServiceBus(2**20)),
    "cloudtasks": (StrictCloudTasks, StrictCloudTasks),
    "cloudtasks to pubsub": (StrictCloudTasks, StrictPubSub),
    "pubsub": (StrictPubSub, StrictPubSub),
}


class Place:
    """A queue and its dead-letter queue."""

    def __init__(self, queue: Strict, dead: Strict) -> None:
        self.queue = queue
        self.dead = dead
        self.store = MemoryStore()

    def refuse(self) -> bool:
        """Dead-letter what is in the queue; whether the platform was told to forget it."""
        return all(
            self.queue.handle(
                refuse, event, store=self.store, dead_letter=self.dead.sender(), queue=Outbox(), observer=Quiet()
            )
            for event in self.queue.events()
        )

    def redrive(self) -> list[Message]:
        """Run what is in the dead-letter queue as it is, as after its return by any tool."""
        SEEN.clear()
        for event in self.dead.events():
            assert self.dead.handle(
                accept, event, store=self.store, observer=Quiet(), dead_letter=Outbox(), queue=Outbox()
            )
        return list(SEEN)


@pytest.fixture(params=PLACES)
def place(request) -> Iterator[Place]:
    queue, dead = (make() for make in PLACES[request.param])
    tasks = dead if isinstance(dead, StrictCloudTasks) else None
    topic = dead if isinstance(dead, StrictPubSub) else None
    with google(tasks, topic):
        yield Place(queue, dead)


def fill(queue: Strict, attributes: dict[str, str], make: Callable[[int], bytes]) -> bytes:
    """Put the largest message that the queue takes; one more byte is refused."""
    key = (type(queue), queue.largest, make, *attributes.items())
    if key not in SIZES:
        SIZES[key] = largest_size(queue, attributes, make)
    body = make(SIZES[key])
    with pytest.raises(Exception):  # noqa: B017 - whatever this service's double raises
        queue.put(make(len(body) + 1), attributes)
    del queue_of(queue)[:]
    queue.put(body, attributes)
    return body


SIZES: dict[tuple[Any, ...], int] = {}
"""Bytes of the largest message, by the kind of the queue, what it is sized for, and what is put; each is searched for once."""


def largest_size(queue: Strict, attributes: dict[str, str], make: Callable[[int], bytes]) -> int:
    low, high = 0, queue.largest + 1
    while high - low > 1:
        middle = (low + high) // 2
        try:
            queue.put(make(middle), attributes)
            low = middle
        except Exception:  # noqa: BLE001 - whatever this service's double raises
            high = middle
        del queue_of(queue)[:]
    return low


def queue_of(queue: Any) -> list[Any]:
    return next(getattr(queue, name) for name in ("entries", "messages", "tasks") if hasattr(queue, name))


def text(size: int) -> bytes:
    return b"x" * size


_NOISE = random.Random(7).randbytes(2**24)
_SIGNS = _NOISE.translate(bytes(33 + byte % 90 for byte in range(256)))


def noise(size: int) -> bytes:
    """Return bytes that do not compress."""
    return _NOISE[:size]


def signs(size: int) -> bytes:
    """Text, as a producer of SQS has to send, which no compression shortens by the third that base64 adds."""
    return _SIGNS[:size]


@pytest.mark.parametrize("compressible", [True, False], ids=["text", "noise"])
@pytest.mark.parametrize("less", [0, 1, 40, 300])
def test_a_message_that_fills_its_queue_is_dead_lettered(place, compressible, less, caplog):
    """In some form, and comes back whole; without its reason only where nothing else fits, and then the log has it (trials 1.1)."""
    make = text if compressible else signs if isinstance(place.queue, StrictSQS) else noise
    body = fill(place.queue, {"tenant": "blue"}, make)
    body = body[: len(body) - less]
    del queue_of(place.queue)[:]
    place.queue.put(body, {"tenant": "blue"})
    assert place.refuse()
    (message,) = place.redrive()
    assert message.body == body
    assert dict(message.attributes) == {"tenant": "blue"}
    explained = "peeklock.dead_letter_bare" not in caplog.text
    assert message.effective_lineage.generation == 1 or not explained
    assert explained or "reason=fatal" in caplog.text
    assert explained or not compressible


SHAPES: dict[str, tuple[bytes, dict[str, str]]] = {
    "empty": (b"", {"a": "b"}),
    "bytes": (bytes(range(256)), {"a": "b"}),
    "ten attributes": (b"{}", {f"name-{n}": "v" * 50 for n in range(10)}),
    "sixty headers": (b"{}", {f"name-{n}": "v" * 20 for n in range(57)}),
    "a hundred attributes": (b"{}", {f"name-{n}": "v" for n in range(100)}),
    "umlauts": ("äöü".encode() * 1000, {"a": "ä" * 512}),
    "long attributes": (b"{}", {f"name-{n}": "v" * 1024 for n in range(8)}),
    "22 headers of 300 bytes": (b"{}", {f"x-h-{n}": "v" * 300 for n in range(22)}),
}


@pytest.mark.parametrize("shape", SHAPES)
def test_any_message_comes_back_from_its_dead_letter_queue(place, shape, caplog):
    """Equal, with its lineage, and once (trials 1.1, 1.23)."""
    body, attributes = SHAPES[shape]
    try:
        place.queue.put(body, attributes)
    except (Refused, UnicodeDecodeError, AssertionError, TypeError):
        assert not queue_of(place.queue), "what no producer can send here is no message"
        return
    assert place.refuse()
    (message,) = place.redrive()
    assert (message.body, dict(message.attributes)) == (body, attributes)
    assert message.effective_lineage.generation == 1
    assert "dead_letter_bare" not in caplog.text
    assert place.redrive() == [], "its record says done"


@pytest.mark.parametrize("make", [text, noise], ids=["text", "noise"])
@pytest.mark.parametrize("name", ["servicebus", "cloudtasks"])
def test_a_copy_arrives_or_the_message_stays(name, make):
    """An original is complete only when its copy is queued, and the copy is the same message (trials 1.1, 1.23)."""
    queue = PLACES[name][0]()
    body = fill(queue, {"tenant": "blue"}, make)
    with google(queue if isinstance(queue, StrictCloudTasks) else None):
        store, sender = MemoryStore(), queue.sender()
        (event,) = queue.events()
        for _ in range(2):
            finished = queue.handle(fail, event, store=store, observer=Quiet(), dead_letter=Outbox(), queue=sender)
            assert finished == (len(queue_of(queue)) == 2)
            if finished:
                break
        (record,) = store.records.values()
    if finished:
        copy = queue.receive(queue.events()[1])
        assert (copy.body, dict(copy.attributes)) == (body, {"tenant": "blue"})
        assert (copy.effective_lineage.copy_number, copy.effective_lineage.attempts) == (1, 1)
        assert record.state == "delayed"
    else:
        assert record.state == "waiting"
        assert record.attempts >= 1
        assert record.copy_number == 0


def test_headers_that_no_server_takes_in_one_line():
    """22 headers of 300 bytes stay headers of a copy; names that are none are split over several (trials 1.23)."""
    queue = StrictCloudTasks()
    queue.put(b"{}", {f"x-h-{n}": "v" * 300 for n in range(22)})
    with google(queue):
        assert queue.handle(
            fail, queue.events()[0], store=MemoryStore(), observer=Quiet(), dead_letter=Outbox(), queue=queue.sender()
        )
        copy = queue.receive(queue.events()[1])
        assert dict(copy.attributes) == {f"x-h-{n}": "v" * 300 for n in range(22)}
        carried = {f"Ключ {n}": "значение" * 40 for n in range(22)}
        with routed(lambda _: queue.sender()):
            send(QUEUE, b"{}", attributes=carried)
            send(QUEUE, b"{}", attributes={f"Ключ {n}": "значение" * 400 for n in range(22)})
        assert dict(queue.receive(queue.events()[2]).attributes) == carried
        large = queue.receive(queue.events()[3])
        assert (large.body, len(large.attributes)) == (b"{}", 22)


@pytest.mark.parametrize("name", ["sqs, 256 KiB", "servicebus"])
def test_a_sender_learns_what_its_queue_takes(name):
    """A single refusal is enough (trials 1.1)."""
    queue = PLACES[name][0]()
    dead = PLACES[name][1]()
    body = fill(queue, {}, text)
    sender = dead.sender()
    for n in range(2):
        assert queue.handle(
            refuse, queue.events()[0], store=MemoryStore(), observer=Quiet(), dead_letter=sender, queue=Outbox()
        ), n
    assert sender.limit <= 262_144  # type: ignore[attr-defined] # both senders here have one
    assert [dead.receive(event).body == body for event in dead.events()] == [True, True]
    if isinstance(dead, StrictSQS):
        assert dead.calls == 3


def test_a_batch_that_is_too_long_goes_out_in_smaller_ones():
    """A queue that takes less says so, and nothing of the batch was taken."""
    queue = StrictSQS()
    many = [OutgoingMessage(body=b"x" * 100_000, lineage=Lineage(id=f"{n}")) for n in range(6)]
    assert queue.sender().send(many) == [None] * 6
    assert queue.calls == 1 + 3
    assert [len(entry["MessageBody"]) for entry in queue.entries] == [100_000] * 6
    sender = queue.sender()
    with routed(lambda _: sender):
        send(QUEUE, b"x" * 100_000)
        with pytest.raises(SendError, match="262144 bytes"):
            send(QUEUE, b"x" * 300_000)
        with pytest.raises(SendError, match="takes 262,144 bytes, of which 256 are reserved"):
            send(QUEUE, b"x" * 300_000)


@pytest.mark.parametrize("name", ["sqs, 1 MiB", "cloudtasks", "pubsub"])
def test_send_leaves_room_for_a_dead_letter(name):
    """A message that fills the last 256 bytes is refused, with limit and size; one below is taken (trials 1.1)."""
    queue = PLACES[name][0]()
    with google(
        queue if isinstance(queue, StrictCloudTasks) else None, queue if isinstance(queue, StrictPubSub) else None
    ):
        sender: Sender = queue.sender()
        limit = sender.limit  # type: ignore[attr-defined] # a sender with limits
        with routed(lambda _: sender):
            with pytest.raises(SendError, match=f"{limit:,} bytes, of which 256 are reserved"):
                send(QUEUE, b"x" * (limit - 257), id="a")
            assert queue_of(queue) == []
            send(QUEUE, b"x" * (limit - 2000), id="a")
    assert len(queue_of(queue)) == 1


def test_a_task_that_is_remembered_is_said(caplog):
    """A new message with a used id queues nothing, and the log says so; of a copy nobody needs to hear (trials 1.19)."""
    queue = StrictCloudTasks()
    with google(queue), routed(lambda _: queue.sender()), caplog.at_level(logging.INFO, "peeklock"):
        assert send(QUEUE, {"n": 1}, id="order-1") == "order-1"
        assert "deduplicated" not in caplog.text
        assert send(QUEUE, {"n": 1}, id="order-1") == "order-1"
        assert caplog.text.count("peeklock.deduplicated") == 1
        assert "message_id=order-1" in caplog.text
        for _ in range(2):
            event = queue.events()[0]
            store = MemoryStore()
            assert queue.handle(fail, event, store=store, observer=Quiet(), dead_letter=Outbox(), queue=queue.sender())
    assert len(queue.tasks) == 2
    assert caplog.text.count("peeklock.deduplicated") == 1
