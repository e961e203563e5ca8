"""Small ends of the platforms that a planted fault could change unseen: certificates, links, and shares of the time."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from concurrent.futures import Future
from datetime import timedelta
from typing import Any

import pytest

from peeklock import SendError, sqs
from peeklock.binding.settling import ANSWER_SECONDS
from peeklock.engine.delivery import Delivery
from peeklock.message import Lineage
from peeklock.outcome import Disposition, Outcome, Reason
from peeklock.outgoing import OutgoingMessage
from peeklock.platforms.http_push import certificates, oidc
from peeklock.platforms.http_push.certificates import MOST_BYTES, Certificates, load
from peeklock.platforms.pubsub.sender import PubSubSender
from peeklock.testing import FakeClock
from tests.platforms.google import Endpoint, key_pair
from tests.platforms.test_servicebus_send import DOWN, Namespace, outgoing, sender


@pytest.fixture
def endpoint() -> Iterator[Endpoint]:
    served = Endpoint()
    yield served
    served.close()


# -- certificates


def test_what_an_abandoned_fetch_brings_is_ignored(endpoint):
    """Another one has answered meanwhile, and what is held is that one's."""
    held = Certificates(endpoint.url)
    assert "k1" in held.of("k1")
    abandoned: Future[None] = Future()
    held._end(abandoned, None, "certificates: ConnectionError")
    assert abandoned.done(), "whoever waits for it goes on"
    assert "k1" in held.of("unknown"), "a fetch that failed would say nothing of an unknown key"


def test_an_answer_that_is_too_long_is_none(endpoint):
    """Although all of it is certificates."""
    endpoint.answer = json.dumps({"k1": key_pair("k1")[1], "k2": f"-----BEGIN {'x' * MOST_BYTES}"}).encode()
    with pytest.raises(ValueError, match="too long"):
        load(endpoint.url)


def test_an_answer_that_takes_too_long_is_none(monkeypatch):
    """Each of its parts is in time, and the whole is not."""

    class Answer:
        def iter_content(self, _: int) -> Iterator[bytes]:
            yield b"{}"

    assert certificates._body(Answer()) == b"{}"
    monkeypatch.setattr(certificates, "READ_SECONDS", -1.0)
    with pytest.raises(ValueError, match="too long"):
        certificates._body(Answer())


def test_a_token_that_no_server_takes_is_not_looked_into():
    """No server takes a header of this length."""
    longest = "a" * oidc.MOST_CHARACTERS
    assert oidc._bearer(f"Bearer {longest}") == longest
    with pytest.raises(oidc.Rejected, match="over 16384 characters"):
        oidc._bearer(f"Bearer {longest}a")


# -- sending and settling


def test_a_link_of_service_bus_that_cannot_be_opened_is_closed():
    """The next sending opens another."""
    namespace = Namespace(open_1=DOWN)
    orders = sender(namespace)
    with pytest.raises(SendError):
        orders.send([outgoing("a")])
    assert [link.closed for link in namespace.links] == [True]
    assert orders.send([outgoing("a")]) == [None]
    assert [link.closed for link in namespace.links] == [True, False]


def test_a_publication_is_waited_for_until_the_end_of_all():
    """Each has what those before it have left."""

    class Confirmed(Future[None]):
        def result(self, timeout: float | None = None) -> None:
            asked.append(timeout)

    asked: list[float | None] = []
    outgoing_message = OutgoingMessage(body=b"{}", lineage=Lineage(id="m-1"))
    assert PubSubSender("projects/p/topics/t")._confirm(Confirmed(), outgoing_message, time.monotonic() - 1) is None
    assert asked == [0.0]


class Silent:
    """An SQS whose first call of a kind does not answer until the test is over."""

    def __init__(self) -> None:
        self.over = threading.Event()
        self.changed: list[int] = []

    def get_queue_url(self, **_: Any) -> dict[str, str]:
        return {"QueueUrl": "https://sqs.eu-west-1.amazonaws.com/123456789012/orders"}

    def change_message_visibility_batch(self, **asked: Any) -> dict[str, Any]:
        self.changed.append(len(asked["Entries"]))
        if len(self.changed) == 1:
            self.over.wait(30)
        return {}


def test_a_call_to_sqs_that_is_not_answered_leaves_the_next_its_share(caplog):
    """Eleven messages are two calls, and each has half of the time."""
    arn = "arn:aws:sqs:eu-west-1:123456789012:orders"
    records = [
        {
            "messageId": f"m-{n}",
            "receiptHandle": f"r-{n}",
            "body": "{}",
            "eventSource": "aws:sqs",
            "eventSourceARN": arn,
        }
        for n in range(11)
    ]
    settled = [Delivery(message) for message in sqs.receive({"Records": records}, "orders")]
    for delivery in settled:
        delivery.outcome = Outcome(
            disposition=Disposition.ABANDON, reason=Reason.RETRY, attempt=1, delay=timedelta(seconds=3)
        )
    client, clock = Silent(), FakeClock()
    result = sqs.settle(settled, client, clock, clock.monotonic() + ANSWER_SECONDS + 1.0)
    client.over.set()
    assert (len(result["batchItemFailures"]), client.changed) == (11, [10, 1])
    assert "no answer within 0.5 s" in caplog.text
