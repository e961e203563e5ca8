"""Cloud Tasks emulator on this machine, for Google's own client.

    with CloudTasksEmulator() as tasks:
        client = tasks.client()
        queue = client.create_queue(parent="projects/p/locations/l", queue={"name": "projects/p/locations/l/queues/q"})
        client.create_task(parent=queue.name, task={"http_request": {"url": "http://127.0.0.1:8080/"}})
        tasks.wait_idle()
        tasks.dispatches[0].status

Its answers were recorded from the real service (tests/emulators/cloudtasks), and tasks are sent over real HTTP. Its clock
runs like the real one, and `advance` moves it: a back-off of an hour takes no longer than that call.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, Literal, Self, TypeVar

from cloudqueues.background import Background, BackgroundEmulator
from cloudqueues.cloudtasks.attempts import Dispatch
from cloudqueues.cloudtasks.emulation import Emulation
from cloudqueues.cloudtasks.http_client import Route
from cloudqueues.cloudtasks.rest import CERTS_PATH
from cloudqueues.cloudtasks.sdk import client_of, grpc, rest_client_of, tasks_v2
from cloudqueues.errors import CloudqueuesError
from cloudqueues.faults import NO_FAULTS, Faults

T = TypeVar("T")


class CloudTasksEmulator(BackgroundEmulator):
    """Emulator that runs from `start` to `stop`, or as a context manager.

    `port` serves gRPC, `http_port` REST and the certificates; 0 takes a free port.
    """

    name = "Cloud Tasks emulator"

    def __init__(
        self, *, host: str = "127.0.0.1", port: int = 0, http_port: int = 0, faults: Faults = NO_FAULTS
    ) -> None:
        self._host = host
        self._port = port
        self._http_port = http_port
        self._faults = faults
        self._emulation: Emulation | None = None
        self._clients: list[Any] = []

    def start(self) -> Self:
        """Start. Raises ConfigError when Google's client is not installed, OSError for a port that is taken."""
        if self._background is not None:
            raise CloudqueuesError("the Cloud Tasks emulator runs already")
        tasks_v2()
        grpc()
        return super().start()

    def _open(self, background: Background) -> None:
        self._emulation = None
        self._emulation = background.run(Emulation.open(self._host, self._port, self._http_port, self._faults))

    def _close(self, background: Background) -> None:
        """Break off the attempts under way."""
        for client in self._clients:
            client.transport.close()
        self._clients.clear()
        if self._emulation is not None:
            background.run(self._emulation.close())

    @property
    def address(self) -> str:
        """Address of gRPC, for `grpc.insecure_channel` and CLOUD_TASKS_EMULATOR_HOST."""
        return self._authority(self._running.port)

    @property
    def http_url(self) -> str:
        """Address of REST, for `https://cloudtasks.googleapis.com` in a client of your own."""
        return f"http://{self._authority(self._running.http_port)}"

    @property
    def certs_url(self) -> str:
        """URL of the public keys of the tasks' tokens, for google-auth and for `cloudtasks.bind(certs_url=...)`."""
        return f"{self.http_url}{CERTS_PATH}"

    def _authority(self, port: int) -> str:
        return f"[{self._host}]:{port}" if ":" in self._host else f"{self._host}:{port}"

    def client(self, transport: Literal["grpc", "rest"] = "grpc") -> Any:
        """Return a `google.cloud.tasks_v2.CloudTasksClient` of this emulator, which is closed by `stop`."""
        client = rest_client_of(self.http_url) if transport == "rest" else client_of(self.address)
        self._clients.append(client)
        return client

    @property
    def now(self) -> float:
        """Time of the emulator, in seconds since 1970."""
        return self._running.timeline.now()

    def advance(self, seconds: float) -> None:
        """Move the time forward: tasks that become due are sent, and attempts whose deadline passes are given up.

        Answers to these tasks may come after this returns.
        """
        self._call(lambda emulation: emulation.timeline.advance(seconds))

    @property
    def faults(self) -> Faults:
        """Injected faults; may be replaced while the emulator runs."""
        return self._running.dispatcher.faults

    @faults.setter
    def faults(self, faults: Faults) -> None:
        self._running.dispatcher.faults = faults

    @property
    def route(self) -> Route | None:
        """Function from a URL to the host and port to connect to, or to None for an unreachable target; without one, the
        URL's own. May be replaced while the emulator runs."""
        return self._running.dispatcher.route

    @route.setter
    def route(self, route: Route | None) -> None:
        self._running.dispatcher.route = route

    @property
    def dispatches(self) -> tuple[Dispatch, ...]:
        """Attempts in the order of their ends; the last 100,000."""
        if self._background is None:
            return tuple(self._running.dispatcher.dispatches)
        return self._call(lambda emulation: tuple(emulation.dispatcher.dispatches))

    def wait_idle(self, timeout: float = 10.0) -> None:
        """Wait, in real time, until no task is left in any queue that is not paused, and no attempt is under way.

        A task that is due later does not become due by itself: call `advance` first, or `drain`. Raises TimeoutError after so
        many seconds, with the tasks that are left.
        """
        self._wait(lambda emulation: emulation.until(emulation.is_idle), timeout)

    def wait_for(self, condition: Callable[[tuple[Dispatch, ...]], bool], timeout: float = 10.0) -> None:
        """Wait, in real time, until a condition holds for the attempts that ended. Raises TimeoutError."""

        def holds(emulation: Emulation) -> Coroutine[Any, Any, None]:
            return emulation.until(lambda: condition(tuple(emulation.dispatcher.dispatches)))

        self._wait(holds, timeout)

    def drain(self, timeout: float = 10.0) -> None:
        """Try every task of a running queue until it is finished, moving the time over each wait.

        Raises TimeoutError after so many seconds of real time.
        """
        self._wait(Emulation.drain, timeout)

    def _wait(self, work: Callable[[Emulation], Coroutine[Any, Any, None]], timeout: float) -> None:
        background, emulation = self._alive()

        async def wait() -> None:
            async with asyncio.timeout(timeout):
                await work(emulation)

        try:
            background.run(wait())
        except TimeoutError:
            left = self._call(lambda running: running.left())
            scheduled = self._call(lambda running: running.scheduled())
            raise TimeoutError(
                f"{len(left)} tasks are left after {timeout} s: {', '.join(left[:5])}{scheduled}"
            ) from None

    def _call(self, function: Callable[[Emulation], T]) -> T:
        background, emulation = self._alive()
        return background.call(function, emulation)

    def _alive(self) -> tuple[Background, Emulation]:
        return self._loop(), self._running

    @property
    def _running(self) -> Emulation:
        """Emulation, also after `stop`, when its dispatches can still be read."""
        if self._emulation is None:
            raise CloudqueuesError(
                "the Cloud Tasks emulator was not started: call start(), or use it in a with statement"
            )
        return self._emulation


__all__ = ["CloudTasksEmulator", "Dispatch"]
