"""Checks of the functions that a user passes: mistakes are refused with the fix when bound, and never ignored silently."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import azure.functions as func
import pytest
from pydantic import BaseModel, ConfigDict, SecretBytes, SecretStr, field_serializer

from peeklock import ConfigError, DeadLetter, InvalidMessage, Queue, Retry, consumer, send, servicebus, sqs
from peeklock.keywords import strict
from peeklock.outcome import Disposition, Reason
from peeklock.sending.send import dump, routed
from peeklock.stores.memory import MemoryStore
from peeklock.testing import Outbox, deliver

QUEUE = Queue("orders", max_attempts=3)


def of(**options: Any) -> Any:
    @consumer(QUEUE, **options)
    def handle(order: dict) -> None:  # type: ignore[type-arg] # as users write it
        raise ValueError

    return handle


def two(body: bytes, more: int) -> None: ...


@pytest.mark.parametrize(
    ("options", "fix"),
    [
        ({"decode": two}, "decode=two has to take exactly one argument"),
        ({"on_error": lambda: None}, "on_error=<lambda> has to take exactly one argument"),
        ({"key": two}, "key=two has to take exactly one argument"),
        ({"key": 5}, "key=5: give the name of a field, or a function of the payload"),
        ({"key": ("a", "b")}, r"key=\('a', 'b'\): give the name of a field"),
    ],
)
def test_a_hook_that_cannot_be_called(options, fix):
    """Is refused when it is bound: at each message it would make that invalid."""
    with pytest.raises(ConfigError, match=fix):
        sqs.bind(of(**options))


def test_a_hook_may_be_written_in_c():
    """And say nothing of its parameters."""
    sqs.bind(of(decode=bytes, on_error={}.get, key=str))


@pytest.mark.parametrize("answer", [Retry, DeadLetter, 60, timedelta(seconds=5), "dead_letter"])
def test_an_answer_that_on_error_may_not_give(answer, caplog):
    """Is logged as a failure of the hook, with the fix; the message is retried as usual."""
    with caplog.at_level(logging.INFO):
        outcome = deliver(of(on_error=lambda _: answer), {})
    assert outcome.reason is Reason.RETRY
    assert "peeklock.on_error_failed" in caplog.text
    assert "which is neither a Retry(...), nor a DeadLetter(...), nor None" in caplog.text


@pytest.mark.parametrize(("answer", "reason"), [(None, Reason.RETRY), (DeadLetter("no"), Reason.FATAL)])
def test_an_answer_of_on_error(answer, reason):
    """Holds."""
    assert deliver(of(on_error=lambda _: answer), {}).reason is reason


def test_a_mistake_in_a_key_says_so():
    """It is not the message that lacks something."""
    outcome = deliver(of(key=lambda order: order.oder_id), {"order_id": "a"})
    assert outcome.detail == "<lambda>: the key is missing: its function raised AttributeError"
    assert isinstance(outcome.error, InvalidMessage) or outcome.error is None


class Open(BaseModel):
    model_config = ConfigDict(extra="allow")
    cents: int = 0


def test_a_key_among_fields_that_a_model_does_not_declare():
    """The type does not tell, so each message does."""

    @consumer(QUEUE, key="order_id")
    def handle(order: Open) -> None: ...

    store = MemoryStore()
    assert [deliver(handle, body, store=store).reason for body in ({"order_id": "a"}, {"order_id": "a"}, {})] == [
        Reason.DONE,
        Reason.DUPLICATE,
        Reason.INVALID,
    ]


def test_an_invalid_message_is_never_valid_later():
    """Also where the handler itself finds that out."""

    @consumer(QUEUE)
    def handle(order: dict) -> None:  # type: ignore[type-arg] # as users write it
        raise InvalidMessage("no such country", where="$.country")

    outcome = deliver(handle, {})
    assert (outcome.disposition, outcome.reason) == (Disposition.DEAD_LETTER, Reason.FATAL)
    assert "$.country: no such country" in outcome.detail


@pytest.mark.parametrize(
    ("call", "fix"),
    [
        (lambda: Queue("a", fifo="no"), "fifo='no' is neither True nor False"),  # type: ignore[arg-type] # the point
        (lambda: consumer(QUEUE, check_body="no"), "check_body='no' is neither"),  # type: ignore[arg-type] # the point
        (lambda: consumer(QUEUE, keep_result=1), "keep_result=1 is neither"),  # type: ignore[arg-type] # the point
        (lambda: servicebus.bind(of(), app=func.FunctionApp(), sessions="no"), "sessions='no' is neither"),  # type: ignore[arg-type] # the point
        (lambda: servicebus.bind(of(), app=func.FunctionApp(), actions="no"), "actions='no' is neither"),  # type: ignore[arg-type] # the point
        (lambda: servicebus.bind(of(), app=None), "app=NoneType: pass the func.FunctionApp"),
        (lambda: send("pay", {}), r"send\(\) takes the Queue first: send\(ORDERS, payload\), not str"),  # type: ignore[arg-type] # the point
    ],
)
def test_an_error_names_the_fix(call, fix):
    """Rather than a truth value that nobody meant, or an AttributeError."""
    with pytest.raises(ConfigError, match=fix):
        call()


def test_an_error_about_a_keyword_does_not_list_self():
    """Which nobody passes."""
    with pytest.raises(ConfigError, match="known are ") as caught:
        Queue("a", zzzzz=3)  # type: ignore[call-arg] # the point
    assert "self" not in str(caught.value)
    assert strict()(two)(b"", more=1) is None


class Later(Retry):
    after = 60  # type: ignore[assignment] # seconds, as everywhere at a user's edge
    counts = False


class Set(Retry):
    def __init__(self, after: float) -> None:
        self.after = after  # type: ignore[assignment] # as above
        self.counts = False


class Asked(Retry):
    counts = False

    @property
    def after(self) -> timedelta:  # type: ignore[override] # as users write it
        return timedelta(minutes=1)


@pytest.mark.parametrize("raised", [Later, Later("busy"), Retry(after=60, counts=False), Set(60), Asked.__new__(Asked)])
def test_a_retry_of_a_class(raised):
    """A subclass may set the delay, in seconds too, and whether the attempt counts."""

    @consumer(QUEUE)
    def handle(order: dict) -> None:  # type: ignore[type-arg] # as users write it
        raise raised

    outcome = deliver(handle, {})
    assert (outcome.reason, outcome.delay) == (Reason.RESCHEDULED, timedelta(seconds=60))


def test_a_retry_whose_reason_is_a_number():
    """It was meant as the delay."""
    with pytest.raises(TypeError, match=r"takes the reason first, as a text: write Retry\(after=60\)"):
        Retry(60)  # type: ignore[arg-type] # the point


def test_a_retry_whose_delay_is_none(caplog):
    """Comes back after the usual one, and the log says why."""

    @consumer(QUEUE)
    def handle(order: dict) -> None:  # type: ignore[type-arg] # as users write it
        raise Set(-1)

    outcome = deliver(handle, {})
    assert outcome.reason is Reason.RESCHEDULED
    assert outcome.delay is not None
    assert "Set.after cannot be negative" in caplog.text


class Card(BaseModel):
    number: SecretStr


class Cards(BaseModel):
    cards: dict[str, list[Card]]
    key: SecretBytes | None = None


class Sent(BaseModel):
    number: SecretStr

    @field_serializer("number", when_used="json")
    def reveal(self, number: SecretStr) -> str:
        return number.get_secret_value()


@dataclass
class Plain:
    card: Card


class Revealed(BaseModel):
    """Only as JSON."""

    number: SecretStr
    note: str | None = None

    @field_serializer("number", when_used="json")
    def reveal(self, number: SecretStr) -> str:
        return number.get_secret_value()


class HalfRevealed(Revealed):
    other: SecretStr


@pytest.mark.parametrize(
    "payload",
    [
        Card(number=SecretStr("4111")),
        Cards(cards={"a": [Card(number=SecretStr("4111"))]}),
        Cards(cards={}, key=SecretBytes(b"4111")),
        Plain(card=Card(number=SecretStr("4111"))),
        HalfRevealed(number=SecretStr("4111"), other=SecretStr("4111"), note="**********"),
    ],
)
def test_a_secret_is_not_sent_as_asterisks(payload):
    """Whoever means to send it says so in the model."""
    with (
        routed(lambda _: Outbox()),
        pytest.raises(ConfigError, match="make the field a str, or give it a field_serializer"),
    ):
        send(QUEUE, payload)


def test_a_secret_that_its_model_reveals_is_sent():
    """And ten asterisks are a text like any other."""
    assert dump(Sent(number=SecretStr("4111")))[0] == b'{"number":"4111"}'
    assert dump(Open(note="**********"))[0] == b'{"cents":0,"note":"**********"}'
    revealed = Revealed(number=SecretStr("4111"))
    assert dump(revealed)[0] == b'{"number":"4111","note":null}'
    assert dump(revealed.model_copy(update={"note": "**********"}))[0] == b'{"number":"4111","note":"**********"}'


RESULTS = [
    (int, 5, True),
    (int, True, False),
    (int, "5", False),
    (str, 5, False),
    (dict, [], False),
    (list, [1], True),
    (float, 5, True),
    (float, True, False),
    (bool, True, True),
    (object, True, True),
    (Any, {"a": 1}, True),
]


@pytest.mark.parametrize(("hint", "value", "kept"), RESULTS)
def test_a_kept_result_is_what_it_is_annotated_to_be(hint, value, kept, caplog):
    """Or left out, with a warning: the effect has happened either way."""

    def handle(order: dict) -> Any:  # type: ignore[type-arg] # as users write it
        return value

    handle.__annotations__["return"] = hint
    store = MemoryStore()
    bound = consumer(QUEUE, key="id", keep_result=True)(handle)
    assert deliver(bound, {"id": "a"}, store=store).reason is Reason.DONE
    assert deliver(bound, {"id": "a"}, store=store).result == (value if kept else None)
    assert ("peeklock.result_dropped" in caplog.text) is not kept
