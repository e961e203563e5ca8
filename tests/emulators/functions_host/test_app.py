"""Settings and triggers of an app, and the encoding of bodies."""

from __future__ import annotations

import json
import math
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from google.protobuf import timestamp_pb2, wrappers_pb2  # type: ignore[import-untyped] # its stubs are a package
from hypothesis import given
from hypothesis import strategies as st

from cloudqueues.errors import ConfigError
from cloudqueues.functions_host import trigger_input
from cloudqueues.functions_host.app_settings import is_disabled, local_settings
from cloudqueues.functions_host.protobuf import chunk, fields, number
from cloudqueues.functions_host.settings import HostOptions, host_options
from cloudqueues.functions_host.triggers import Trigger, triggers
from tests.emulators.functions_host.kit import BUNDLE, host_json

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
    (folder / "host.json").write_text(host_json(functionTimeout="00:05:00", extensions={"serviceBus": bus}))
    return folder


def test_host_json(tmp_path: Path) -> None:
    options = host_options(
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
    assert options == HostOptions(
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
    (tmp_path / "host.json").write_text(host_json(functionTimeout=None))
    options = host_options(tmp_path)
    assert options.calls % 16 == 0
    assert (options.prefetch, options.renew_for, options.sessions, options.batch) == (0, 300, 8, 1000)
    assert (options.session_idle, options.timeout, options.auto_complete) == (60, math.inf, True)


@pytest.mark.parametrize(
    ("text", "seconds"), [("00:05:00", 300), ("1.02:03:04.5", 93784.5), ("-00:00:00.0010000", math.inf)]
)
def test_time_spans(tmp_path: Path, text: str, seconds: float) -> None:
    assert host_options(write(tmp_path, sessionIdleTimeout=text)).session_idle == seconds


@pytest.mark.parametrize(
    ("setting", "value", "expected"),
    [
        *[("maxConcurrentCalls", value, "a whole number from 1") for value in ("4", 4.0, True, 0, -1)],
        ("maxConcurrentSessions", 0, "a whole number from 1"),
        ("maxConcurrentCallsPerSession", 0, "a whole number from 1"),
        ("maxMessageBatchSize", 0, "a whole number from 1"),
        ("minMessageBatchSize", "1", "a whole number from 1"),
        ("prefetchCount", -1, "a whole number from 0"),
        ("autoCompleteMessages", "false", "true or false"),
        ("sessionIdleTimeout", "soon", "a time span such as 00:05:00"),
        ("maxAutoLockRenewalDuration", 300, "a time span such as 00:05:00"),
    ],
)
def test_a_value_of_the_wrong_kind_is_refused_with_its_setting(
    tmp_path: Path, setting: str, value: object, expected: str
) -> None:
    text = f"host.json: extensions.serviceBus.{setting} is {value!r}; it must be {expected}"
    with pytest.raises(ConfigError, match=re.escape(text)):
        host_options(write(tmp_path, **{setting: value}))


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (None, "host.json is missing"),
        ("{", "is not JSON"),
        ("[]", "is not a JSON object"),
        ("{}", 'write "version": "2.0", as a string; it is None'),
        (json.dumps({"version": 2.0, "extensionBundle": BUNDLE}), "as a string; it is 2.0"),
        (json.dumps({"version": "1.0", "extensionBundle": BUNDLE}), "it is '1.0'"),
        (json.dumps({"version": "2.0"}), "there is no extensionBundle"),
        (host_json(extensions={"serviceBus": {"minMessageBatchSize": 2}}), "minMessageBatchSize is not emulated"),
    ],
)
def test_a_file_that_the_real_host_refuses_is_refused(tmp_path: Path, text: str | None, problem: str) -> None:
    if text is not None:
        (tmp_path / "host.json").write_text(text)
    with pytest.raises(ConfigError, match=re.escape(problem)):
        host_options(tmp_path)


def test_extensions_may_be_installed_without_a_bundle(tmp_path: Path) -> None:
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "extensions.json").write_text("{}")
    (tmp_path / "host.json").write_text(json.dumps({"version": "2.0"}))
    assert host_options(tmp_path).batch == 1000


def test_application_settings_override_host_json(tmp_path: Path) -> None:
    """Paths are matched whatever their case."""
    prefix = "AzureFunctionsJobHost__extensions__serviceBus__"
    environ = {
        f"{prefix}maxConcurrentCalls": "5",
        f"{prefix.lower()}AUTOCOMPLETEMESSAGES": "False",
        f"{prefix}sessionIdleTimeout": "00:00:10",
        "AzureFunctionsJobHost__functionTimeout": "00:01:00",
        "AzureFunctionsJobHost__logging__logLevel__default": "Information",
    }
    options = host_options(write(tmp_path, maxConcurrentCalls=3, autoCompleteMessages=True), environ)
    assert (options.calls, options.auto_complete, options.session_idle, options.timeout) == (5, False, 10, 60)


@pytest.mark.parametrize(
    ("setting", "value"), [("maxConcurrentCalls", "0"), ("maxConcurrentCalls", "²"), ("autoCompleteMessages", "no")]
)
def test_an_override_of_the_wrong_kind_is_refused_with_its_name(tmp_path: Path, setting: str, value: str) -> None:
    name = f"AzureFunctionsJobHost__extensions__serviceBus__{setting}"
    with pytest.raises(ConfigError, match=re.escape(f"{name} is {value!r}; it must be")):
        host_options(write(tmp_path), {name: value})


def test_local_settings(tmp_path: Path) -> None:
    assert local_settings(tmp_path) == {}
    file = tmp_path / "local.settings.json"
    file.write_text(json.dumps({"IsEncrypted": False}))
    assert local_settings(tmp_path) == {}
    file.write_text(json.dumps({"Values": {"A": "1"}, "Host": {"CORS": "*"}}), encoding="utf-8-sig")
    assert local_settings(tmp_path) == {"A": "1"}


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("{", "is not JSON"),
        ("[]", "is not a JSON object"),
        ('{"IsEncrypted": true, "Values": {"A": "x"}}', "is encrypted: run `func settings decrypt`"),
        ('{"Values": ["A"]}', "an object whose values are strings"),
        ('{"Values": {"A": {"B": "1"}}}', "an object whose values are strings"),
    ],
)
def test_local_settings_that_cannot_be_read(tmp_path: Path, text: str, problem: str) -> None:
    (tmp_path / "local.settings.json").write_text(text)
    with pytest.raises(ConfigError, match=re.escape(problem)):
        local_settings(tmp_path)


@pytest.mark.parametrize(
    ("name", "value", "disabled"),
    [
        ("AzureWebJobs.charge.Disabled", "true", True),
        ("azurewebjobs.Charge.disabled", "TRUE", True),
        ("AzureWebJobs.charge.Disabled", "1", True),
        ("AzureWebJobs.charge.Disabled", "false", False),
        ("AzureWebJobs.charge.Disabled", "0", False),
        ("AzureWebJobs.other.Disabled", "true", False),
    ],
)
def test_the_setting_that_disables_a_function(name: str, value: str, disabled: bool) -> None:
    assert is_disabled("charge", {name: value}) is disabled


def function(*bindings: dict[str, Any]) -> dict[str, Any]:
    return {"name": "f", "rawBindings": [json.dumps(binding) for binding in bindings]}


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
    service_bus, other_names = triggers(
        [function(BINDING), function({**topic, **more}), function({"type": "timerTrigger", "name": "t"})],
        HostOptions(),
        {"Q": "a", "R": "b"},
    )
    assert service_bus[0] == replace(trigger("UNDEFINED", many=False), queue="a-b")
    assert (service_bus[1].topic, service_bus[1].subscription, service_bus[1].queue) == ("t", "a", None)
    assert (service_bus[1].many, service_bus[1].sessions, service_bus[1].data_type, service_bus[1].auto_complete) == (
        True,
        True,
        "BINARY",
        False,
    )
    assert other_names == ["f"]


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
    timestamp = timestamp_pb2.Timestamp.FromString(number(1, seconds) + number(2, nanos))
    assert (timestamp.seconds, timestamp.nanos) == (seconds, nanos)


@given(data=st.binary(max_size=40))
def test_any_bytes_are_a_message_or_an_error(data: bytes) -> None:
    try:
        values = fields(data)
    except ValueError:
        return
    assert sum(map(len, values.values())) <= len(data)


def test_fields_of_other_kinds_are_passed_over() -> None:
    """Later versions of the service may add such fields."""
    other_kinds = number(9, 300) + bytes([8 << 3 | 1]) + bytes(8) + bytes([7 << 3 | 5]) + bytes(4)
    assert fields(other_kinds + chunk(1, b"a") + chunk(1, b"last")) == {1: b"last"}
