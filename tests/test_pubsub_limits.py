"""Refusals of the doubles of Pub/Sub: at each limit, and one beyond it."""

from __future__ import annotations

from typing import Any

import pytest
from google.cloud import pubsub_v1

from tests.pubsub_limits import request_refused

Message = pubsub_v1.types.PubsubMessage


def why(*messages: Any) -> str:
    request = pubsub_v1.types.PublishRequest(topic="projects/p/topics/t", messages=messages)
    return request_refused(request.messages, len(pubsub_v1.types.PublishRequest.serialize(request)))


AT_A_LIMIT: dict[str, list[Any]] = {
    "messages": [Message(data=b"x")] * 1000,
    "bytes": [Message(data=b"x" * 9_999_969)],
    "attributes": [Message(attributes={f"k{n}": "" for n in range(100)})],
    "key": [Message(attributes={"k" * 256: "v"})],
    "value": [Message(attributes={"k": "\u00e4" * 512})],
    "ordering key": [Message(data=b"x", ordering_key="k" * 1024)] * 2,
}
BEYOND: dict[str, tuple[list[Any], str]] = {
    "messages": ([Message(data=b"x")] * 1001, "message_count is too large. You passed 1001"),
    "bytes": ([Message(data=b"x" * 9_999_970)], "request_size is too large. You passed 10000001"),
    "attributes": ([Message(attributes={f"k{n}": "" for n in range(101)})], "contains 101 attributes"),
    "key": ([Message(attributes={"k" * 257: "v"})], "has a key that is too long. The length is 257"),
    "value": ([Message(attributes={"k": "\u00e4" * 513})], "has a value that is too long. The length is 1026"),
    "ordering key": ([Message(data=b"x", ordering_key="k" * 1025)], "ordering key is too large"),
    "two keys": ([Message(data=b"x"), Message(ordering_key="k")], "all have the same ordering key"),
    "empty": ([Message()], "Each message must contain either non-empty data, or at least one attribute."),
    "reserved": ([Message(attributes={"goog": "v"})], "'goog' is reserved"),
    "no key": ([Message(attributes={"": "v"})], "'' is reserved or empty"),
}


@pytest.mark.parametrize("name", AT_A_LIMIT)
def test_what_is_taken(name: str) -> None:
    assert why(*AT_A_LIMIT[name]) == ""


@pytest.mark.parametrize("name", BEYOND)
def test_what_is_refused(name: str) -> None:
    messages, text = BEYOND[name]
    assert text in why(*messages)
