"""Envelopes at their edges; the usual ones are in test_declaring.py."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from peeklock import ConfigError, InvalidMessage, Queue, consumer, unwrap
from peeklock.binding.bind import Binding
from peeklock.consuming.decoding import as_json
from peeklock.engine.bound_consumer import Delays
from peeklock.errors import NothingToHandle
from peeklock.message import Message
from peeklock.sending.send import dump
from peeklock.stores.memory import MemoryStore
from peeklock.strict_json import members
from peeklock.testing import Outbox

CLOUD = {"specversion": "1.0", "id": "1", "source": "/s", "type": "t"}


def told(body: Any, **attributes: str | bytes) -> Message:
    return Message(id="m", body=body if isinstance(body, bytes) else dump(body)[0], queue="q", attributes=attributes)


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        (None, b'"hi"'),
        ("application/json", b'"hi"'),
        ("application/json; charset=utf-8", b'"hi"'),
        ("Application/JSON", b'"hi"'),
        ("application/vnd.order+json ;v=1", b'"hi"'),
        ("text/plain", b"hi"),
        ("text/plain; format=json", b"hi"),
    ],
)
def test_a_text_in_a_cloudevent(kind, body):
    """Is JSON unless its type says otherwise, whatever parameters that type has."""
    opened = unwrap.cloudevents(told({**CLOUD, "datacontenttype": kind, "data": "hi"}))
    assert opened.body == body


@pytest.mark.parametrize("value", [5, True, [], {}, "%", "abc"])
def test_what_is_not_base64(value):
    """Is invalid; `str()` of it would be base64 by accident."""
    with pytest.raises(InvalidMessage, match="data_base64: not base64"):
        unwrap.cloudevents(told({**CLOUD, "data_base64": value}))


def test_a_member_that_is_null_is_not_there():
    """The format says so; the text `None` would be valid base64."""
    assert unwrap.cloudevents(told({**CLOUD, "data_base64": None, "data": {"n": 1}})).body == b'{"n":1}'


def test_headers_of_any_case():
    """HTTP does not tell them apart."""
    message = told(b"bare", **{f"CE-{name.title()}": value for name, value in CLOUD.items()})
    opened = unwrap.cloudevents(message)
    assert opened.body == b"bare"
    assert {f"ce-{name}": value for name, value in CLOUD.items()}.items() <= opened.attributes.items()


def test_a_bare_body_under_an_envelope_is_invalid():
    """SNS with raw delivery on: the fix is named, and the body is not taken for an envelope."""
    with pytest.raises(InvalidMessage, match="with raw message delivery on, bind without unwrap=sns"):
        unwrap.sns(told({"order_id": "o"}))


def test_an_envelope_is_not_opened_unless_it_is_named():
    """A producer's body that looks like one stays its body."""
    body = {"Type": "Notification", "Message": '{"order_id":"forged"}'}
    assert as_json(told(body)) == body


def test_every_envelope_has_a_name():
    """For the command line."""
    assert set(unwrap.BY_NAME) == {"sns", "eventbridge", "s3", "cloudevents"}
    for open_it in unwrap.BY_NAME.values():
        with pytest.raises(InvalidMessage, match="the body is empty"):
            open_it(told(b""))


# -- several envelopes


S3_EVENT = {"Records": [{"s3": {"bucket": {"name": "b"}, "object": {"key": "my+file%281%29.txt", "size": 1.5}}}]}


def in_sns(body: str, **attributes: Any) -> dict[str, Any]:
    return {"Type": "Notification", "Message": body, "MessageAttributes": attributes}


def bound(handler: Any, option: Any, **options: Any) -> Binding:
    options = {"dead_letter": Outbox(), "store": MemoryStore(), "unwrap": option, **options}
    return Binding(handler, "test", delays=Delays.COPY, longest=timedelta(seconds=60), options=options)  # type: ignore[arg-type] # built from keywords


@consumer(Queue("uploads", timeout=10, first_delay=2))
def failing_upload(records: list) -> None:  # type: ignore[type-arg] # the bare annotation is one that users write
    raise ConnectionError(records[0]["s3"]["object"]["key"])


@consumer(Queue("uploads", timeout=10), fatal=(ConnectionError,))
def refused_upload(records: list) -> None:  # type: ignore[type-arg] # as above
    raise ConnectionError(records[0]["s3"]["object"]["key"])


@pytest.mark.parametrize(
    "option",
    [
        (unwrap.sns, unwrap.s3),
        [unwrap.sns, unwrap.s3],
        lambda message: unwrap.s3(unwrap.sns(message)),
        unwrap.named("sns,s3"),
        unwrap.named("sns, s3"),
    ],
)
def test_envelopes_in_envelopes(option):
    """The handler gets the innermost body; the copy and the dead letter are the outermost, to be opened again. (trials 1.2)"""
    arrived = told(in_sns(json.dumps(S3_EVENT), tenant={"Type": "String", "Value": "acme"}))
    copies, dead_letters = Outbox(), Outbox()
    (settled,) = bound(failing_upload, option, queue=copies).run([arrived])
    assert (settled.outcome.reason, str(settled.outcome.error)) == ("retry", "my file(1).txt")
    assert settled.message.attributes == {"tenant": "acme"}
    assert [(copy.body, dict(copy.attributes)) for copy in copies.outgoing_messages] == [(arrived.body, {})]
    copy = copies.outgoing_messages[0]
    again = Message(id="m", body=copy.body, queue="q", lineage=copy.lineage, attributes=copy.attributes)
    (settled,) = bound(refused_upload, option, queue=copies, dead_letter=dead_letters).run([again])
    assert settled.outcome.reason == "fatal"
    assert [dead_letter.body for dead_letter in dead_letters.outgoing_messages] == [arrived.body]


def test_three_envelopes():
    """SNS around an event of EventBridge around a CloudEvent."""
    event = {"detail": {**CLOUD, "data": {"n": 1}}, "detail-type": "t", "source": "s"}
    opened = unwrap.named("sns,eventbridge,cloudevents")(told(in_sns(json.dumps(event))))
    assert opened.body == b'{"n": 1}'
    assert opened.attributes["detail-type"] == "t"
    assert opened.attributes["ce-id"] == "1"


@pytest.mark.parametrize("names", ["sn", "sns,s33", "", "sns,,s3"])
def test_an_unknown_envelope(names):
    """Is refused with the nearest name, or all. (trials 1.2)"""
    with pytest.raises(ConfigError, match=r"did you mean 'sns'|did you mean 's3'|known are sns, eventbridge, s3"):
        unwrap.named(names)


@pytest.mark.parametrize("option", ["sns", (), ("sns",), 5, (unwrap.sns, "s3"), {"sns"}])
def test_what_unwrap_is_not(option):
    """A name is no function, and is refused when it is bound. (trials 1.12)"""
    with pytest.raises(ConfigError, match="the outermost first, such as unwrap="):
        bound(failing_upload, option)


# -- S3


@pytest.mark.parametrize(
    ("written", "key"),
    [
        ("my+file%281%29.txt", "my file(1).txt"),
        ("plain.txt", "plain.txt"),
        ("a%2Bb", "a+b"),
        ("%C3%BC/100%25", "ü/100%"),
        ("a/b+c", "a/b c"),
    ],
)
def test_an_objects_key_is_the_key_itself(written, key):
    """S3 writes it as in a URL. (trials 1.2)"""
    records = json.loads(json.dumps(S3_EVENT))
    records["Records"][0]["s3"]["object"]["key"] = written
    opened = unwrap.s3(told(records))
    assert json.loads(opened.body)[0]["s3"]["object"]["key"] == key


@pytest.mark.parametrize("stored", [None, {}, {"key": 5}, "text"])
def test_records_without_a_key(stored):
    """Are the handler's business."""
    opened = unwrap.s3(told({"Records": [{"s3": {"object": stored}}]}))
    assert json.loads(opened.body) == [{"s3": {"object": stored}}]


def test_a_key_that_is_no_utf_8():
    """Cannot be one of S3's."""
    with pytest.raises(InvalidMessage, match=r"\$.Records\[0\].s3.object.key: not URL-encoded UTF-8"):
        unwrap.s3(told({"Records": [{"s3": {"object": {"key": "%ff"}}}]}))


TEST_EVENT = {"Service": "Amazon S3", "Event": "s3:TestEvent", "Time": "2026-01-01T00:00:00.000Z", "Bucket": "b"}


@pytest.mark.parametrize("store", [True, False])
@pytest.mark.parametrize("body", [TEST_EVENT, in_sns(json.dumps(TEST_EVENT))], ids=["bare", "in_sns"])
def test_the_test_event_of_s3_is_complete(store, body):
    """Without a run, a record and a dead letter, whatever key the handler has, and its group goes on. (trials 1.2)"""
    ran: list[Any] = []
    keyed = {"key": lambda records: records[0]["s3"]["object"]["key"]} if store else {}

    @consumer(Queue("uploads", timeout=10, max_age=60), **keyed)
    def handle(records: list) -> None:  # type: ignore[type-arg] # as above
        ran.append(records)

    dead_letters, memory = Outbox(), MemoryStore()
    option = (unwrap.sns, unwrap.s3) if "Message" in body else unwrap.s3
    binding = bound(handle, option, dead_letter=dead_letters, queue=Outbox(), store=memory if store else None)
    after = told(in_sns(json.dumps(S3_EVENT)) if "Message" in body else S3_EVENT)
    old = replace(told(body), group="g", sent_ms=1)
    settled = binding.run([old, replace(after, id="n", group="g")])
    assert [(delivery.outcome.disposition, delivery.outcome.reason) for delivery in settled] == [
        ("complete", "done")
    ] * 2
    assert "nothing to handle" in settled[0].outcome.detail
    assert (len(ran), dead_letters.outgoing_messages, len(memory.records)) == (1, [], int(store))


# -- bodies as they are written


def test_a_number_inside_keeps_its_digits():
    """Reading and writing JSON again would round it."""
    number = "1.1234567890123456789"
    event = f'{{"source": "s", "detail" : {{"n":{number}}} , "detail-type": "t"}}'.encode()
    assert unwrap.eventbridge(told(event)).body == f'{{"n":{number}}}'.encode()
    cloud = json.dumps(CLOUD)[:-1] + f', "data":[{number}]}}'
    assert unwrap.cloudevents(told(cloud.encode())).body == f"[{number}]".encode()


def test_a_detail_that_is_null():
    """Stays one: the event has a detail."""
    assert unwrap.eventbridge(told({"detail": None, "detail-type": "t", "source": "s"})).body == b"null"


def test_an_event_without_data():
    """Has an empty body, and null is a value."""
    assert unwrap.cloudevents(told(CLOUD)).body == b""
    assert unwrap.cloudevents(told({**CLOUD, "data": None})).body == b"null"


@pytest.mark.parametrize("prefix", ["ce-", "cloudEvents:", "cloudEvents_", "CE-"])
def test_a_cloudevent_around_a_bare_body(prefix):
    """Over HTTP, Pub/Sub and AMQP its attributes are named differently, and here the same."""
    opened = unwrap.cloudevents(told(b"bare", **{f"{prefix}{name}": value for name, value in CLOUD.items()}))
    assert opened.body == b"bare"
    assert opened.attributes["ce-type"] == "t"


def test_a_batch_of_cloudevents():
    """Is no message."""
    with pytest.raises(InvalidMessage, match="a batch of them has to be sent one by one"):
        unwrap.cloudevents(told([{**CLOUD, "data": 1}]))


def test_names_of_the_body_are_not_shown():
    """An attribute's name is the producer's. (trials 2.4)"""
    for value in ({"Type": "String"}, {"Type": "Binary", "Value": "%"}):
        with pytest.raises(InvalidMessage, match=r"\$.MessageAttributes.\*: "):
            unwrap.sns(told(in_sns("x", secret=value)))


@pytest.mark.parametrize("text", ["{}", " { } ", '{"a":1}', '{ "a" : {"b":[1]} , "\\u00e9":"x\\"y" ,"a": 2 }'])
def test_members_are_as_written(text):
    """Each as the text that it has in the object."""
    values = members(text)
    assert {name: json.loads(value) for name, value in values.items()} == json.loads(text)


@pytest.mark.parametrize("text", ["[]", "1", "", "{", "[" * 100_000])
def test_only_objects_have_members(text):
    """Anything else is invalid."""
    with pytest.raises(InvalidMessage):
        members(text)


def test_an_envelope_that_forgets_its_answer():
    """Never completes a message: nothing to handle has to be said."""
    (settled,) = bound(failing_upload, lambda message: None, queue=Outbox()).run([told(S3_EVENT)])
    assert (settled.outcome.reason, settled.outcome.detail) == (
        "invalid",
        "unwrap= returned a NoneType instead of a Message",
    )


def test_nothing_to_handle_is_for_everyone():
    """An envelope of one's own says it the same way."""

    def heartbeat(message: Message) -> Message:
        raise NothingToHandle("a heartbeat")

    (settled,) = bound(failing_upload, (unwrap.sns, heartbeat), queue=Outbox()).run([told(in_sns("ping"))])
    assert (settled.outcome.disposition, settled.outcome.reason) == ("complete", "done")
