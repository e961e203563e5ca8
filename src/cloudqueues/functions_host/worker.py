"""One worker process, from its start to its end."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import socket
import struct
import sys
import uuid
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cloudqueues.errors import ConfigError

BOOTSTRAP = """
import sys
sys.path.insert(0, sys.argv.pop(1))
from cloudqueues_worker.main import main
del sys.path[0]
main()
"""
"""The app does not see where the worker came from: that folder has modules which it does not know."""

HEADER = struct.Struct("!I")
CHUNK = 65536
MESSAGE_LENGTH = 128 * 1024 * 1024
"""Bytes of a message between host and worker, at most; a Service Bus message has 100 MB at most."""

ERROR_LINES = 30
"""Lines that an error quotes of a worker that did not start."""

GRACE = 2.0
"""Seconds that a process has to end by itself once it was asked to."""


class WorkerEnded(Exception):
    """The process ended before it answered."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """How to start a worker."""

    app: Path
    environ: Mapping[str, str]
    settlement_port: int
    """Of the settlement service, which libraries in the worker find in its arguments; 0 for none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What the worker said of an invocation; `error` is empty when it went well."""

    error: str = ""


EmitLine = Callable[[str, str], None]
"""Takes `stdout`, `stderr` or `log`, and a line."""


class Worker:
    """Belongs to one event loop."""

    def __init__(self, process: asyncio.subprocess.Process, channel: tuple[Any, Any], emit_line: EmitLine) -> None:
        self.functions: Sequence[Mapping[str, Any]] = ()
        self.ended = asyncio.Event()
        self._process = process
        self._reader, self._writer = channel
        self._emit_line = emit_line
        self._recent_lines: deque[str] = deque(maxlen=ERROR_LINES)
        self._pending: dict[str, asyncio.Future[dict[str, Any]]] = {}
        self._ids: dict[str, str] = {}
        self._tasks = [
            asyncio.create_task(self._kill_orphans()),
            asyncio.create_task(self._listen()),
            asyncio.create_task(self._read("stdout", process.stdout)),
            asyncio.create_task(self._read("stderr", process.stderr)),
        ]

    @classmethod
    async def start(cls, command: Command, emit_line: EmitLine) -> Worker:
        """Raises ConfigError for an app that the worker does not take, with the worker's own words."""
        ours, theirs = socket.socketpair()
        with theirs:
            process = await asyncio.create_subprocess_exec(
                *_arguments(command, theirs.fileno()),
                env=dict(command.environ),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.PIPE,
                pass_fds=(theirs.fileno(),),
                start_new_session=True,  # a Ctrl-C is the host's to handle, and a kill takes the handlers' children along
            )
        worker = cls(process, await asyncio.open_connection(sock=ours), emit_line)
        try:
            await worker._index(command.app)
        except WorkerEnded as exc:
            await worker.kill()
            said = "\n".join(worker._recent_lines)
            raise ConfigError(
                f"the Functions worker did not start ({exc}); it needs azure-functions and azure-functions-runtime\n{said}"
            ) from exc
        except BaseException:
            await worker.kill()
            raise
        return worker

    @property
    def pid(self) -> int:
        return self._process.pid

    async def _index(self, app: Path) -> None:
        answer = await self._request("workerInitRequest", {"functionAppDirectory": str(app)}, "workerInitResponse")
        _check(answer["result"], app)
        found = await self._request("functionsMetadataRequest", {}, "functionMetadataResponse")
        self.functions = found["functionMetadataResults"]
        for one in self.functions:
            self._ids[one["name"]] = one["functionId"]
            load = {"functionId": one["functionId"]}
            _check((await self._request("functionLoadRequest", load, "functionLoadResponse"))["result"], app)

    async def invoke(self, function: str, key: str, content: Mapping[str, Any]) -> Answer:
        """`key`: the invocation's id. Raises WorkerEnded."""
        if function not in self._ids:
            raise WorkerEnded(f"the worker has no function {function!r} any more: reload the host")
        asked = {"invocationId": key, "functionId": self._ids[function], **content}
        answer = await self._request("invocationRequest", asked, key)
        return Answer(error=_error(answer["result"]))

    async def _request(self, kind: str, content: Mapping[str, Any], key: str) -> dict[str, Any]:
        if self.ended.is_set():
            raise WorkerEnded(self._exit_reason())
        waiting = self._pending[key] = asyncio.get_running_loop().create_future()
        data = json.dumps({kind: content}).encode()
        self._writer.write(HEADER.pack(len(data)) + data)
        answer: dict[str, Any] = await waiting
        return answer

    async def _kill_orphans(self) -> None:
        """What it forked has its end of the channel, too, and would keep it open."""
        await self._process_exit(0.1)
        self.send_kill()

    async def _process_exit(self, every: float) -> None:
        """The process has ended, whoever still holds its output: for that end, too, asyncio's own `wait` waits."""
        while self._process.returncode is None:  # noqa: ASYNC110 - there is no other event
            await asyncio.sleep(every)

    async def _listen(self) -> None:
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):
            while True:
                (size,) = HEADER.unpack(await self._reader.readexactly(HEADER.size))
                ((kind, content),) = json.loads(await self._reader.readexactly(size)).items()
                self._receive(kind, content)
        await self._process_exit(0.005)
        self.ended.set()
        for waiting in self._pending.values():
            if not waiting.done():
                waiting.set_exception(WorkerEnded(self._exit_reason()))

    def _receive(self, kind: str, content: dict[str, Any]) -> None:
        if kind == "rpcLog":
            self._emit_line("log", f"{content['level']} {content['category']}: {content['message']}")
            return
        waiting = self._pending.pop(content["invocationId"] if kind == "invocationResponse" else kind, None)
        if waiting is not None and not waiting.done():
            waiting.set_result(content)

    def _exit_reason(self) -> str:
        code = self._process.returncode or 0
        return f"the worker was ended by signal {-code}" if code < 0 else f"the worker ended with code {code}"

    async def _read(self, name: str, stream: asyncio.StreamReader | None) -> None:
        assert stream is not None
        rest = b""
        while chunk := await stream.read(CHUNK):
            *lines, rest = (rest + chunk).split(b"\n")
            for line in lines:
                self._add_line(name, line)
        if rest:
            self._add_line(name, rest)

    def _add_line(self, name: str, line: bytes) -> None:
        text = line.decode(errors="replace")
        self._recent_lines.append(text)
        self._emit_line(name, text)

    def send_kill(self) -> None:
        """SIGKILL, also to what its handlers have started."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGKILL)

    async def stop(self) -> None:
        """Ask it to end, and kill it if it does not."""
        if not self.ended.is_set():
            data = json.dumps({"workerTerminate": {}}).encode()
            self._writer.write(HEADER.pack(len(data)) + data)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._process_exit(0.005), GRACE)
        await self.kill()

    async def kill(self) -> None:
        """Until nothing of it is left."""
        self.send_kill()
        _, late = await asyncio.wait(self._tasks, timeout=GRACE)
        for task in late:  # a process that has left the group holds the worker's output open
            task.cancel()
        await asyncio.gather(*late, return_exceptions=True)
        self._writer.close()
        with contextlib.suppress(OSError):
            await self._writer.wait_closed()


def _arguments(command: Command, descriptor: int) -> list[str]:
    own = ["--app", str(command.app), "--channel", str(descriptor), "--parent", str(os.getpid())]
    real = ["--host", "127.0.0.1", "--workerId", str(uuid.uuid4())]
    if command.settlement_port:
        real += ["--port", str(command.settlement_port)]
    real += ["--functions-grpc-max-message-length", str(MESSAGE_LENGTH)]
    return [sys.executable, "-P", "-c", BOOTSTRAP, str(Path(__file__).parent), *real, *own]


def _check(result: Mapping[str, Any], app: Path) -> None:
    error = _error(result)
    if error:
        trace = result["exception"]["stackTrace"]
        raise ConfigError(f"the Functions worker does not take {app}: {error}\n{trace}")


def _error(result: Mapping[str, Any]) -> str:
    if result["status"] == "Success":
        return ""
    return str(result["exception"]["message"])
