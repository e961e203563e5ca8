"""Clients that share no code with the Python SDK: Microsoft's JavaScript SDK, and rhea for AMQP itself."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from cloudqueues.servicebus import ServiceBusEmulator
from tests.support import ROOT

pytestmark = pytest.mark.slow  # not for its time: `make test` is for machines without node, and `make slow` installs it

JS = Path(__file__).parent / "js"
MODULES = Path(os.environ.get("PEEKLOCK_NODE_MODULES", ROOT / "build" / "js" / "node_modules"))


def node(script: str, *arguments: str, trusted: Path | None = None, options: Sequence[str] = ()) -> Any:
    """Return what a Node script prints as JSON. `trusted`: a certificate that Node does not know; `options`: options of
    Node itself."""
    if not (MODULES / "@azure" / "service-bus").is_dir():
        pytest.fail(f"no @azure/service-bus in {MODULES}: run `make js` first (it needs node and npm)")
    environment = {**os.environ, "PEEKLOCK_NODE_MODULES": str(MODULES)}
    if trusted is not None:
        environment["NODE_EXTRA_CA_CERTS"] = str(trusted)
    command = ["node", *options, str(JS / script), *arguments]
    run = subprocess.run(command, capture_output=True, text=True, timeout=60, env=environment, check=False)
    assert run.returncode == 0, run.stderr
    return json.loads(run.stdout)


@pytest.fixture
def bus(bus: ServiceBusEmulator) -> ServiceBusEmulator:
    bus.add_queue("orders")
    bus.add_queue("grouped", requires_session=True)
    return bus


@pytest.mark.parametrize("transport", ["amqp", "websocket"])
def test_over_tls(transport: str) -> None:
    """Unmodified, but for the certificate that Node is told to trust."""
    with ServiceBusEmulator(tls=True) as bus:
        bus.add_queue("orders")
        connection = bus.connection_string.replace("127.0.0.1", "localhost")
        arguments = ("azure.mjs", connection, "batches", transport)
        answer = node(*arguments, trusted=bus.certificate, options=["--experimental-websocket"])
    assert answer == {"numbers": list(range(50)), "size": 200_000}


def azure(bus: ServiceBusEmulator, scenario: str) -> Any:
    return node("azure.mjs", bus.connection_string, scenario)


def test_settlement(bus: ServiceBusEmulator) -> None:
    answer = azure(bus, "settlement")
    assert answer["renewed"]
    again, dead_letter = answer["again"], answer["deadLetter"]
    assert (again["body"], again["count"], again["properties"]) == ({"body": "back"}, 1, {"tried": "once"})
    assert [(message["body"], message["state"]) for message in answer["left"]] == [({"body": "later"}, "deferred")]
    assert (dead_letter["id"], dead_letter["reason"], dead_letter["description"]) == ("dead letter", "why", "because")
    assert dead_letter["properties"]["more"] == 1
    assert bus.messages("orders") == bus.messages("orders/$DeadLetterQueue") == []


def test_batches_and_large_messages(bus: ServiceBusEmulator) -> None:
    assert azure(bus, "batches") == {"numbers": list(range(50)), "size": 200_000}


def test_streaming(bus: ServiceBusEmulator) -> None:
    assert azure(bus, "stream") == list(range(20))
    assert bus.messages("orders") == []


def test_schedules(bus: ServiceBusEmulator) -> None:
    answer = azure(bus, "schedule")
    assert [(message["body"], message["state"], message["number"]) for message in answer["peeked"]] == [
        ("b", "scheduled", answer["second"])
    ]
    bus.advance(3600)
    assert [message.state for message in bus.messages("orders")] == ["active"]


def test_sessions(bus: ServiceBusEmulator) -> None:
    assert azure(bus, "sessions") == {
        "session": "a",
        "state": {"step": 2},
        "taken": "SessionCannotBeLocked",
        "bodies": ["a1", "a2"],
        "other": "b1",
    }


def test_rules(bus: ServiceBusEmulator) -> None:
    bus.add_topic("events")
    bus.add_subscription("events", "some")
    answer = azure(bus, "rules")
    assert answer["before"] == [["$Default", {"sqlExpression": "1=1"}]]
    assert (answer["twice"], answer["gone"]) == ("MessagingEntityAlreadyExists", "MessagingEntityNotFound")
    (name, correlation), never = answer["after"]
    assert (name, correlation["subject"], correlation["applicationProperties"]) == (
        "created",
        "created",
        {"country": "pt"},
    )
    assert never == ["never", {"sqlExpression": "1=0"}]
    assert answer["body"] == "a"
    assert bus.messages("events/Subscriptions/some") == []


def test_rules_in_sql(bus: ServiceBusEmulator) -> None:
    bus.add_topic("events")
    bus.add_subscription("events", "some")
    answer = azure(bus, "sql")
    by_id, large, plain = answer["rules"]
    action = {"sqlExpression": "SET sys.Label = 'large'; REMOVE size"}
    assert large == ["large", {"sqlExpression": "size > 10"}, action]
    assert plain == ["plain", {"sqlExpression": "size < 10"}, {}]
    assert (by_id[0], by_id[1]["correlationId"], by_id[2]) == ("by id", "c", {"sqlExpression": "SET found = TRUE"})
    assert answer["bad"][0] == answer["worse"][0] == "GeneralError"
    assert "'size >', character 7" in answer["bad"][1]
    assert "'DROP', character 1" in answer["worse"][1]
    assert answer["found"] == [
        ["a", "large", {"RuleName": "large"}],
        ["b", None, {"size": 5}],
        ["b", None, {"size": 5, "found": True, "RuleName": "by id"}],
    ]


def test_error_conditions(bus: ServiceBusEmulator) -> None:
    assert azure(bus, "errors") == {
        "unknown": "MessagingEntityNotFound",
        "ungrouped": "GeneralError",
        "large": "MessageSizeExceeded",
        "twice": "MessageLockLost",
        "gone": "MessageNotFound",
    }


def test_links_as_rhea_has_them(bus: ServiceBusEmulator) -> None:
    bus.add_queue("q")
    assert node("rhea.mjs", str(bus.port)) == {
        "sent": [True, True, True],
        "received": [[3, 3, 0], [5000, 5000, 0], [5, 5, 0]],
        "drained": 0,
        "refused": "amqp:not-found",
    }
    assert bus.messages("q") == []
