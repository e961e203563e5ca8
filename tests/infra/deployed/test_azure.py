"""On what `pulumi up` made of infra/azure: the real handlers in their bundle, with the environment that the program gave.

Engine, program, bundle, worker and SDK are the real ones, and the program is as it is in the repository. Service Bus is the
emulator, whose clock is moved over the delays. Two things cannot be had on this machine: the store is a file instead of the
program's table, and connections are by a string instead of by a managed identity.
"""

from __future__ import annotations

import importlib.util
import json
import os
import sys
from contextlib import ExitStack, closing
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from azure.servicebus import ServiceBusClient, ServiceBusMessage

from cloudqueues.pulumi import command
from cloudqueues.pulumi.engine import Engine
from handlers.orders.queue import ORDERS
from peeklock.dev.deployed.azure import AzureRunner
from peeklock.dev.deployed.local_context import LocalContext
from peeklock.dev.events import EventListener
from tests.infra.deployed.kit import PATIENCE, Heard, copied
from tests.support import ROOT

pytestmark = [
    pytest.mark.servers,
    pytest.mark.timeout(600),
    pytest.mark.skipif(sys.platform != "linux", reason="bundles are for Linux, as the cloud's functions are"),
]

LATER = ORDERS.max_delay.total_seconds() + 1
"""Seconds that the queues' clock is moved: longer than any delay between two attempts."""

ATTEMPTS = ORDERS.max_attempts

PACKAGES = ".python_packages/lib/site-packages"
IMPORTED = (
    "handlers/orders/charge.py",
    "handlers/orders/receipts.py",
    "peeklock/platforms/servicebus/bind.py",
    f"{PACKAGES}/pydantic/main.py",
    f"{PACKAGES}/azure/functions/__init__.py",
    f"{PACKAGES}/azure/servicebus/__init__.py",
)
"""Files of the bundle. Python keeps the bytecode of what it imports beside it; a bundle has none."""


class Shop:
    """The program's stack `dev`, and its functions."""

    def __init__(self, folder, within):
        program, self.code = copied("azure", folder)
        (folder / "state").mkdir()
        self.heard = Heard()
        ear = within.enter_context(closing(EventListener(self.heard.hear)))
        context = LocalContext(code=self.code, state=folder / "state", on_line=lambda *_: None)
        self.deployed = within.enter_context(closing(AzureRunner(context, program)))
        self.engine = within.enter_context(Engine(program, [self.deployed.open()], pulumi=command.find(root=ROOT)))
        self.engine.init("dev")
        self.engine.up("dev")
        self.base = {**self.engine.for_functions, "PEEKLOCK_FOLLOW": ear.address}
        self.client = within.enter_context(
            ServiceBusClient.from_connection_string(self.deployed.variables()["PEEKLOCK_SERVICEBUS"])
        )

    def serve(self):
        self.deployed.serve(self.engine.resources("dev"), self.base)

    def stop(self):
        """The functions; the queues stay."""
        self.deployed.serve([], self.base)

    def order(self, name, card="tok_ok"):
        """Send an order to the address that the program gives to producers."""
        body = json.dumps({"order_id": name, "customer": "c", "cents": 500, "card": card})
        address = self.engine.outputs("dev")["environment"]["PEEKLOCK_ORDERS_URL"]
        with self.client.get_queue_sender(entity(address)) as sender:
            sender.send_messages(ServiceBusMessage(body, message_id=name))

    def dead_letters(self):
        return self.client.get_queue_receiver(entity(self.engine.outputs("dev")["orders"]["dead_letters"]))

    def is_done(self, name):
        """Wait until the order and its receipt are done, and return the function's report on the order."""
        self.heard.until(queue="receipts", message_id=f"receipt-{name}", reason="done")
        return self.heard.until(queue="orders", message_id=name, reason="done")


def entity(address):
    return urlsplit(address).path.strip("/")


def taken(receiver):
    (dead_letter,) = receiver.receive_messages(max_message_count=1, max_wait_time=PATIENCE)
    said = {name.decode(): value.decode() for name, value in dead_letter.application_properties.items()}
    return dead_letter, said


@pytest.fixture
def shop(tmp_path):
    with ExitStack() as within:
        yield Shop(tmp_path, within)


def test_messages_on_what_up_made(shop):
    """Handled, and the receipt consumed; dead-lettered with the reason. Then somebody deletes the receipts' queue: what
    fails meanwhile is retried or dead-lettered, and once `up` has put the queue back, retried and redriven."""
    is_as_the_program_says(shop)
    is_handled(shop)
    is_refused(shop, "declined")
    shop.deployed.emulator.entities.remove("receipts")
    is_given_up(shop, "poison")
    is_put_off(shop, "late")
    assert shop.engine.refresh("dev").of("delete") == ["shop-receipts"]
    assert shop.engine.up("dev").of("create") == ["shop-receipts"]
    shop.serve()
    is_tried_again(shop, "late")
    is_redriven(shop, "poison")
    nothing_is_left(shop)


def is_as_the_program_says(shop):
    orders, receipts = shop.deployed.functions(shop.engine.resources("dev"))
    assert (orders.entry, receipts.entry) == (
        "handlers.orders.charge.charge",
        "handlers.orders.receipts.write_receipts",
    )
    assert (orders.timeout, orders.batch, orders.concurrency) == (55, 1, 1)
    assert (receipts.timeout, receipts.batch, receipts.concurrency) == (125, 10, 1)


def is_handled(shop):
    """In processes with the program's environment, and with what is in the bundle."""
    assert not list(shop.code.rglob("__pycache__"))
    shop.serve()
    shop.order("plain")
    assert shop.is_done("plain")["attempt"] == 1
    assert [
        module for module in IMPORTED if not Path(importlib.util.cache_from_source(str(shop.code / module))).exists()
    ] == []
    messages = {"orders": "plain", "receipts": "receipt-plain"}
    functions = shop.deployed.functions(shop.engine.resources("dev"))
    for function, (queue, message) in zip(functions, messages.items(), strict=True):
        process = Path("/proc") / str(shop.heard.until(what="started", queue=queue, message_id=message)["pid"])
        assert environment(process) == expected(function, shop.code, shop.base)
        assert f"{shop.code}/{PACKAGES}/pydantic_core/" in (process / "maps").read_text()


def environment(process):
    """Return the environment that the process was started with."""
    return dict(line.split("=", 1) for line in (process / "environ").read_text().split("\0") if line)


def expected(function, code, base):
    return {
        **base,
        **function.environment,
        **function.changed,
        "PYTHONPATH": os.pathsep.join(filter(None, [str(code), f"{code}/{PACKAGES}", base.get("PYTHONPATH")])),
        "FUNCTIONS_WORKER_RUNTIME": "python",
        "PYTHONUNBUFFERED": "1",
    }


def is_refused(shop, name):
    """There is no second try."""
    shop.order(name, card="tok_declined")
    with shop.dead_letters() as receiver:
        dead_letter, said = taken(receiver)
        receiver.complete_message(dead_letter)
    assert (said["peeklock-reason"], said["peeklock-attempts"]) == ("fatal", "1")
    assert said["peeklock-detail"] == "CardDeclined: insufficient funds"


def is_given_up(shop, name):
    """After all of its attempts; between them the clock is moved."""
    shop.order(name)
    for attempt in range(1, ATTEMPTS):
        shop.heard.until(queue="orders", message_id=name, reason="retry", attempt=attempt)
        shop.deployed.emulator.advance(LATER)
    shop.heard.until(queue="orders", message_id=name, reason="exhausted", attempt=ATTEMPTS)


def is_put_off(shop, name):
    """Then the functions stop, so that it has attempts left when the cause is mended."""
    shop.order(name)
    shop.heard.until(queue="orders", message_id=name, reason="retry", attempt=1)
    shop.stop()


def is_tried_again(shop, name):
    """With what it was tried before still counted."""
    before = len(shop.heard.all(queue="orders", message_id=name, reason="retry"))
    assert shop.is_done(name)["attempt"] == before + 1


def is_redriven(shop, name):
    """Redrive as an operator does: receive, send to the queue as it is, complete. The message starts anew."""
    with shop.dead_letters() as receiver, shop.client.get_queue_sender("orders") as sender:
        dead_letter, said = taken(receiver)
        assert (said["peeklock-reason"], said["peeklock-attempts"]) == ("exhausted", str(ATTEMPTS))
        assert "SendError: receipts: " in said["peeklock-detail"]
        sender.send_messages(dead_letter)
        receiver.complete_message(dead_letter)
    assert shop.is_done(name)["attempt"] == 1


def nothing_is_left(shop):
    """No message in any queue, no receipt twice, and nobody asked for anything beyond this machine."""
    receipts = [settlement["message_id"] for settlement in shop.heard.all(queue="receipts", what="settled")]
    assert sorted(receipts) == ["receipt-late", "receipt-plain", "receipt-poison"]
    shop.stop()
    bus = shop.deployed.emulator
    for name in ("orders", "orders-dead-letters", "receipts", "receipts-dead-letters"):
        assert bus.messages(name) == []
    assert shop.engine.refused_addresses == ()
