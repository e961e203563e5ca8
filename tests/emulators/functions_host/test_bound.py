"""Handlers of peeklock on the host, from the sender to the dead letter."""

from __future__ import annotations

import json
from pathlib import Path

from azure.servicebus import ServiceBusMessage

from cloudqueues.functions_host import FunctionsHost
from tests.emulators.functions_host.kit import Stage


def order(name: str) -> ServiceBusMessage:
    return ServiceBusMessage(json.dumps({"name": name}), message_id=f"id-{name}")


def runs(host: FunctionsHost) -> list[str]:
    return [line.removeprefix("run ") for stream, line in host.lines if stream == "stdout"]


def test_done_retried_with_its_delay_and_dead_lettered(stage: Stage, tmp_path: Path) -> None:
    stage.bus.add_queue("orders-dead")
    environ = {
        "PEEKLOCK_ORDERS_URL": "sb://127.0.0.1/orders",
        "PEEKLOCK_ORDERS_DEAD_LETTER": "sb://127.0.0.1/orders-dead",
        "PEEKLOCK_STORE": f"sqlite:///{tmp_path}/leases.db",
    }
    host = stage.run(app="bound", environ=environ)
    stage.send("orders", order("plain"), order("plain"), order("flaky"), order("declined"))
    host.wait_count(4)
    assert sorted(runs(host)) == ["declined 1", "flaky 1", "plain 1"]
    assert {invocation.outcome for invocation in host.invocations} == {"ok"}
    (dead_letter,) = stage.bus.messages("orders-dead")
    assert dead_letter.properties["peeklock-reason"] == "fatal"
    (copy,) = stage.bus.messages("orders")
    assert copy.state == "scheduled"
    stage.bus.advance(60)  # the longest that it may be; a longer one would end the next lock, too
    host.wait_count(5)
    assert "flaky 2" in runs(host)
    assert stage.left("orders") == []
