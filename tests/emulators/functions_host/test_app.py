"""What an app says about itself, and what its bodies become."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from google.protobuf import timestamp_pb2, wrappers_pb2  # type: ignore[import-untyped] # its stubs are a package
from hypothesis import given
from hypothesis import strategies as st

from cloudqueues.errors import ConfigError
from cloudqueues.functions_host import trigger_input
from cloudqueues.functions_host.protobuf import chunk, fields, number
from cloudqueues.functions_host.settings import HostOptions, Trigger, host_options, span, triggers

TRIGGER: dict[str, Any] = {
    "function": "f",
    "argument": "msg",
    "queue": "q",
    "topic": None,
    "subscription": None,
    "connection": "SB",
    "sessions": False,
    "auto_complete": True,
}


def trigger(data_type: str, *, many: bool) -> Trigger:
    return Trigger(data_type=data_type, many=many, **TRIGGER)


@pytest.mark.parametrize(
    ("data_type", "many", "bodies", "expected"),
    [
        ("BINARY", False, [b"\xff"], {"bytes": "/w=="}),
        ("BINARY", False, [b""], {"bytes": ""}),
        ("BINARY", True, [b"a", b""], {"collectionBytes": {"bytes": ["YQ==", ""]}}),
        ("UNDEFINED", False, [b"\xff{}"], {"string": "\ufffd{}"}),
        ("STRING", False, [b""], {"string": ""}),
        ("STRING", True, [b"a", b"", b"b"], {"collectionString": {"string": ["a", "b"]}}),
        ("UNDEFINED", True, [b'"text"', b"{ }", b"1"], {"json": '["text",{},1]'}),
    ],
)
def test_bodies_by_data_type_and_cardinality(
    data_type: str, many: bool, bodies: list[bytes], expected: dict[str, Any]
) -> None:
    assert trigger_input.encode(bodies, trigger(data_type, many=many)) == expected


def test_a_body_that_is_no_json_cannot_be_an_object() -> None:
    with pytest.raises(trigger_input.BindingError, match="use data_type BINARY"):
        trigger_input.encode([b"1", b"plain"], trigger("UNDEFINED", many=True))


@pytest.mark.parametrize(
    ("text", "changed"),
    [
        ('{"MESSAGEID": 5, "new": true}', {"MessageId": {"string": "5"}, "new": {"string": "True"}}),
        ('{"messageId": {"a": 1}}', {"MessageId": {"json": '{"a":1}'}}),
        ('{"messageId": null, "x": [1]}', {}),
        (' {"messageId": ""}\n', {"MessageId": {"string": ""}}),
        ("{broken}", {}),
        ('["messageId"]', {}),
        ("", {}),
    ],
)
def test_properties_of_a_text_body_over_metadata(text: str, changed: dict[str, Any]) -> None:
    before = {"MessageId": {"string": "true"}}
    assert trigger_input.merge_body_properties(before, {"string": text}) == {**before, **changed}
    assert trigger_input.merge_body_properties(before, {"bytes": text}) == before


def write(folder: Path, **bus: Any) -> Path:
    (folder / "host.json").write_text(json.dumps({"functionTimeout": "00:05:00", "extensions": {"serviceBus": bus}}))
    return folder


def test_host_json(tmp_path: Path) -> None:
    found = host_options(
        write(
            tmp_path,
            prefetchCount=5,
            autoCompleteMessages=False,
            maxAutoLockRenewalDuration="00:10:00",
            maxConcurrentCalls=3,
            maxConcurrentSessions=2,
            maxConcurrentCallsPerSession=4,
            maxMessageBatchSize=7,
            sessionIdleTimeout="00:00:09.5",
        )
    )
    assert found == HostOptions(
        prefetch=5,
        auto_complete=False,
        renew_for=600,
        calls=3,
        sessions=2,
        calls_per_session=4,
        batch=7,
        session_idle=9.5,
        timeout=300,
    )


def test_the_defaults_are_azures(tmp_path: Path) -> None:
    found = host_options(tmp_path)
    assert found.calls % 16 == 0
    assert (found.prefetch, found.renew_for, found.sessions, found.batch) == (0, 300, 8, 1000)
    assert (found.session_idle, found.timeout, found.auto_complete) == (60, math.inf, True)


@pytest.mark.parametrize(
    ("text", "seconds"), [(None, 7), ("00:05:00", 300), ("1.02:03:04.5", 93784.5), ("-00:00:00.0010000", math.inf)]
)
def test_time_spans(text: str | None, seconds: float) -> None:
    assert span(text, 7) == seconds


def test_what_cannot_be_read_or_is_not_emulated(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no time span"):
        host_options(write(tmp_path, sessionIdleTimeout="soon"))
    with pytest.raises(ConfigError, match="minMessageBatchSize"):
        host_options(write(tmp_path, minMessageBatchSize=2))
    (tmp_path / "host.json").write_text("{")
    with pytest.raises(ConfigError, match="no JSON"):
        host_options(tmp_path)


def function(*bindings: dict[str, Any]) -> dict[str, Any]:
    return {"name": "f", "rawBindings": [json.dumps(one) for one in bindings]}


BINDING = {"type": "serviceBusTrigger", "name": "msg", "connection": "SB", "queueName": "%Q%-%R%"}


def test_bindings() -> None:
    topic = {
        "type": "ServiceBusTrigger",
        "name": "m",
        "topicName": "t",
        "subscriptionName": "%Q%",
        "cardinality": "MANY",
    }
    more = {"isSessionsEnabled": True, "dataType": "binary", "autoCompleteMessages": False}
    found, others = triggers(
        [function(BINDING), function({**topic, **more}), function({"type": "timerTrigger", "name": "t"})],
        HostOptions(),
        {"Q": "a", "R": "b"},
    )
    assert found[0] == replace(trigger("UNDEFINED", many=False), queue="a-b")
    assert (found[1].topic, found[1].subscription, found[1].queue) == ("t", "a", None)
    assert (found[1].many, found[1].sessions, found[1].data_type, found[1].auto_complete) == (
        True,
        True,
        "BINARY",
        False,
    )
    assert others == ["f"]


@pytest.mark.parametrize(
    ("bindings", "text"),
    [
        ([BINDING], "app setting Q"),
        ([{**BINDING, "queueName": "q", "properties": {"SupportsDeferredBinding": True}}], "SDK types"),
        (
            [{**BINDING, "queueName": "q"}, {"type": "serviceBus", "name": "out"}],
            "bindings serviceBus are not emulated",
        ),
    ],
)
def test_bindings_that_are_refused(bindings: list[dict[str, Any]], text: str) -> None:
    with pytest.raises(ConfigError, match=text):
        triggers([function(*bindings)], HostOptions(), {})


@given(value=st.binary(max_size=300))
def test_protobufs_own_encoding_of_bytes(value: bytes) -> None:
    encoded = wrappers_pb2.BytesValue(value=value).SerializeToString()
    assert fields(encoded).get(1, b"") == value
    assert wrappers_pb2.BytesValue.FromString(chunk(1, value)).value == value


@given(seconds=st.integers(0, 2**40), nanos=st.integers(0, 999_999_999))
def test_protobufs_own_encoding_of_numbers(seconds: int, nanos: int) -> None:
    found = timestamp_pb2.Timestamp.FromString(number(1, seconds) + number(2, nanos))
    assert (found.seconds, found.nanos) == (seconds, nanos)


@given(data=st.binary(max_size=40))
def test_any_bytes_are_a_message_or_an_error(data: bytes) -> None:
    try:
        found = fields(data)
    except ValueError:
        return
    assert sum(map(len, found.values())) <= len(data)


def test_fields_of_other_kinds_are_passed_over() -> None:
    """A later version may have them."""
    others = number(9, 300) + bytes([8 << 3 | 1]) + bytes(8) + bytes([7 << 3 | 5]) + bytes(4)
    assert fields(others + chunk(1, b"a") + chunk(1, b"last")) == {1: b"last"}
