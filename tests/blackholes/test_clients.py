"""Clients by themselves, without an event that gives them up: their threads come back."""

from __future__ import annotations

import time
from contextlib import ExitStack
from typing import Any

import pytest
from azure.core.credentials import AzureSasCredential
from azure.servicebus import ServiceBusClient

from peeklock import SendError
from peeklock.message import Lineage
from peeklock.outgoing import OutgoingMessage
from peeklock.platforms.servicebus import sender as servicebus_send
from peeklock.platforms.servicebus.client import RESENDS, TRY_SECONDS, tls
from tests.blackholes.holes import Hole, Kind
from tests.blackholes.running import Case, run_all
from tests.blackholes.worlds import QUEUES, STORES, addresses

SECONDS = 20.0
"""Any client has given up by then: one call with its tries, and the pauses between them."""

PATIENT = ("drip", "dns")
"""Faults that no time-out of a client ends: each byte begins it anew, and the system's own resolver has its own. An
event is answered all the same, and so is a producer's `send`."""


def clients(doors: Any, scene: str, stack: ExitStack) -> dict[str, Case]:
    """A case for each store or queue, and each way not to answer."""
    prepared = {}
    for name, door in doors.items():
        for kind, (address, speaks_tls) in addresses(door, stack).items():
            if kind not in PATIENT and not (name == "servicebus" and kind == "silent"):
                environ = dict(door.environ(address, speaks_tls))
                prepared[f"{name}, {kind}"] = Case(
                    scene=scene, environ=environ, arguments={"url": door.url(address, speaks_tls)}
                )
    return prepared


@pytest.mark.slow
@pytest.mark.parametrize(("doors", "scene"), [(STORES, "ask_store"), (QUEUES, "ask_queue")], ids=["stores", "queues"])
def test_a_client_gives_up_by_itself(doors, scene):
    """So that hung threads do not add up."""
    with ExitStack() as stack:
        reports = run_all(clients(doors, scene, stack))
    assert {name: report for name, report in reports.items() if report.get("seconds", SECONDS) >= SECONDS} == {}
    assert {report["answer"] for report in reports.values()} == {"failed"}


@pytest.mark.slow
@pytest.mark.parametrize("kind", [Kind.SILENT, Kind.TLS, Kind.FULL])
def test_service_bus_gives_up_a_handshake(kind):
    """Which its SDK would wait for without an end."""
    with Hole(kind, "amqp") as hole:
        client = ServiceBusClient(
            "contoso.servicebus.windows.net",
            AzureSasCredential("SharedAccessSignature sr=x&sig=x&se=9999999999&skn=x"),
            custom_endpoint_address=f"sb://{hole.address}",
            try_timeout=TRY_SECONDS,
            retry_total=RESENDS,
            ssl_context=tls(),
        )
        sender = servicebus_send.ServiceBusSender("dead", lambda: client)
        began = time.monotonic()
        with pytest.raises(SendError):
            sender.send([OutgoingMessage(body=b"x", lineage=Lineage(id="x"))])
        assert time.monotonic() - began < SECONDS
