"""Resources of `pulumi up` on Google Cloud at work: the unmodified program by the real engine, its functions from the
real bundle, tasks by Google's client, and what an operator does when something goes wrong.

There is no emulator of Pub/Sub here: dead letters are lines of a file, and an operator's pull from the subscription is not shown.
Firestore is a SQLite database. Time is the Cloud Tasks emulator's, which is moved over each delay.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import requests

from cloudqueues.cloudtasks import oidc
from cloudqueues.pulumi import command
from cloudqueues.pulumi.engine import Engine
from handlers.orders.queue import ORDERS
from peeklock import send
from peeklock.dev.deployed.gcp import GcpRunner
from peeklock.dev.deployed.local_context import LocalContext
from peeklock.dev.events import EventListener
from peeklock.outgoing import OutgoingMessage
from peeklock.platforms.cloudtasks.address import from_url
from peeklock.platforms.cloudtasks.sender import headers_of, task_id
from peeklock.sending import file
from tests.infra.deployed.kit import PATIENCE, Heard, copied
from tests.support import ROOT, environment

pytestmark = [pytest.mark.servers, pytest.mark.timeout(600)]

NAME_IS_FREE = timedelta(days=7).total_seconds() + 1
"""After a queue was deleted.
https://cloud.google.com/tasks/docs/reference/rest/v2/projects.locations.queues/delete"""

CANARIES = {
    "AWS_SECRET_ACCESS_KEY": "canary-1",
    "AZURE_CLIENT_SECRET": "canary-2",
    "GOOGLE_APPLICATION_CREDENTIALS": "canary-3",
    "MY_OWN_SECRET": "canary-4",
}


class World:
    """One stack, `dev`; it ends with the `ExitStack`."""

    def __init__(self, folder: Path, stack: ExitStack) -> None:
        program, self.code = copied("gcp", folder)
        self.installed = installed(self.code, folder / "installed")
        self.state = folder / "state"
        self.state.mkdir()
        self.heard, self.lines = Heard(), list[str]()
        context = LocalContext(code=self.code, state=self.state, on_line=lambda _, line: self.lines.append(line))
        self.deployed = GcpRunner(context, program)
        stack.callback(self.deployed.close)
        ear = EventListener(self.heard.hear)
        stack.callback(ear.close)
        with environment(**CANARIES):
            self.engine = stack.enter_context(Engine(program, [self.deployed.open()], pulumi=command.find(root=ROOT)))
        self.base = {
            **self.engine.for_functions,
            "PYTHONPATH": str(self.installed),
            "PYTHONVERBOSE": "1",  # says where each module comes from
            "PEEKLOCK_FOLLOW": ear.address,
        }
        self.tasks = self.deployed._tasks
        self.client = self.tasks.client()
        self.engine.init("dev")
        self.up()

    def up(self) -> None:
        """Deploy and serve as `peeklock dev` does."""
        self.engine.up("dev")
        with environment(**CANARIES):
            self.deployed.serve(self.engine.resources("dev"), self.base)
        self.address = self.engine.outputs("dev")["environment"][ORDERS.variable("URL")]

    @property
    def orders(self) -> str:
        """The queue's whole name."""
        return from_url(self.address).queue

    @property
    def receipts(self) -> str:
        return self.orders.replace("orders", "receipts")

    def send(self, order_id: str, card: str = "tok_visa") -> None:
        order = {"order_id": order_id, "customer": "Ada", "cents": 4200, "card": card}
        with environment(PEEKLOCK_ORDERS_URL=self.address, **self.deployed.variables()):
            send(ORDERS, order, id=order_id)

    def dead_letters(self, order_id: str) -> list[OutgoingMessage]:
        address = self.functions()["shop-orders-dev"].changed["PEEKLOCK_ORDERS_DEAD_LETTER"]
        path = Path(urlsplit(address).path)
        return [message for message in file.read(str(path)) if message.lineage.id == order_id] if path.exists() else []

    def redrive(self, dead_letter: OutgoingMessage) -> None:
        """Send a dead letter again as it is, body and headers; the queue says where it goes and whose token it has."""
        http = {"url": from_url(self.address).target, "body": dead_letter.body, "headers": headers_of(dead_letter)}
        self.client.create_task(parent=self.orders, task={"http_request": http})

    def functions(self) -> dict[str, Any]:
        return {function.name: function for function in self.deployed.functions(self.engine.resources("dev"))}

    def mend(self) -> None:
        """Make what was deleted again: as soon as its name is free, the program is applied."""
        self.tasks.advance(NAME_IS_FREE)
        gone = self.engine.refresh("dev", "--target", "**gcp:cloudtasks/queue:Queue::shop-receipts")
        assert gone.of("delete") == ["shop-receipts"]
        self.up()


def installed(code: Path, packages: Path) -> Path:
    """Install from the bundle alone, as the platform's build does."""
    options = ["--requirement", "requirements.txt", "--no-index", "--find-links", "vendor", "--target", str(packages)]
    subprocess.run([sys.executable, "-m", "pip", "install", *options], cwd=code, check=True, capture_output=True)
    return packages


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with ExitStack() as stack:
        yield World(tmp_path_factory.mktemp("shop"), stack)


def test_done(world: World) -> None:
    """Sent to the address in the program's output and charged; its receipt goes to the other queue and is written there."""
    world.send("o-done")
    charged = world.heard.until(what="settled", message_id="o-done", reason="done")
    written = world.heard.until(what="settled", message_id="receipt-o-done", reason="done")
    assert (charged["queue"], written["queue"]) == ("orders", "receipts")
    world.tasks.wait_idle(PATIENCE)
    for queue, message_id in ((world.orders, "o-done"), (world.receipts, "receipt-o-done")):
        task = f"{queue}/tasks/{task_id(message_id)}"
        assert [dispatch.status for dispatch in world.tasks.dispatches if dispatch.task == task] == [204]


def test_retried(world: World) -> None:
    """It fails while the receipts' queue is gone, and succeeds when it is there again."""
    world.client.delete_queue(name=world.receipts)
    world.client.pause_queue(name=world.orders)  # or it is out of attempts before all is mended
    world.send("o-retried")
    world.client.run_task(name=f"{world.orders}/tasks/{task_id('o-retried')}")
    failed = world.heard.until(what="settled", message_id="o-retried", reason="retry")
    world.mend()
    world.client.resume_queue(name=world.orders)
    world.tasks.drain(PATIENCE)
    done = world.heard.until(what="settled", message_id="o-retried", reason="done")
    assert (failed["attempt"], done["attempt"]) == (1, 2)
    assert world.heard.until(what="settled", message_id="receipt-o-retried", reason="done")
    assert not world.dead_letters("o-retried")


def test_dead_lettered_and_redriven(world: World) -> None:
    """Out of attempts it becomes a dead letter, which says why; put back once its cause is mended, it runs again and is done."""
    world.client.delete_queue(name=world.receipts)
    world.send("o-poison")
    world.tasks.drain(PATIENCE)
    assert (
        world.heard.until(what="settled", message_id="o-poison", reason="exhausted")["attempt"] == ORDERS.max_attempts
    )
    (dead_letter,) = world.dead_letters("o-poison")
    assert dead_letter.attributes["peeklock-reason"] == "exhausted"
    assert "NotFound" in str(dead_letter.attributes["peeklock-detail"])
    world.mend()
    world.redrive(dead_letter)
    world.tasks.drain(PATIENCE)
    assert world.heard.until(what="settled", message_id="o-poison", reason="done")["attempt"] == 1
    assert world.heard.until(what="settled", message_id="receipt-o-poison", reason="done")
    assert len(world.dead_letters("o-poison")) == 1


def test_dead_lettered_at_once(world: World) -> None:
    """An order that can never succeed has one attempt."""
    world.send("o-declined", "tok_declined")
    world.heard.until(what="settled", message_id="o-declined", reason="fatal")
    (dead_letter,) = world.dead_letters("o-declined")
    about = dead_letter.attributes
    assert (about["peeklock-reason"], about["peeklock-detail"]) == ("fatal", "CardDeclined: insufficient funds")
    assert json.loads(dead_letter.body)["order_id"] == "o-declined"


def test_it_is_the_bundles_code(world: World) -> None:
    """The interpreter says so: handlers and peeklock are the bundle's, packages those that it brought along."""
    world.send("o-code")
    world.heard.until(what="settled", message_id="o-code", reason="done")
    said = (re.match(r"# (?:code object from |.* matches )(/[^']+\.py)\b", line) for line in world.lines)
    files = {Path(match[1]) for match in said if match}
    for module, folder in {
        "handlers/orders/charge.py": world.code,
        "handlers/orders/receipts.py": world.code,
        "peeklock/platforms/cloudtasks/bind.py": world.code,
        "flask/app.py": world.installed,
        "google/cloud/tasks_v2/__init__.py": world.installed,
        "functions_framework/__init__.py": world.installed,
    }.items():
        assert [file for file in files if str(file).endswith(f"/{module}")] == [folder / module]


@pytest.mark.skipif(sys.platform != "linux", reason="/proc is Linux's")
def test_the_environment_is_the_programs(world: World) -> None:
    """With what differs on this machine, and nothing of the user's."""
    world.send("o-environment")
    pid = world.heard.until(what="started", message_id="o-environment")["pid"]
    said = Path(f"/proc/{pid}/environ").read_text().strip("\0").split("\0")
    function = world.functions()["shop-orders-dev"]
    assert dict(line.split("=", 1) for line in said) == {
        **world.base,
        "PYTHONPATH": f"{world.code}:{world.installed}",
        **function.environment,
        **function.changed,
    }
    assert not [line for line in said if "canary" in line]


def test_only_the_queues_own_token_is_let_in(world: World) -> None:
    """The handler checks it as in the cloud, by the keys at Google's address."""
    function = world.functions()["shop-orders-dev"]
    (url,) = set(function.reached.values())
    caller, audience = (
        function.environment[f"PEEKLOCK_ORDERS_{setting}"] for setting in ("SERVICE_ACCOUNT", "AUDIENCE")
    )
    forged = [None, oidc.sign("ada@example.com", audience), oidc.sign(caller, "https://example.com")]
    for token in forged:
        headers = {"X-CloudTasks-TaskName": "o-forged"} | ({"Authorization": f"Bearer {token}"} if token else {})
        assert requests.post(url, json={}, headers=headers, timeout=PATIENCE).status_code == 401


def test_nothing_was_reached_for_and_nothing_drifts(world: World) -> None:
    """No request left this machine, and the emulator has what the program asked for, though tasks go elsewhere."""
    world.send("o-calm")
    world.heard.until(what="settled", message_id="o-calm", reason="done")
    assert world.engine.refresh("dev").steps == ()
    assert world.engine.up("dev").steps == ()
    assert world.engine.refused_addresses == ()
