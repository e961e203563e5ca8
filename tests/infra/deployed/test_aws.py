"""On what `pulumi up` made of infra/aws: the real handlers in their bundle, with the environment that the program gave.

Engine, program, bundle, Lambda's runtime client and SDK are the real ones, and the program is as it is in the repository.
SQS and DynamoDB are moto's. It has no StartMessageMoveTask, so a dead letter is moved as that does it: received, sent to the queue
with what it carries, deleted.
"""

from __future__ import annotations

import json
import sys
import time
import urllib.request
from contextlib import ExitStack, closing
from pathlib import Path

import boto3
import pytest
from botocore.config import Config

from cloudqueues.pulumi import command
from cloudqueues.pulumi.engine import Engine
from peeklock.dev.deployed.aws import AwsRunner
from peeklock.dev.deployed.local_context import LocalContext
from peeklock.dev.events import EventListener
from tests.infra.deployed.kit import PATIENCE, Heard, copied
from tests.support import ROOT

pytestmark = [
    pytest.mark.servers,
    pytest.mark.timeout(600),
    pytest.mark.skipif(sys.platform != "linux", reason="bundles are for Linux, as the cloud's functions are"),
]

LIMITS = {"timeout": 305, "batch": 10, "concurrency": 2}
"""Settings of the function of orders, in the stack dev."""

MENDED = """

def mended(self, reference, cents, card):
    return f"ch-{reference}"


Gateway.charge = mended
"""
"""A release that charges every card."""


class Shop:
    """The program's stack `dev`, and its functions."""

    def __init__(self, folder: Path, within: ExitStack) -> None:
        program, self.code = copied("aws", folder)
        (folder / "state").mkdir()
        self.heard, self.lines = Heard(), []
        ear = within.enter_context(closing(EventListener(self.heard.hear)))
        context = LocalContext(code=self.code, state=folder / "state", on_line=lambda _, line: self.lines.append(line))
        self.deployed = within.enter_context(closing(AwsRunner(context, program)))
        cloud = self.deployed.open()
        # What moto holds is the process's, and other tests had it before.
        urllib.request.urlopen(
            f"{self.deployed.variables()['AWS_ENDPOINT_URL']}/moto-api/reset", b"", timeout=10
        ).close()
        self.engine = within.enter_context(Engine(program, [cloud], pulumi=command.find(root=ROOT)))
        self.engine.init("dev")
        self.engine.up("dev")
        self.base = {**self.engine.for_functions, "PEEKLOCK_FOLLOW": ear.address}
        self.variables = dict(self.deployed.variables())
        self.sqs = within.enter_context(closing(self.client("sqs")))

    def client(self, service):
        return boto3.client(
            service,
            endpoint_url=self.variables["AWS_ENDPOINT_URL"],
            region_name=self.variables["AWS_DEFAULT_REGION"],
            aws_access_key_id=self.variables["AWS_ACCESS_KEY_ID"],
            aws_secret_access_key=self.variables["AWS_SECRET_ACCESS_KEY"],
            config=Config(retries={"total_max_attempts": 1}),
        )

    def serve(self):
        self.deployed.serve(self.engine.resources("dev"), self.base)

    def order(self, name, card="tok_visa"):
        """Send an order to the address that the program gives to producers."""
        body = json.dumps({"order_id": name, "customer": "c", "cents": 500, "card": card})
        url = self.engine.outputs("dev")["environment"]["PEEKLOCK_ORDERS_URL"]
        return self.sqs.send_message(QueueUrl=url, MessageBody=body)["MessageId"]

    def is_done(self, message, name):
        """Wait until the order and its receipt are done, and return the report on the order."""
        self.heard.until(what="settled", queue="receipts", message_id=f"receipt-{name}", reason="done")
        return self.heard.until(what="settled", queue="orders", message_id=message, reason="done")

    def dead_letter(self):
        url = self.engine.outputs("dev")["orders"]["dead_letters"]
        response = self.sqs.receive_message(QueueUrl=url, MessageAttributeNames=["All"], WaitTimeSeconds=20)
        (dead_letter,) = response["Messages"]
        return url, dead_letter

    def held(self):
        """Messages in any queue, by its name."""
        messages_by_queue = {}
        for url in self.sqs.list_queues()["QueueUrls"]:
            counts = self.sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["All"])["Attributes"]
            held = sum(int(value) for name, value in counts.items() if name.startswith("ApproximateNumberOfMessages"))
            messages_by_queue[url.rpartition("/")[2].rpartition("-")[0]] = held
        return messages_by_queue


@pytest.fixture
def shop(tmp_path):
    with ExitStack() as within:
        yield Shop(tmp_path, within)


def test_messages_on_what_up_made(shop):
    """Handled, and the receipt consumed; dead-lettered with the reason. Somebody deletes the receipts' queue: what fails
    meanwhile is retried, once `up` has put it back. A release mends the cause of the dead letter, and it is redriven."""
    is_as_the_program_says(shop)
    is_handled(shop)
    declined = is_refused(shop)
    is_retried(shop)
    is_redriven(shop, declined)
    nothing_is_left(shop)


def is_as_the_program_says(shop):
    orders, receipts = shop.deployed.functions(shop.engine.resources("dev"))
    assert (orders.entry, receipts.entry) == (
        "handlers.aws_sqs.handler.handler",
        "handlers.aws_sqs.handler.receipts_handler",
    )
    assert {name: getattr(orders, name) for name in LIMITS} == LIMITS
    assert (receipts.timeout, receipts.batch, receipts.concurrency) == (105, 10, 2)


def is_handled(shop):
    """One invocation handles it, in a process with the program's environment, with what is in the bundle, and its own
    table."""
    shop.serve()
    message = shop.order("plain")
    assert shop.is_done(message, "plain")["attempt"] == 1
    assert len(shop.heard.all(what="started", queue="orders")) == 1
    process = Path("/proc") / str(shop.heard.until(what="started", queue="orders", message_id=message)["pid"])
    orders, _ = shop.deployed.functions(shop.engine.resources("dev"))
    environment = dict(line.split("=", 1) for line in (process / "environ").read_text().split("\0") if line)
    assert {**environment, **orders.environment, **orders.changed} == environment
    assert environment["PYTHONPATH"].split(":")[0] == str(shop.code)
    assert f"{shop.code}/pydantic_core/" in (process / "maps").read_text()
    table = orders.environment["PEEKLOCK_STORE"].removeprefix("dynamodb://")
    with closing(shop.client("dynamodb")) as dynamodb:
        assert dynamodb.scan(TableName=table)["Count"] == 2  # the order's key and the receipt's


def is_refused(shop):
    """There is no second try."""
    message = shop.order("declined", card="tok_declined")
    url, dead_letter = shop.dead_letter()
    said = {name: value["StringValue"] for name, value in dead_letter["MessageAttributes"].items()}
    assert (said["peeklock-reason"], said["peeklock-attempts"]) == ("fatal", "1")
    assert said["peeklock-detail"] == "CardDeclined: insufficient funds"
    shop.sqs.change_message_visibility(QueueUrl=url, ReceiptHandle=dead_letter["ReceiptHandle"], VisibilityTimeout=0)
    return message


def is_retried(shop):
    """Attempts before the change still count, and the functions get the new queue's address."""
    shop.sqs.delete_queue(QueueUrl=shop.engine.outputs("dev")["environment"]["PEEKLOCK_RECEIPTS_URL"])
    message = shop.order("late")
    shop.heard.until(what="settled", queue="orders", message_id=message, reason="retry", attempt=1)
    assert "shop-receipts" in shop.engine.refresh("dev").of("delete")
    assert "shop-receipts" in shop.engine.up("dev").of("create")
    shop.serve()
    assert shop.is_done(message, "late")["attempt"] == len(shop.heard.all(message_id=message, reason="retry")) + 1


def is_redriven(shop, message):
    """It starts anew, and is no duplicate of what was refused."""
    with (shop.code / "handlers/orders/gateway.py").open("a") as file:
        file.write(MENDED)
    shop.serve()
    url, dead_letter = shop.dead_letter()
    shop.sqs.send_message(
        QueueUrl=shop.engine.outputs("dev")["environment"]["PEEKLOCK_ORDERS_URL"],
        MessageBody=dead_letter["Body"],
        MessageAttributes=dead_letter["MessageAttributes"],
    )
    shop.sqs.delete_message(QueueUrl=url, ReceiptHandle=dead_letter["ReceiptHandle"])
    assert shop.is_done(message, "declined")["attempt"] == 1


def nothing_is_left(shop):
    """No message in any queue, no receipt twice, and nobody asked for anything beyond this machine."""
    receipts = [settlement["message_id"] for settlement in shop.heard.all(what="settled", queue="receipts")]
    assert sorted(receipts) == ["receipt-declined", "receipt-late", "receipt-plain"]
    until = time.monotonic() + PATIENCE
    while any(shop.held().values()) and time.monotonic() < until:
        time.sleep(0.05)  # Lambda deletes what is settled, and tells nobody
    assert shop.held() == dict.fromkeys(
        ("shop-orders", "shop-orders-dead-letters", "shop-receipts", "shop-receipts-dead-letters"), 0
    )
    assert shop.engine.refused_addresses == ()
