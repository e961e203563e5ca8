"""Envelopes at their edges; the usual ones are in test_declaring.py."""

from __future__ import annotations

from typing import Any

import pytest

from peeklock import InvalidMessage, unwrap
from peeklock.decode import as_json
from peeklock.message import Message
from peeklock.sending import dump

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
    """As the format says; `None` has four letters of base64."""
    assert unwrap.cloudevents(told({**CLOUD, "data_base64": None, "data": {"n": 1}})).body == b'{"n":1}'


def test_headers_of_any_case():
    """HTTP does not tell them apart."""
    message = told(b"bare", **{f"CE-{name.title()}": value for name, value in CLOUD.items()})
    opened = unwrap.cloudevents(message)
    assert opened is not None
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
