"""The soak on Cloud Tasks and functions-framework."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from contextlib import ExitStack, suppress
from itertools import islice
from pathlib import Path
from typing import Any

from google.api_core.exceptions import AlreadyExists, ServiceUnavailable
from google.api_core.retry import Retry, if_exception_type

from cloudqueues.cloudtasks import CloudTasksEmulator
from cloudqueues.faults import NO_FAULTS, Faults
from peeklock import cloudtasks
from peeklock.dev.cloudtasks import Target, free_port
from peeklock.message import Lineage
from peeklock.outgoing import REASON, OutgoingMessage
from peeklock.sending import file
from tests.soak.plan import Planned
from tests.soak.run import APP, StoredDeadLetter

PLACE = "projects/soak/locations/local"
QUEUE = f"{PLACE}/queues/orders"
CALLER = "tasks@soak.iam.gserviceaccount.com"
LOCK_SECONDS = 4
"""For a message's two, peeklock's reserve of one, and a slow machine."""

WORKERS, THREADS = 2, 4
AGAIN = Retry(predicate=if_exception_type(ServiceUnavailable), initial=0.02, maximum=0.2, timeout=30)
"""Google's client leaves it to its caller whether a task is created once more."""


class Gcp:
    """A queue, a file of dead letters, and the function, whose workers die and are replaced."""

    groups = False

    def __init__(self, folder: Path, environ: Mapping[str, str], seed: int, *, fifo: bool) -> None:
        assert not fifo, "Cloud Tasks keeps no order"
        self._dead_letters = folder / "dead-letters.jsonl"
        self._taken = 0
        self._stack = ExitStack()
        faults = Faults(seed=seed, duplicate=0.02, reorder=0.02, delay=0.02, drop=0.02, refuse=0.01, lose_lock=0.01)
        self.emulator = self._stack.enter_context(CloudTasksEmulator(faults=faults))
        self._client = self.emulator.client()
        port = free_port()
        target = f"http://127.0.0.1:{port}/"
        address = f"cloudtasks://{QUEUE}?target={target}&service_account={CALLER}"
        self._sender = cloudtasks.from_url(address)
        self._make_queue()
        admitted = {"PEEKLOCK_ORDERS_AUDIENCE": target, "PEEKLOCK_ORDERS_SERVICE_ACCOUNT": CALLER}
        self._serve(port, {**environ, **admitted, "PEEKLOCK_ORDERS_URL": address})

    def _make_queue(self) -> None:
        settings: dict[str, Any] = {
            "name": QUEUE,
            "rate_limits": {"max_concurrent_dispatches": WORKERS * THREADS},
            "retry_config": {"max_attempts": -1, "min_backoff": {"nanos": 10**8}, "max_backoff": {"seconds": 1}},
        }
        with suppress(AlreadyExists):  # by a call whose answer was lost
            self._client.create_queue(parent=PLACE, queue=settings, retry=AGAIN)

    def _serve(self, port: int, environ: Mapping[str, str]) -> None:
        own = {
            "CLOUD_TASKS_EMULATOR_HOST": self.emulator.address,
            "PEEKLOCK_CERTS_URL": self.emulator.certs_url,
            "PEEKLOCK_ORDERS_DEAD_LETTER": f"file://{self._dead_letters}",
            "PEEKLOCK_ORDERS_LOCK": str(LOCK_SECONDS),
            "SOAK_LIMIT": str(LOCK_SECONDS),
            "WORKERS": str(WORKERS),
            "THREADS": str(THREADS),
        }
        source = str(APP / "soak_gcp.py")
        target = Target(source, "handle_http", port, {**os.environ, **environ, **own}, cwd=APP, on_line=lambda _: None)
        self._stack.callback(target.stop)
        target.start()

    def send(self, planned: Sequence[Planned]) -> None:
        for message in planned:
            self._create(
                OutgoingMessage(body=message.body, lineage=Lineage(id=message.key), content_type="application/json")
            )

    def _create(self, outgoing: OutgoingMessage) -> None:
        with suppress(AlreadyExists):  # by a call whose answer was lost
            self._client.create_task(parent=QUEUE, task=self._sender.task(outgoing), retry=AGAIN)

    def dead_letters(self) -> Sequence[StoredDeadLetter]:
        if not self._dead_letters.exists():
            return []
        outgoing_messages = list(islice(file.read(str(self._dead_letters)), self._taken, None))
        self._taken += len(outgoing_messages)
        return [
            StoredDeadLetter(str(outgoing.attributes.get(REASON, "")), outgoing.body, outgoing)
            for outgoing in outgoing_messages
        ]

    def redrive(self, dead_letter: StoredDeadLetter) -> None:
        self._create(dead_letter.raw)

    def calm(self) -> None:
        self.emulator.faults = NO_FAULTS

    def killed(self) -> int:
        """The worker is never killed for its time; who it answers has given up by then."""
        return 0

    def close(self) -> None:
        self._stack.close()
