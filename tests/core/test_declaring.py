"""Declarations: queues, consumers, payloads, and errors that name the fix."""

from __future__ import annotations

import dataclasses
import logging
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Annotated, Any, Literal, NewType

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, Field, PlainValidator, StringConstraints
from typing_extensions import TypedDict  # pydantic takes typing's from Python 3.12 on only

import peeklock
from peeklock import Batch, ConfigError, InvalidMessage, Message, Queue, Retry, consumer, unwrap
from peeklock.binding.bind import Binding, Options, binding_of
from peeklock.binding.settling import tighter
from peeklock.consuming.declaration import resolve
from peeklock.consuming.decoding import decoder
from peeklock.engine.bound_consumer import Delays
from peeklock.message import Lineage
from peeklock.outgoing import OutgoingMessage
from peeklock.registry import missing
from peeklock.sending.send import dump, routed, send, sender_to
from peeklock.stores.memory import MemoryStore
from peeklock.testing import FakeClock, Outbox, deliver, deliver_all
from peeklock.timing.delays import backoff, retry_after, seconds
from tests.support import environment

QUEUE = Queue("orders", max_attempts=5, timeout=30)
NOW = datetime(2026, 11, 25, 12, tzinfo=UTC)


class Item(BaseModel):
    sku: str


class Order(BaseModel):
    order_id: str
    cents: int = 1
    item: Item | None = None


@dataclass
class Row:
    n: int


class Shape(TypedDict):
    n: int


# -- queues


@pytest.mark.parametrize(
    ("declared", "fix"),
    [
        ({"name": ""}, "1 to 75 letters"),
        ({"name": "orders.fifo"}, "write fifo=True"),
        ({"name": None}, "1 to 75 letters"),
        ({"max_attempts": 0}, "an integer from 1; use 1"),
        ({"max_attempts": True}, "an integer from 1"),
        ({"max_attempts": 2.5}, "an integer from 1"),
        ({"timeout": 0}, "timeout must be more than 0"),
        ({"timeout": -1}, "timeout cannot be negative"),
        ({"timeout": "30"}, "takes seconds"),
        ({"timeout": float("inf")}, "out of range"),
        ({"timeout": float("nan")}, "out of range"),
        ({"timeout": 1801}, "no platform holds a message longer than 1800 s"),
        ({"first_delay": 10, "max_delay": 5}, "raise max_delay or lower first_delay"),
        ({"max_age": 0}, "max_age must be more than 0"),
        ({"keep": timedelta()}, "keep must be more than 0"),
    ],
    ids=str,
)
def test_a_queue_that_cannot_work(declared, fix):
    """Is refused where it is declared."""
    with pytest.raises(ConfigError, match=fix):
        Queue(**{"name": "orders", **declared})


def test_a_queue_is_a_value():
    """Compared by its contract, frozen, and with a fingerprint of it."""
    assert Queue("a", timeout=30) == Queue("a", timeout=timedelta(seconds=30))
    assert Queue("a").fingerprint == Queue("a", timeout=30.0).fingerprint
    assert (
        len({Queue("a", **{field: 3}).fingerprint for field in ("timeout", "max_attempts", "first_delay", "keep")}) == 4
    )
    assert Queue("my-orders.2".replace(".", "_")).variable("URL") == "PEEKLOCK_MY_ORDERS_2_URL"
    with pytest.raises(dataclasses.FrozenInstanceError):
        Queue("a").name = "b"  # type: ignore[misc] # that it cannot be set is the point


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"first_delay": 2},
        {"first_delay": 30},
        {"max_delay": 1},
        {"max_delay": 60},
        {"first_delay": 5, "max_delay": 5},
    ],
)
def test_replace_derives_a_queue(options):
    """Only what is named changes; an explicit first delay stays exact, a default one does not become it."""
    queue = Queue("orders", timeout=20, max_age=60, keep=90, fifo=True, **options)
    assert dataclasses.replace(queue) == queue
    more = dataclasses.replace(queue, max_attempts=9)
    assert more == Queue("orders", max_attempts=9, timeout=20, max_age=60, keep=90, fifo=True, **options)
    assert dataclasses.replace(more, max_attempts=queue.max_attempts) == queue


@pytest.mark.parametrize("seconds", [3, 900])
def test_replace_makes_a_first_delay_exact(seconds):
    """Also where it equals the longest delay."""
    derived = dataclasses.replace(Queue("orders"), first_delay=seconds)
    assert derived == Queue("orders", first_delay=seconds, max_delay=900)
    assert derived.exact_delay


def test_replace_shortens_a_default_first_delay():
    """It gives way to the new longest delay, and a first delay beyond it is refused with the fix."""
    assert dataclasses.replace(Queue("orders"), max_delay=1) == Queue("orders", max_delay=1)
    with pytest.raises(ConfigError, match="lower first_delay"):
        dataclasses.replace(Queue("orders", first_delay=30), max_delay=10)


# -- delays


class Highest:
    """Draws the highest number that it may."""

    def uniform(self, a: float, b: float) -> float:
        assert a == 0
        return b


@given(failures=st.integers(-5, 10**9), first=st.floats(0, 1000), most=st.floats(0, 100_000))
def test_backoff_is_bounded(failures, first, most):
    """Whatever the numbers, between nothing and the ceiling."""
    delay = backoff(failures, timedelta(seconds=first), timedelta(seconds=most), Highest())
    assert timedelta() <= delay <= timedelta(seconds=most) + timedelta(microseconds=1)


def test_backoff_doubles():
    """2, 4, 8 and so on until the most."""
    delays = [backoff(n, timedelta(seconds=2), timedelta(seconds=15), Highest()).total_seconds() for n in range(1, 6)]
    assert delays == [2, 4, 8, 15, 15]


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ("120", 120),
        (" 0 ", 0),
        ("Wed, 25 Nov 2026 12:00:30 GMT", 30),
        ("Wed, 25 Nov 2026 11:00:00 GMT", 0),
        ("Wed, 25 Nov 2026 12:00:30 -0000", 30),
        ("soon", None),
        ("-5", None),
        ("1e3", None),
        ("", None),
        ("9" * 40, None),
        ("٣", None),
    ],
)
def test_retry_after(header, expected):
    """Seconds or a date; None for anything else."""
    delay = retry_after(header, NOW)
    assert delay == (None if expected is None else timedelta(seconds=expected))


def test_durations():
    """Numbers and timedeltas, never truth values."""
    assert seconds(1.5, "x") == timedelta(seconds=1.5)
    with pytest.raises(TypeError, match="x takes seconds"):
        seconds(True, "x")
    assert Retry("busy", after=3).after == timedelta(seconds=3)
    assert tighter(timedelta(1), timedelta(2)) == tighter(timedelta(2), timedelta(1)) == timedelta(1)
    assert tighter(None, timedelta(0)) == tighter(timedelta(0), None) == timedelta(0)
    assert tighter(None, None) is None


# -- messages


@given(st.text(max_size=60) | st.from_regex(r'\{"id":.{0,40}\}', fullmatch=True))
def test_any_text_is_a_trail_or_none(text):
    """A producer may write anything there."""
    lineage = Lineage.load(text)
    assert lineage is None or Lineage.load(lineage.dump()) == lineage


@pytest.mark.parametrize(
    "text",
    [
        '{"id":1}',
        '{"id":""}',
        '{"id":"x","source":1}',
        '{"id":"x","source":"\\ud800"}',
        '{"id":"x","copy_number":-1}',
        '{"id":"x","copy_number":true}',
        '{"id":"x","attempts":1e9}',
        '{"id":"x","generation":4294967296}',
        "[]",
        "null",
        "[" * 9999,
    ],
)
def test_an_unsound_trail_is_none(text):
    """Counts are small whole numbers, and the id is a text."""
    assert Lineage.load(text) is None


def test_trails():
    """Copies and dead letters have ids of their own, equal for two publications of the same."""
    lineage = Lineage(id="é")
    assert Lineage.load(lineage.dump()) == lineage
    assert lineage.derived == "é"
    assert lineage.copy(copy_number=2, attempts=1).derived == "é.0.2.peeklock"
    assert Lineage(id="é", copy_number=2, sent=7, source="t/mail").derived == "é.0.2.7.t/mail.peeklock"
    assert OutgoingMessage(body=b"", lineage=lineage.dead_letter(), dead_letter=True).id == "é.1.0.peeklock"
    assert Message(id="a", body=b"", queue="q").effective_lineage == Lineage(id="a")
    assert Message(id="a", body=b"", queue="q", sent_ms="x").sent_at is None


# -- consumers


def test_a_consumer_stays_a_function():
    """Calling it calls it."""

    @consumer(QUEUE)
    def double(payload: dict) -> int:
        return payload["n"] * 2

    assert double({"n": 2}) == 4


class Service:
    """A callable instance: the dependencies are its attributes."""

    def __init__(self) -> None:
        self.seen: list[Any] = []

    def __call__(self, order: Order, message: Message) -> None:
        self.seen.append((order.order_id, message.id))


def test_a_callable_instance():
    """The hints of its `__call__` are read."""
    service = consumer(QUEUE, key="order_id")(Service())
    assert deliver(service, Order(order_id="o")).reason == "done"
    assert service.seen == [("o", "test-1")]


def wrong(**declared: Any) -> Any:
    return consumer(QUEUE, **declared)


@pytest.mark.parametrize(
    ("make", "fix"),
    [
        (lambda: consumer("orders"), r"takes the Queue first"),
        (lambda: wrong(fatal=("ValueError",))(print), "tuple of exception classes"),
        (lambda: wrong(fatal=(Retry,))(print), "Retry asks for another attempt; leave it out"),
        (lambda: resolve(print), "decorate it with @consumer"),
        (lambda: resolve(wrong()(lambda: None)), "takes the payload"),
        (lambda: resolve(wrong()(lambda a, b, c: None)), "nothing else"),
        (lambda: resolve(wrong()(lambda a: None)), "has no annotation"),
        (lambda: resolve(wrong()(_keyword_only)), "nothing else"),
        (lambda: resolve(wrong()(_two)), "as `other: Message`"),
        (lambda: resolve(wrong()(_message_first)), "first parameter is the payload"),
        (lambda: resolve(wrong()(_odd)), "into which no body can be decoded"),
        (lambda: resolve(wrong()(_unhashable)), "into which no body can be decoded"),
        (lambda: resolve(wrong()(_unresolved)), "import the types at module level"),
        (lambda: resolve(wrong()(_batch_and_message)), "batch.messages"),
        (lambda: resolve(wrong(key="id")(_order)), "its fields are: cents, item, order_id"),
        (
            lambda: resolve(wrong(key="item.name")(_order)),
            "key='item.name' names no field of Item; its fields are: sku",
        ),
        (lambda: resolve(wrong(key="m")(_row)), "its fields are: n"),
        (lambda: resolve(wrong(key="m")(_shape)), "its fields are: n"),
        (lambda: resolve(wrong(key="m")(_text)), "its fields are: none"),
        (lambda: resolve(wrong(key="m")(_rows)), "its fields are: n"),
    ],
)
def test_a_consumer_that_cannot_work(make, fix):
    """Is refused when it is bound, with what to change."""
    with pytest.raises(ConfigError, match=fix):
        make()


def _keyword_only(order: Order, *, other: int) -> None: ...
def _two(order: Order, other: int) -> None: ...
def _message_first(message: Message) -> None: ...
def _odd(order: Service) -> None: ...
def _unhashable(order: [1]) -> None: ...  # type: ignore[valid-type] # as above
def _unresolved(order: Missing) -> None: ...  # type: ignore[name-defined] # noqa: F821 - as above
def _batch_and_message(rows: Batch[Row], message: Message) -> None: ...
def _order(order: Order) -> None: ...
def _row(row: Row) -> None: ...
def _shape(row: Shape) -> None: ...
def _text(row: str) -> None: ...
def _rows(rows: Batch[Row]) -> None: ...


@pytest.mark.parametrize(
    ("key", "body", "expected"),
    [
        ("order_id", {"order_id": "o"}, "o"),
        ("item.sku", {"order_id": "o", "item": {"sku": "s"}}, "s"),
        (lambda order: order.cents, {"order_id": "o", "cents": 7}, "7"),
    ],
)
def test_keys(key, body, expected):
    """A field, a path, or a function."""
    bound = resolve(wrong(key=key)(_order))
    assert bound.key is not None
    assert bound.key(Order(**body)) == expected


@pytest.mark.parametrize("value", [None, "", True, 1.5, [], {}])
def test_a_key_that_is_none(value):
    """Anything but a text or a whole number would be equal by accident; a missing one is invalid as well."""

    @consumer(QUEUE, key="k")
    def handler(payload: dict) -> None: ...

    assert deliver(handler, {"k": value}).reason == "invalid"
    assert deliver(handler, {}).detail == "k: the key is missing"


# -- decoding


@pytest.mark.parametrize(
    ("hint", "body", "expected"),
    [
        (bytes, b"\xff", b"\xff"),
        (str, "é".encode(), "é"),
        (dict, b'{"n":1}', {"n": 1}),
        (dict[str, Any], b"{}", {}),
        (list, b"[1]", [1]),
        (dict[str, int], b'{"n":"1"}', {"n": 1}),
        (list[Row], b'[{"n":1}]', [Row(1)]),
        (Row, b'{"n":1}', Row(1)),
        (Shape, b'{"n":1}', {"n": 1}),
        (Order, b'{"order_id":"o"}', Order(order_id="o")),
        (Order | None, b"null", None),
    ],
)
def test_what_a_body_becomes(hint, body, expected):
    """The parameter's annotation decides."""
    assert decoder(hint, "p")(Message(id="m", body=body, queue="q")) == expected


SECRET = "secret-value"


@pytest.mark.parametrize(
    ("hint", "body", "where"),
    [
        (str, b"\xff", "not UTF-8 at byte 0"),
        (dict, b"", "the body is empty"),
        (dict, b"[1]", r"\$: a JSON object is needed"),
        (list, b"{}", r"\$: a JSON array is needed"),
        (dict, b'{"a":NaN}', "NaN is not a JSON number"),
        (dict, b'{"a":' + b"9" * 5000 + b"}", "a number is too large"),
        (dict, b"[" * 100_000, "nested too deeply"),
        (dict, "\ufeff{}".encode(), "not JSON: Unexpected UTF-8 BOM"),
        (
            Order,
            b'{"order_id":"' + SECRET.encode() + b'","cents":"' + SECRET.encode() + b'"}',
            r"\$.cents: int_parsing",
        ),
        (list[Row], b'[{"n":1},{"n":"' + SECRET.encode() + b'"}]', r"\$\[1\].n: int_parsing"),
        (list[Row], b"[" + b",".join([b"{}"] * 9) + b"]", "and 4 more"),
        (Order, b"{", r"\$: json_invalid"),
        (Order, b"", r"\$: json_invalid"),
        (Order, b"\xff", r"\$: json_invalid"),
    ],
)
def test_what_is_wrong_and_where(hint, body, where):
    """And never the value."""
    with pytest.raises(InvalidMessage, match=where) as raised:
        decoder(hint, "p")(Message(id="m", body=body, queue="q"))
    assert SECRET not in str(raised.value)


def test_a_decoder_of_ones_own():
    """Gets the bytes; what it raises makes the message invalid, and is named only by its class."""

    @consumer(QUEUE, decode=int)
    def handler(n) -> None: ...

    assert deliver(handler, b"7").reason == "done"
    outcome = deliver(handler, b"secret")
    assert (outcome.reason, outcome.detail) == ("invalid", "decoding raised ValueError")


WITHOUT_PYDANTIC = """
import sys
class Block:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] == "pydantic":
            raise ModuleNotFoundError("No module named 'pydantic'", name="pydantic")
sys.meta_path.insert(0, Block())
from dataclasses import dataclass
from peeklock import ConfigError, Queue, consumer, sqs
from peeklock.sending.send import dump
@dataclass
class Row:
    n: int
@consumer(Queue("q"))
def handler(row: Row) -> None: ...
assert dump(Row(1))[0] == b'{"n":1}'
try:
    sqs.bind(handler)
except ConfigError as exc:
    print(exc)
"""


def test_a_model_without_its_extra():
    """Is refused when bound, with the command that installs it; the rest works without."""
    run = subprocess.run([sys.executable, "-c", WITHOUT_PYDANTIC], capture_output=True, text=True, check=True)
    assert "pip install 'peeklock[pydantic]'" in run.stdout
    assert "pip install 'peeklock[sqs]'" in str(missing(ImportError("x", name="boto3.session")))
    assert "pip install 'peeklock[pubsub]'" in str(missing(ImportError("x", name="google.cloud.pubsub_v1")))
    assert "pip install other" in str(missing(ImportError("x", name="other")))


# -- envelopes


def told(body: Any, **attributes: str) -> Message:
    raw = body if isinstance(body, bytes) else dump(body)[0]
    return Message(id="m", body=raw, queue="q", attributes=attributes)


# -- texts and bytes


OrderId = NewType("OrderId", str)
Short = NewType("Short", Annotated[OrderId, StringConstraints(max_length=3)])  # type: ignore[valid-newtype] # of a type


class Size(StrEnum):
    SMALL = "s"


@pytest.mark.parametrize(
    ("hint", "payload"),
    [
        (OrderId, OrderId("ü 1")),
        (NewType("Raw", bytes), b"\xff"),
        (NewType("Raw", dict), {"n": 1}),
        (Annotated[str, "what it is"], "o-1"),
        (Annotated[str, StringConstraints(max_length=3)], "NaN"),
        (Annotated[bytes, Field(max_length=3)], b"\xff"),
        (Short, "o-1"),
        (Size, Size.SMALL),
        (Literal["a", "NaN"], "NaN"),
        (Annotated[str, PlainValidator(str)], "NaN"),
        (Order, Order(order_id="o")),
    ],
    ids=str,
)
def test_what_send_sends_is_read(hint, payload):
    """A text and bytes as they are, whatever the annotation adds to them."""
    assert decoder(hint, "p")(told(payload)) == payload


@pytest.mark.parametrize(
    ("hint", "body", "why"),
    [
        (Annotated[str, StringConstraints(max_length=3)], SECRET, r"\$: string_too_long"),
        (Annotated[bytes, Field(max_length=3)], SECRET, r"\$: bytes_too_long"),
        (Annotated[str, "what it is"], b"\xff", "not UTF-8 at byte 0"),
        (Size, SECRET, r"\$: enum"),
        (Literal["a"], SECRET, r"\$: literal_error"),
        (Literal["a", 1], "a", r"\$: json_invalid"),
    ],
)
def test_a_text_that_its_type_does_not_allow(hint, body, why):
    """Without its value."""
    with pytest.raises(InvalidMessage, match=why) as raised:
        decoder(hint, "p")(told(body))
    assert SECRET not in str(raised.value)


@pytest.mark.parametrize(
    ("hint", "fix"),
    [
        (str | None, "annotate it str, or pass decode="),
        (Annotated[bytes | None, "raw"], "annotate it bytes, or pass decode="),
        (OrderId | bytes, "annotate it bytes or str, or pass decode="),
        (Size | None, "annotate it str, or pass decode="),
    ],
)
def test_a_body_that_may_be_a_text_or_something_else(hint, fix):
    """Is refused when it is bound: `null` is a text as well."""
    with pytest.raises(ConfigError, match=fix):
        decoder(hint, "p")


def test_a_text_with_constraints_without_pydantic(monkeypatch):
    """Is a text; a choice of texts needs it."""
    monkeypatch.setitem(sys.modules, "pydantic", None)
    assert decoder(Annotated[str, "what it is"], "p")(told("o-1")) == "o-1"
    for hint in (Size, Literal["a"]):
        with pytest.raises(ConfigError, match=r"peeklock\[pydantic\]"):
            decoder(hint, "p")


# -- envelopes opened


CLOUD = {"specversion": "1.0", "id": "1", "source": "/s", "type": "t"}


@pytest.mark.parametrize(
    ("open_it", "message", "body", "attributes"),
    [
        (
            unwrap.sns,
            told(
                {
                    "Type": "Notification",
                    "Message": "x",
                    "MessageAttributes": {
                        "a": {"Type": "String", "Value": "b"},
                        "c": {"Type": "Binary", "Value": "/w=="},
                    },
                }
            ),
            b"x",
            {"a": "b", "c": b"\xff"},
        ),
        (unwrap.sns, told({"Type": "Notification", "Message": ""}), b"", {}),
        (
            unwrap.eventbridge,
            told({"detail": {"n": "é"}, "detail-type": "t", "source": "s"}),
            '{"n":"é"}'.encode(),
            {"detail-type": "t", "source": "s"},
        ),
        (unwrap.s3, told({"Records": [{"s3": {}}]}), b'[{"s3":{}}]', {}),
        (unwrap.cloudevents, told({**CLOUD, "data": {"n": 1}}), b'{"n":1}', {f"ce-{k}": v for k, v in CLOUD.items()}),
        (unwrap.cloudevents, told({**CLOUD, "data_base64": "/w=="}), b"\xff", {f"ce-{k}": v for k, v in CLOUD.items()}),
        (
            unwrap.cloudevents,
            told({**CLOUD, "datacontenttype": "text/plain", "data": "hi"}),
            b"hi",
            {**{f"ce-{k}": v for k, v in CLOUD.items()}, "ce-datacontenttype": "text/plain"},
        ),
        (
            unwrap.cloudevents,
            told(b"bare", **{f"ce-{k}": v for k, v in CLOUD.items()}),
            b"bare",
            {f"ce-{k}": v for k, v in CLOUD.items()},
        ),
    ],
)
def test_an_envelope_is_opened(open_it, message, body, attributes):
    """And kept, for copies and dead letters."""
    opened = open_it(message)
    assert (opened.body, dict(opened.attributes)) == (body, attributes)


@pytest.mark.parametrize(
    ("open_it", "message"),
    [
        (unwrap.sns, told({"Type": "Other", "Message": "x"})),
        (unwrap.sns, told({"Type": "Notification", "Message": {}})),
        (unwrap.sns, told([1])),
        (unwrap.sns, told(b"{")),
        (unwrap.sns, told({"Type": "Notification", "Message": "x", "MessageAttributes": {"a": 1}})),
        (
            unwrap.sns,
            told(
                {"Type": "Notification", "Message": "x", "MessageAttributes": {"a": {"Type": "Binary", "Value": "%"}}}
            ),
        ),
        (unwrap.eventbridge, told({"detail": {}})),
        (unwrap.s3, told({"Records": [1]})),
        (unwrap.s3, told({})),
        (unwrap.cloudevents, told({**CLOUD, "id": ""})),
        (unwrap.cloudevents, told({**CLOUD, "data_base64": "%"})),
        (unwrap.cloudevents, told(b"x", **{"ce-specversion": "1.0"})),
    ],
)
def test_what_is_no_such_envelope_is_invalid(open_it, message):
    """Never taken for a body."""
    with pytest.raises(InvalidMessage):
        open_it(message)


# -- sending


def test_send():
    """To the queue's address, under an id of one's own or a random one."""
    box = Outbox()
    with routed(lambda queue: box):
        assert send(QUEUE, Order(order_id="o"), id="x", delay=3, group="g", attributes={"a": "b"}) == "x"
        assert len(send(QUEUE, {"n": 1})) == 36
    first = box.outgoing_messages[0]
    assert (first.body, first.delay, first.group) == (
        b'{"order_id":"o","cents":1,"item":null}',
        timedelta(seconds=3),
        "g",
    )
    with pytest.raises(ConfigError, match="PEEKLOCK_ORDERS_URL is not set"), environment(PEEKLOCK_ORDERS_URL=None):
        send(QUEUE, {})
    with environment(PEEKLOCK_ORDERS_URL="memory://orders"):
        assert sender_to(QUEUE) is sender_to(QUEUE)
        send(QUEUE, {})
    with pytest.raises(ConfigError, match="give group="):
        send(Queue("f", fifo=True), {})


class Refusing:
    """Takes nothing."""

    def send(self, outgoing_messages: Any, /) -> list[peeklock.SendError]:
        return [peeklock.SendError("full")]


def test_a_refused_message_is_raised():
    """The sender did not confirm it."""
    with routed(lambda queue: Refusing()), pytest.raises(peeklock.SendError, match="full"):
        send(QUEUE, b"x")


@pytest.mark.parametrize(
    ("payload", "body", "kind"),
    [
        (b"\xff", b"\xff", "application/octet-stream"),
        ("é", "é".encode(), "text/plain; charset=utf-8"),
        ([1], b"[1]", "application/json"),
        (Row(1), b'{"n":1}', "application/json"),
    ],
)
def test_what_a_payload_becomes(payload, body, kind):
    """A payload becomes a body and its content type."""
    assert dump(payload) == (body, kind)


@pytest.mark.parametrize("payload", [object(), {"a": float("nan")}, {1, 2}])
def test_a_payload_without_a_form(payload):
    """Says what has one."""
    with pytest.raises(ConfigError, match="has no JSON form"):
        dump(payload)


# -- binding


@consumer(Queue("orders", timeout=10))
def plain(payload: dict) -> None: ...


@consumer(Queue("orders", timeout=10), key="k")
def keyed(payload: dict) -> None: ...


def bind(function: Any, **options: Any) -> Binding:
    return Binding(function, "test", delays=Delays.COPY, longest=timedelta(seconds=60), options=options)  # type: ignore[arg-type] # built from keywords


def test_the_environment_is_read_at_the_first_event():
    """And once."""
    with environment(
        PEEKLOCK_STORE="memory://b",
        PEEKLOCK_ORDERS_DEAD_LETTER="memory://l",
        PEEKLOCK_ORDERS_URL="memory://q",
        PEEKLOCK_ORDERS_LOCK="30",
    ):
        binding = bind(plain)
        bound_by = binding.bound()
        assert bound_by.delays is Delays.COPY
        assert binding.lock() == timedelta(seconds=30)
    assert binding.bound() is bound_by
    assert binding_of(plain) is None


@pytest.mark.parametrize(
    ("options", "variables", "fix"),
    [
        ({"parallel": 0}, {}, "parallel=0"),
        ({}, {}, "PEEKLOCK_ORDERS_DEAD_LETTER is not set"),
        ({"dead_letter": Outbox()}, {"PEEKLOCK_ORDERS_FINGERPRINT": "0" * 12}, "deploy both from the same commit"),
        ({"dead_letter": Outbox(), "store": MemoryStore()}, {}, "PEEKLOCK_ORDERS_URL is not set"),
        ({"dead_letter": Outbox(), "store": "amqp://x"}, {}, "unknown scheme"),
    ],
)
def test_an_environment_that_does_not_fit(options, variables, fix):
    """Is refused before any message is touched."""
    with environment(**variables), pytest.raises(ConfigError, match=fix):
        bind(plain, **options).bound()


def test_the_right_fingerprint_is_let_through():
    """Infrastructure and code agree."""
    with environment(PEEKLOCK_ORDERS_FINGERPRINT=Queue("orders", timeout=10).fingerprint):
        assert bind(plain, dead_letter=Outbox(), queue="memory://x", store=MemoryStore()).bound().copies is not None


def test_a_key_needs_a_store(caplog):
    """And what is weaker without one is said once."""
    with pytest.raises(ConfigError, match="key= needs a store"):
        bind(keyed, dead_letter=Outbox()).bound()
    binding = bind(plain, dead_letter=Outbox())
    binding.bound()
    binding.bound()
    assert caplog.text.count("peeklock.weaker") == 1


def test_what_is_kept_in_memory_is_said(caplog):
    """Where an address says so: a dead letter would be gone with its process, and a key with it."""
    bind(plain, dead_letter="memory://", store="memory://", queue=Outbox()).bound()
    (record,) = caplog.records
    assert record.levelno == logging.WARNING
    assert "memory:// as dead-letter queue" in record.getMessage()
    assert "memory:// as store" in record.getMessage()
    caplog.clear()
    bind(plain, dead_letter=Outbox(), store=MemoryStore(), queue=Outbox()).bound()
    with environment(PEEKLOCK_ORDERS_DEAD_LETTER="memory://", PEEKLOCK_STORE="memory://"):
        bind(plain, queue=Outbox()).bound()
    assert caplog.text.count("memory://") == 2


def test_what_deliver_is_told_of_each_message_is_as_many():
    with pytest.raises(ConfigError, match="2 payloads, 2 ids and 1 groups: give one of each for every message"):
        deliver_all(plain, [b"{}", b"{}"], groups=["a"])
    with pytest.raises(ConfigError, match="2 payloads, 1 ids and 2 groups"):
        deliver_all(plain, [b"{}", b"{}"], ids=["a"])


def test_a_message_has_the_age_that_a_test_gives_it():
    @consumer(Queue("orders", max_age=60))
    def handle(payload: dict, message: Message) -> None:
        assert message.sent_at == clock.now() - timedelta(seconds=59)

    clock = FakeClock()
    assert deliver(handle, {}, age=59, clock=clock).reason == "done"
    assert deliver(handle, {}, age=61, clock=clock).reason == "expired"


def test_two_queues_with_one_variable():
    """Would send to one address, in silence."""
    with environment(PEEKLOCK_EU_ORDERS_URL="memory://eu"):
        sender_to(Queue("eu-orders"))
        with pytest.raises(ConfigError, match=r"'eu-orders' and 'eu_orders' would share PEEKLOCK_EU_ORDERS_URL"):
            sender_to(Queue("eu_orders"))


def bare(body: bytes) -> None:
    return None


@pytest.mark.parametrize("store", [None, MemoryStore()])
def test_a_platform_that_never_delays_says_so(caplog, store):
    """A store does not change that, so `first_delay` is not refused for the want of one: it may be for other clouds."""
    caplog.set_level(logging.INFO)
    delayed = consumer(Queue("orders", timeout=10, first_delay=2))(bare)
    options: Options = {"dead_letter": Outbox(), "store": store}
    Binding(delayed, "pubsub", delays=Delays.NONE, longest=timedelta(seconds=60), options=options).bound()
    assert "the queue's own delay, not first_delay, lies between the attempts" in caplog.text


def test_a_lock_that_is_no_number():
    """Or too short for one message."""
    with environment(PEEKLOCK_ORDERS_LOCK="soon"), pytest.raises(ConfigError, match="not a number of seconds"):
        bind(plain).lock()
    with environment(PEEKLOCK_ORDERS_LOCK="5"), pytest.raises(ConfigError, match="to 11 s or more"):
        bind(plain).lock()


# -- the test kit, as the docs show it


ORDERS = Queue("orders", timeout=30, max_delay=900)


@consumer(ORDERS, key="order_id")
def charge(order: Order) -> None:
    if order.cents == 0:
        raise ValueError("nothing to charge")


@consumer(QUEUE)
async def charge_async(order: Order) -> None: ...


@consumer(QUEUE)
def store_rows(rows: Batch[Row]) -> Mapping[str, Exception]:
    return {message.id: ValueError("odd") for message, row in rows.pairs() if row.n % 2}


def unreachable(body: bytes) -> Order:
    raise ConnectionError(body.decode())


def unfetched(order: Order) -> None: ...


def test_the_kit():
    """Gives up, duplicate, retry delay, invalid body, async, batch."""
    nothing = Order(order_id="o", cents=0)
    assert deliver(charge, nothing, attempt=ORDERS.max_attempts).reason == "exhausted"
    store = MemoryStore()
    assert [deliver(charge, Order(order_id="o"), store=store).reason for _ in range(2)] == ["done", "duplicate"]
    delay = deliver(charge, nothing).delay
    assert delay is not None
    assert delay <= timedelta(seconds=2)
    assert deliver(charge, b'{"order_id":').reason == "invalid"
    assert deliver(charge_async, Order(order_id="o")).reason == "done"
    assert [outcome.reason for outcome in deliver_all(store_rows, [Row(1), Row(2)])] == ["retry", "done"]
    fetched = consumer(QUEUE, decode=unreachable)(unfetched)
    assert deliver(fetched, b"orders/7.json").reason == "retry"
    clock = FakeClock()
    before = clock.now()
    clock.advance(5)
    assert clock.now() - before == timedelta(seconds=5)


def test_a_batch_is_a_sequence():
    """It contains the payloads, beside their messages."""
    rows = Batch([Row(1), Row(2)], [Message(id="a", body=b"", queue="q"), Message(id="b", body=b"", queue="q")])
    assert (len(rows), rows[0], list(rows), rows[1:]) == (2, Row(1), [Row(1), Row(2)], (Row(2),))
    assert [message.id for message, _ in rows.pairs()] == ["a", "b"]


def test_a_message_that_may_be_left_out_is_filled():
    """A parameter annotated as an optional Message gets it as well."""
    seen: list[Any] = []

    @consumer(ORDERS)
    def handler(payload: dict, message: Message | None = None) -> None:
        seen.append(message)

    assert deliver(handler, {}, attempt=3).reason == "done"
    assert seen[0].attempt == 3


def test_a_message_that_nothing_would_fill():
    @consumer(ORDERS)
    def named(payload: dict, *, message: Message | None = None) -> None: ...

    @consumer(ORDERS)
    def third(payload: dict, verbose: bool = False, message: Message | None = None) -> None: ...

    for handler in (named, third):
        with pytest.raises(ConfigError, match="second parameter"):
            resolve(handler)


def test_a_static_method_is_marked_beneath_its_decorator():
    """Above it, the mark would be hidden, and the binding find no consumer."""

    class Shop:
        @staticmethod
        @consumer(ORDERS)
        def charge(payload: dict) -> None: ...

    assert deliver(Shop.charge, {}).reason == "done"
    for wrapped in (staticmethod, classmethod):
        with pytest.raises(ConfigError, match=f"@{wrapped.__name__} first"):
            consumer(ORDERS)(wrapped(lambda payload: None))


def test_one_function_is_the_consumer_of_one_queue():
    """A second declaration would replace the first without a word; one for the same queue is meant to."""

    @consumer(ORDERS)
    def handler(payload: dict) -> None: ...

    with pytest.raises(ConfigError, match="consumer of queue 'orders' already"):
        consumer(Queue("refunds"))(handler)
    assert consumer(ORDERS, fatal=(ValueError,))(handler) is handler


@pytest.mark.parametrize(
    ("wrong", "fix"),
    [
        ({"store": "memory://"}, "store=MemoryStore"),
        ({"store": object()}, r"swap\(\)"),
        ({"outbox": []}, r"send\(\)"),
        ({"dead_letters": []}, r"send\(\)"),
        ({"parallel": 0}, "1 or more"),
        ({"attempt": 0}, "1 for the first"),
        ({"attempt": True}, "1 for the first"),
        ({"attempt": "2"}, "1 for the first"),
    ],
)
def test_a_delivery_that_cannot_be_made(wrong, fix):
    @consumer(ORDERS)
    def handler(payload: dict) -> None: ...

    with pytest.raises(ConfigError, match=fix):
        deliver(handler, {}, **wrong)


def test_an_outbox_that_is_empty_is_used():
    """Whatever it thinks of itself."""

    class Empty(Outbox):
        def __len__(self) -> int:
            return len(self.outgoing_messages)

    @consumer(ORDERS)
    def handler(payload: dict) -> None:
        send(ORDERS, {"n": 1})

    outbox, dead_letters = Empty(), Empty()
    assert deliver(handler, {}, outbox=outbox).reason == "done"
    assert deliver(handler, b"{", dead_letters=dead_letters).reason == "invalid"
    assert (len(outbox), len(dead_letters)) == (1, 1)


def test_the_subscription_of_a_message_is_nobodys_to_write():
    """But of a copy's and of a redriven dead letter's, whose lineage is ours."""
    names = [
        Message("m", b"", "orders", lineage=Lineage(id="m", source="mail", **lineage)).source
        for lineage in ({}, {"copy_number": 1}, {"generation": 1})
    ]
    assert names == ["", "mail", "mail"]
    assert (
        Message("m", b"", "orders", subscription="t/a", lineage=Lineage(id="m", copy_number=1, source="mail")).source
        == "t/a"
    )
