"""Functions that settle messages themselves over gRPC, with and without Microsoft's extension."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any, cast

import grpc
import pytest
from azure.servicebus import NEXT_AVAILABLE_SESSION, ServiceBusClient, ServiceBusMessage

from cloudqueues.background import Background
from cloudqueues.functions_host.locked_messages import LockedMessage, LockRegistry, MessageReceiver
from cloudqueues.functions_host.protobuf import chunk, fields
from cloudqueues.functions_host.settlement import SettlementServer
from tests.emulators.functions_host.kit import DEAD_LETTERS, Stage

EXTENSIONS = ["stand-in", "real"]
"""Microsoft's extension is a preview; the stand-in makes the same calls."""


@pytest.mark.parametrize("extension", EXTENSIONS)
def test_each_message_is_settled_as_its_function_says(stage: Stage, extension: str) -> None:
    """The host completes the other messages, single ones and those of a batch."""
    bodies = ["complete", "abandon", "deadletter", "plainly", "defer", "renew", "then fail", "twice"]
    host = stage.run(app="actions", environ={"EXTENSION": extension})
    assert set(host.functions) == {"single", "batch", "session"}
    stage.send("orders", *(ServiceBusMessage(body, message_id=body) for body in bodies))
    host.wait_count(len(bodies) + 1)
    host.wait_idle()
    settlement = {
        (invocation.message_ids[0], invocation.attempt): (invocation.outcome, invocation.settled[0])
        for invocation in host.invocations
    }
    assert settlement == {
        ("complete", 1): ("ok", "completed"),
        ("abandon", 1): ("ok", "abandoned"),
        ("abandon", 2): ("ok", "completed"),
        ("deadletter", 1): ("ok", "dead-lettered"),
        ("plainly", 1): ("ok", "dead-lettered"),
        ("defer", 1): ("ok", "deferred"),
        ("renew", 1): ("ok", "completed"),
        ("then fail", 1): ("failed", "completed"),
        ("twice", 1): ("failed", "completed"),
    }
    dead_letters = {message.message_id: message.properties for message in stage.bus.messages("orders" + DEAD_LETTERS)}
    assert dead_letters["deadletter"] == {"DeadLetterReason": "no money", "DeadLetterErrorDescription": "ü" * 200}
    assert dead_letters["plainly"].get("DeadLetterReason") in {None, ""}
    assert [(message.message_id, message.state) for message in stage.bus.messages("orders")] == [("defer", "deferred")]


@pytest.mark.parametrize("extension", EXTENSIONS)
def test_a_batch_is_settled_in_part(stage: Stage, extension: str) -> None:
    host = stage.run(app="actions", environ={"EXTENSION": extension})
    stage.send("batches", "complete", "deadletter", "else")
    assert host.wait_count(1)[0].settled == ("completed", "dead-lettered", "completed")
    assert stage.left("batches") == []


@pytest.mark.parametrize("extension", EXTENSIONS)
def test_sessions_have_a_state_and_can_be_given_back(stage: Stage, extension: str) -> None:
    host = stage.run(app="actions", environ={"EXTENSION": extension})
    bodies = ["state", "release", "a"]
    stage.send("sessions", *(ServiceBusMessage(body, session_id="s") for body in bodies))
    ended = host.wait_count(3)
    assert [(invocation.outcome, invocation.error) for invocation in ended] == [("ok", "")] * 3
    assert any(line.startswith("until") for stream, line in host.lines if stream == "stdout")
    host.stop()
    with (
        ServiceBusClient.from_connection_string(stage.bus.connection_string) as client,
        client.get_queue_receiver("sessions", session_id="s") as receiver,
    ):
        assert receiver.session.get_state() == b"half"


def test_a_session_that_is_given_back_makes_room_for_another(stage: Stage) -> None:
    """Long before it is idle for a minute."""
    host = stage.run(
        app="actions",
        environ={"EXTENSION": "stand-in"},
        bus={"maxConcurrentSessions": 1, "sessionIdleTimeout": "00:10:00"},
    )
    stage.send("sessions", ServiceBusMessage("release", session_id="s"))
    host.wait_count(1)
    stage.send("sessions", ServiceBusMessage("a", session_id="t"))
    host.wait_count(2, timeout=20)
    assert stage.left("sessions") == []


def test_the_locks_of_a_function_that_has_ended_are_not_found() -> None:
    """Neither its message nor its session can be settled then."""
    receiver = MessageReceiver(SimpleNamespace(session=SimpleNamespace(session_id="s")), session=True)
    running = {"t-1": LockedMessage(Locked(), receiver)}
    locks = LockRegistry()
    locks.add(running)
    assert (locks.message("t-1"), locks.session("s")) == (running["t-1"], receiver)
    locks.remove(running)
    assert (locks.message("t-1"), locks.session("s")) == (None, None)


class Settled:
    """Receiver that records settlements, or fails."""

    def __init__(self, error: Exception | None = None) -> None:
        self.error = error
        self.calls: list[str] = []

    async def complete_message(self, _: Any) -> None:
        self.calls.append("complete")
        if self.error is not None:
            raise self.error


class Locked:
    """Message with the attributes that settlement reads."""

    lock_token = "t-1"


@pytest.mark.parametrize(
    ("method", "request_", "code", "text"),
    [
        ("Complete", chunk(1, b"other"), grpc.StatusCode.FAILED_PRECONDITION, "LockToken other not found."),
        ("RenewSessionLock", chunk(1, b"s"), grpc.StatusCode.FAILED_PRECONDITION, "SessionId s not found."),
        ("Abandon", chunk(1, b"t-1") + chunk(2, b"map"), grpc.StatusCode.UNIMPLEMENTED, "propertiesToModify"),
        ("Complete", chunk(1, b"t-1"), grpc.StatusCode.UNKNOWN, "ValueError: lost"),
        ("Complete", b"\xff", grpc.StatusCode.UNKNOWN, "within a number"),
        ("Nothing", b"", grpc.StatusCode.UNIMPLEMENTED, ""),
    ],
)
def test_what_cannot_be_settled_is_told_by_its_status(method: str, request_: bytes, code: Any, text: str) -> None:
    background = Background("test")
    locks = LockRegistry()
    locks.add({"t-1": LockedMessage(Locked(), MessageReceiver(Settled(ValueError("lost")), session=False))})
    server = SettlementServer(background, lambda: locks, "127.0.0.1:0")
    try:
        with grpc.insecure_channel(f"127.0.0.1:{server.port}") as channel, pytest.raises(grpc.RpcError) as raised:
            channel.unary_unary(f"/Settlement/{method}")(request_)
        assert raised.value.code() is code
        assert text in str(raised.value.details())
    finally:
        server.stop()
        background.close()


def test_other_languages_read_a_sessions_state(stage: Stage) -> None:
    """Other languages' workers call the service by its name with a package; the Python extension lacks this method."""
    stage.send("sessions", ServiceBusMessage("a", session_id="s"))
    background = Background("test")
    locks = LockRegistry()
    server = SettlementServer(background, lambda: locks, "127.0.0.1:0")

    async def talk() -> None:
        from azure.servicebus.aio import ServiceBusClient as Client

        async with Client.from_connection_string(stage.bus.connection_string) as client:
            receiver = MessageReceiver(
                client.get_queue_receiver("sessions", session_id=NEXT_AVAILABLE_SESSION), session=True
            )
            await receiver.open()
            locks.add({"t": LockedMessage((await receiver.receive(1, 5))[0], receiver)})
            with grpc.insecure_channel(f"127.0.0.1:{server.port}") as channel:
                open_call = cast("Callable[[str], Any]", channel.unary_unary)
                call = open_call("/settlement.Settlement/GetSessionState")
                assert await background.loop.run_in_executor(None, call, chunk(1, b"s")) == chunk(1, b"")
                write = open_call("/settlement.Settlement/SetSessionState")
                await background.loop.run_in_executor(None, write, chunk(1, b"s") + chunk(2, b"x"))
                assert fields(await background.loop.run_in_executor(None, call, chunk(1, b"s"))) == {1: b"x"}
            await receiver.close()

    try:
        background.run(talk())
    finally:
        server.stop()
        background.close()
