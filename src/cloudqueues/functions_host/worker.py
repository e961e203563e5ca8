"""Worker process, from its start to its end."""

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
"""Program of the process. The worker's folder is removed from the path, so that the app cannot import its modules."""

HEADER = struct.Struct("!I")
CHUNK = 65536
MESSAGE_LENGTH = 128 * 1024 * 1024
"""Largest message between host and worker in bytes; a Service Bus message has 100 MB at most."""

ERROR_LINES = 30
"""Lines of a worker's output that the error about its failed start quotes."""

GRACE = 2.0
"""Seconds in which a process has to end once it was asked to."""


class WorkerEnded(Exception):
    """Process that ended before it answered."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """App, environment and port that a worker is started with."""

    app: Path
    environ: Mapping[str, str]
    settlement_port: int
    """Port of the settlement service, which libraries in the worker read from its arguments; 0 for none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """Answer of the worker to an invocation; `error` is empty after a success."""

    error: str = ""


EmitLine = Callable[[str, str], None]
"""Function that takes `stdout`, `stderr` or `log`, and a line."""


class Worker:
    """Running process, which belongs to one event loop."""

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
        """Start a process. Raises ConfigError, with the worker's words, for an app that the worker refuses."""
        ours, theirs = socket.socketpair()
        with theirs:
            process = await asyncio.create_subprocess_exec(
                *_arguments(command, theirs.fileno()),
                env=dict(command.environ),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.PIPE,
                pass_fds=(theirs.fileno(),),
                start_new_session=True,  # the host alone handles Ctrl-C, and a kill reaches the handlers' children
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
        metadata = await self._request("functionsMetadataRequest", {}, "functionMetadataResponse")
        self.functions = metadata["functionMetadataResults"]
        for function in self.functions:
            self._ids[function["name"]] = function["functionId"]
            load = {"functionId": function["functionId"]}
            _check((await self._request("functionLoadRequest", load, "functionLoadResponse"))["result"], app)

    async def invoke(self, function: str, key: str, content: Mapping[str, Any]) -> Answer:
        """Invoke a function. `key`: id of the invocation. Raises WorkerEnded."""
        if function not in self._ids:
            raise WorkerEnded(f"the worker has no function {function!r} any more: reload the host")
        request = {"invocationId": key, "functionId": self._ids[function], **content}
        answer = await self._request("invocationRequest", request, key)
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
        """Kill processes that the worker forked: they have its end of the channel, too, and would keep it open."""
        await self._process_exit(0.1)
        self.send_kill()

    async def _process_exit(self, every: float) -> None:
        """Wait for the end of the process. asyncio's own `wait` would wait for the end of its output, which children hold, too."""
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
        """Send SIGKILL to the process and to its handlers' children."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGKILL)

    async def stop(self) -> None:
        """Ask the process to end, and kill it if it does not."""
        if not self.ended.is_set():
            data = json.dumps({"workerTerminate": {}}).encode()
            self._writer.write(HEADER.pack(len(data)) + data)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._process_exit(0.005), GRACE)
        await self.kill()

    async def kill(self) -> None:
        """Kill the process, and wait until its output and the channel are closed."""
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
        raise ConfigError(f"the Functions worker refuses {app}: {error}\n{trace}")


def _error(result: Mapping[str, Any]) -> str:
    if result["status"] == "Success":
        return ""
    return str(result["exception"]["message"])
