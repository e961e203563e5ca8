"""Public interface of the host: start, stop, state and errors."""

from __future__ import annotations

import importlib.util
import json
import threading
import time

import pytest
from azure.servicebus import ServiceBusClient, ServiceBusMessage

from cloudqueues.errors import ConfigError
from cloudqueues.functions_host import FunctionsHost, Invocation
from cloudqueues.functions_host.history import History
from tests.emulators.functions_host.kit import Stage, hosts_threads


def invocation(name: str = "m") -> Invocation:
    return Invocation(
        function="f",
        id="i",
        message_ids=(name,),
        attempt=1,
        outcome="ok",
        error="",
        duration=0.1,
        settled=("completed",),
    )


def test_it_is_started_and_stopped_as_often_as_one_likes(stage: Stage) -> None:
    host = stage.run("single")
    assert host.start() is host
    pid = host.worker_pid
    host.stop()
    host.stop()
    with pytest.raises(ConfigError, match="not running"):
        host.reload()
    host.start()
    assert host.worker_pid != pid
    stage.send("orders", "a")
    assert host.wait_count(1)[0].outcome == "ok"
    host.advance(1)
    assert (host.functions, host.worker_starts) == (("single",), 1)


def test_each_invocation_is_told_once_it_is_settled(stage: Stage) -> None:
    threads_before = hosts_threads()
    host = stage.make("single")
    reports: list[tuple[Invocation, list[bytes]]] = []
    host.on_invocation(lambda invocation: reports.append((invocation, stage.left("orders"))))
    host.on_invocation(lambda _: 1 // 0)
    host.on_line(lambda stream, line: 1 // 0)
    with host:
        stage.send("orders", "print x")
        host.wait_count(1)
    assert [invocation for invocation, _ in reports] == list(host.invocations)
    assert reports[0][1] == []
    assert hosts_threads() <= threads_before


def test_a_function_without_a_service_bus_trigger_is_named_and_left_out(stage: Stage) -> None:
    stage.place()
    code = stage.app / "function_app.py"
    timer = '\n@app.timer_trigger(arg_name="timer", schedule="0 0 * * * *")\ndef hourly(timer) -> None: ...\n'
    code.write_text(code.read_text() + timer)
    host = stage.run("single")
    assert host.functions == ("single",)
    assert any("'hourly' has no Service Bus trigger" in line for _, line in host.lines)


def test_a_disabled_function_is_named_and_not_run(stage: Stage) -> None:
    host = stage.run("single", "texts", environ={"AzureWebJobs.single.Disabled": "True"})
    assert host.functions == ("texts",)
    assert any("'single' is disabled by its application setting" in line for _, line in host.lines)


def test_values_of_local_settings_are_the_environment_of_a_local_run(stage: Stage) -> None:
    """They yield to explicit values, and are not read where `environ` is the whole environment."""
    stage.place()
    values = {
        "QUEUE": "wrong",
        "GREETING": "hello",
        "AzureFunctionsJobHost__extensions__serviceBus__prefetchCount": "-1",
    }
    (stage.app / "local.settings.json").write_text(json.dumps({"IsEncrypted": False, "Values": values}))
    with pytest.raises(ConfigError, match="serviceBus__prefetchCount is '-1'"):
        stage.make("single").start()
    del values["AzureFunctionsJobHost__extensions__serviceBus__prefetchCount"]
    (stage.app / "local.settings.json").write_text(json.dumps({"IsEncrypted": False, "Values": values}))
    code = stage.app / "function_app.py"
    code.write_text(
        code.read_text() + '\nprint("GREETING", os.environ.get("GREETING"), os.environ["QUEUE"], flush=True)\n'
    )
    host = stage.run("single")
    assert ("stdout", "GREETING hello orders") in host.lines
    stage.send("orders", "a")
    host.wait_count(1)
    (stage.app / "local.settings.json").write_text("unreadable")
    alone = FunctionsHost(
        stage.app, servicebus=stage.bus.connection_string, inherit=False, environ={"ONLY": "texts", "QUEUE": "orders"}
    )
    with alone:
        assert ("stdout", "GREETING None orders") in alone.lines


def test_a_connection_string_that_is_none(stage: Stage) -> None:
    stage.place()
    host = FunctionsHost(stage.app, servicebus="nonsense")
    with pytest.raises(ConfigError, match="not a connection string"):
        host.start()


def test_a_trigger_connects_where_its_app_setting_says(stage: Stage) -> None:
    right = stage.bus.connection_string
    host = stage.run("single", environ={"SB": right}, servicebus=right.replace(str(stage.bus.port), "1"))
    stage.send("orders", "a")
    host.wait_count(1)


def test_a_service_bus_that_is_away_for_a_while_is_found_again(stage: Stage) -> None:
    host = stage.make("single")
    stage.bus.stop()
    with host:
        end = time.monotonic() + 20
        while not any("ERROR single" in line for _, line in host.lines):
            assert time.monotonic() < end
            time.sleep(0.01)
        stage.bus.start()
        stage.send("orders", "a")
        host.wait_count(1)


def test_message_actions_need_grpc(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    def none(_: str) -> None:
        """Find no module, as if nothing were installed."""

    monkeypatch.setattr(importlib.util, "find_spec", none)
    host = stage.make(app="actions", environ={"EXTENSION": "stand-in"})
    with pytest.raises(ConfigError, match="pip install grpcio"):
        host.start()


def test_a_dead_letter_queue_is_a_queue(stage: Stage) -> None:
    """A trigger may name it by its path, as in .NET."""
    host = stage.run("single", environ={"QUEUE": "texts/$deadletterqueue"})
    stage.send("texts", ServiceBusMessage("a", message_id="m"))
    with (
        ServiceBusClient.from_connection_string(stage.bus.connection_string) as client,
        client.get_queue_receiver("texts") as receiver,
    ):
        (message,) = receiver.receive_messages(1, max_wait_time=5)
        receiver.dead_letter_message(message, reason="why")
    host.wait_count(1)
    assert stage.noted("single")[0]["seen"][0]["application_properties"]["DeadLetterReason"] == "why"


def test_waiting_ends_in_time() -> None:
    history = History()
    history.add(invocation())
    with pytest.raises(TimeoutError, match="1 invocations, the last Invocation"):
        history.wait(lambda ended: len(ended) > 1, 0.01)
    history.begin()
    with pytest.raises(TimeoutError, match="1 invocations run"):
        history.wait_idle(0.01)
    threading.Timer(0.05, history.end).start()
    history.wait_idle(10)
    history.wait(lambda ended: len(ended) == 1, 0)
