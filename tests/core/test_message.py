"""Ids of messages, and what a lineage may contain."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from peeklock.message import Lineage, Message, is_text
from peeklock.outgoing import OutgoingMessage

SURROGATES = "\ud800", "a\udfffb", "\udc00\ud800"


@pytest.mark.parametrize("text", SURROGATES)
def test_half_a_surrogate_pair_is_no_id(text):
    """JSON lets it through, and no store could ever write it."""
    assert not is_text(text)
    assert Lineage.load(json.dumps({"id": text})) is None


@given(st.text(st.characters(exclude_categories=["Cs"]), min_size=1))
def test_any_other_text_is_one(text):
    """In any script, with any control character."""
    assert is_text(text)
    lineage = Lineage(id=text, generation=1, copy_number=2, attempts=3)
    assert Lineage.load(lineage.dump()) == lineage


@given(st.text(min_size=1), st.integers(0, 9), st.integers(0, 9))
def test_what_travels_in_an_attribute_is_ascii(text, generation, copy_number):
    """Since headers are."""
    assert Lineage(id=text, generation=generation, copy_number=copy_number).dump().isascii()


@pytest.mark.parametrize("sent", [None, "", "x", "1e3", 10**30, -(10**30), "9" * 5000, object()])
def test_a_time_that_is_none(sent):
    """Is not known, and no fault of the message."""
    assert Message(id="m", body=b"", queue="q", sent_ms=sent).sent_at is None


@pytest.mark.parametrize("sent", [0, "0", "00"])
def test_the_first_moment_is_a_time(sent):
    """Nothing is not zero."""
    sent_at = Message(id="m", body=b"", queue="q", sent_ms=sent).sent_at
    assert sent_at is not None
    assert sent_at.timestamp() == 0


LATER = {"copy": {"copy_number": 1}, "redriven": {"generation": 1}}


@pytest.mark.parametrize("kind", LATER)
def test_a_copy_and_a_redriven_message_come_from_the_subscription_of_the_first(kind):
    """Wherever they are delivered, since the record of their key is there."""
    lineage = Lineage(id="m", source="mail", **LATER[kind])
    assert Message(id="m", body=b"", queue="q", lineage=lineage).source == "mail"


def test_a_producer_names_no_subscription():
    assert Message(id="m", body=b"", queue="q", lineage=Lineage(id="m", source="mail")).source == ""


@pytest.mark.parametrize("kind", LATER)
def test_what_is_brought_back_is_no_new_message(kind):
    """It had its room when it was first sent, and what a queue took then it takes again."""
    assert OutgoingMessage(body=b"", lineage=Lineage(id="m")).is_new
    assert not OutgoingMessage(body=b"", lineage=Lineage(id="m", **LATER[kind])).is_new
