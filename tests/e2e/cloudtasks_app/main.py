"""A consumer whose messages say what goes wrong, bound for functions-framework."""

from __future__ import annotations

import json
import os
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from google.cloud import tasks_v2  # noqa: F401 - takes a second: once, and not in each worker

from peeklock import DeadLetter, Message, Queue, Retry, cloudtasks, consumer

ORDERS = Queue("orders", max_attempts=2, timeout=2, first_delay=0, max_delay=0)
FOLDER = Path(os.environ["E2E_FOLDER"])


class Declined(Exception):
    pass


class Ahead:
    """Clock that is ahead of the machine's by the seconds in a file, so that a test need not wait for a claim to
    end."""

    monotonic = staticmethod(time.monotonic)

    @staticmethod
    def now() -> datetime:
        return datetime.now(UTC) + timedelta(seconds=float((FOLDER / "ahead").read_text()))


def note(what: str, order: dict[str, Any], message: Message) -> None:
    line = {
        "what": what,
        "order": order["order_id"],
        "attempt": message.attempt,
        "delivery": message.delivery,
        "generation": message.effective_lineage.generation,
        "pid": os.getpid(),
    }
    with (FOLDER / "runs").open("a") as runs:
        runs.write(f"{json.dumps(line)}\n")


@consumer(ORDERS, key="order_id", fatal=(Declined,))
def handle(order: dict[str, Any], message: Message) -> None:
    note("begin", order, message)
    misdeed = MISDEEDS.get(order.get("do", ""))
    if misdeed is not None:
        misdeed(message)
    note("end", order, message)


def wait_at_gate(message: Message) -> None:
    """Until the test lets it go on: it holds the other end."""
    if message.attempt == 1:
        (FOLDER / "gate").read_bytes()


def fail_after_gate(message: Message) -> None:
    if message.attempt == 1:
        wait_at_gate(message)
        raise ValueError("too late")


def retry_in_an_hour(message: Message) -> None:
    if message.attempt == 1:
        raise Retry(after=3600)


def always_fail(message: Message) -> None:
    raise ValueError("no luck")


def decline(message: Message) -> None:
    if message.effective_lineage.generation == 0:
        raise Declined("card")


def refuse(message: Message) -> None:
    raise DeadLetter("never")


MISDEEDS = {
    "wait": wait_at_gate,
    "wait, then fail": fail_after_gate,
    "retry": retry_in_an_hour,
    "always fail": always_fail,
    "decline": decline,
    "refuse": refuse,
}

CERTS_URL = os.environ["E2E_CERTS_URL"]
patient = cloudtasks.bind(handle, certs_url=CERTS_URL, clock=Ahead())
hasty = cloudtasks.bind(handle, certs_url=CERTS_URL, clock=Ahead(), lock=1)
"""For a dispatch deadline in which no message can take its two seconds."""


def handle_http(request: Any) -> Any:
    return (hasty if (FOLDER / "hasty").exists() else patient)(request)
