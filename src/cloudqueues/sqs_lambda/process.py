"""The process that a function runs in: the real runtime interface client, started as Lambda starts it."""

from __future__ import annotations

import asyncio
import codecs
import contextlib
import os
import signal
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

MAX_LINE = 256 * 1024
"""Characters; a longer line is cut, as CloudWatch cuts it.
https://docs.aws.amazon.com/AmazonCloudWatch/latest/logs/cloudwatch_limits_cwl.html"""

INHERITED = (
    "PATH",
    "PYTHONPATH",
    "VIRTUAL_ENV",
    "LD_LIBRARY_PATH",
    "DYLD_LIBRARY_PATH",
    "TMPDIR",
    "SSL_CERT_FILE",
)
"""Of this machine's environment, what a Python needs to start. Nothing else: no credential, and no setting that would be
missing in the cloud."""

CREDENTIALS = {"AWS_ACCESS_KEY_ID": "testing", "AWS_SECRET_ACCESS_KEY": "testing", "AWS_SESSION_TOKEN": "testing"}
"""Good for nothing but an emulator."""

OUTPUT_SECONDS = 1.0
"""Seconds that a dead process's output is read on; a child of its own may keep it open for ever."""

LOGS = "_LAMBDA_TELEMETRY_LOG_FD"
"""Variable with the number of a pipe, which the client writes log records to, each with its length: on standard output it
would join a record's last line to whatever is printed next.
https://github.com/aws/aws-lambda-python-runtime-interface-client/blob/main/awslambdaric/bootstrap.py"""

FRAME = 16
"""Bytes before each record: type, length, and time."""

_PIECE = 64 * 1024


class FunctionProcess:
    """One process and its group. Each line that it prints or logs goes to `on_line`."""

    def __init__(
        self, process: asyncio.subprocess.Process, output: Output, logs: Output, on_line: Callable[[str], None]
    ) -> None:
        self._process = process
        self._outputs = output, logs
        self._reading = {
            asyncio.create_task(_read(output.reader, on_line)),
            asyncio.create_task(_read_records(logs.reader, on_line)),
        }
        self.exited = asyncio.create_task(self._end())

    @property
    def alive(self) -> bool:
        return not self.exited.done()

    async def kill(self) -> None:
        """SIGKILL to all of its group, as a sandbox is thrown away. Harmless for one that is dead."""
        if self.alive:
            self._kill_group()
        await self.exited
        await asyncio.wait(self._reading, timeout=OUTPUT_SECONDS)
        for reading in self._reading:
            reading.cancel()
        for output in self._outputs:
            output.close()

    async def _end(self) -> int:
        """Its status. What it started ends with it; later its number may be another's."""
        status = await self._process.wait()
        self._kill_group()
        return status

    def _kill_group(self) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)


class Output:
    """The reading end of a pipe of our own. With one of asyncio's, the end of a process is not told before the end of all
    that hold its pipe, such as a daemon that it left."""

    def __init__(self) -> None:
        ours, self.theirs = os.pipe()
        self._shared = True
        self._ours = os.fdopen(ours, "rb", 0)
        self._transport: asyncio.ReadTransport | None = None
        self.reader = asyncio.StreamReader()

    async def listen(self) -> None:
        """Once the process has its end."""
        self._let_go()
        loop = asyncio.get_running_loop()
        self._transport, _ = await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(self.reader), self._ours)

    def _let_go(self) -> None:
        """Close the end that the process has, once."""
        if self._shared:
            self._shared = False
            os.close(self.theirs)

    def close(self) -> None:
        """Also where there is no process, and where nobody listened yet."""
        self._let_go()
        if self._transport is None:
            self._ours.close()
        else:
            self._transport.close()


async def launch(
    handler: str, environ: Mapping[str, str], cwd: Path, on_line: Callable[[str], None]
) -> FunctionProcess:
    """Raises OSError or ValueError where the machine refuses to start it."""
    output, logs = Output(), Output()
    try:
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "awslambdaric",
            handler,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=output.theirs,
            stderr=output.theirs,
            env={**environ, LOGS: str(logs.theirs)},
            pass_fds=(logs.theirs,),
            cwd=cwd,
            start_new_session=True,
        )
    except BaseException:
        output.close()
        logs.close()
        raise
    try:
        await output.listen()
        await logs.listen()
    except BaseException:  # stopped while it starts: nobody else knows of it yet
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        await process.wait()
        output.close()
        logs.close()
        raise
    return FunctionProcess(process, output, logs, on_line)


async def _read(stream: asyncio.StreamReader, on_line: Callable[[str], None]) -> None:
    """Line by line, however long; a traceback, whose lines the client joins by carriage returns, too."""
    decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")
    rest = ""
    while piece := await stream.read(_PIECE):
        *lines, rest = (rest + decoder.decode(piece).replace("\r", "\n")).split("\n")
        if len(rest) > MAX_LINE:
            lines, rest = [*lines, rest], ""
        for line in lines:
            on_line(line[:MAX_LINE])
    if rest:
        on_line(rest)


async def _read_records(stream: asyncio.StreamReader, on_line: Callable[[str], None]) -> None:
    """The lines of each log record."""
    with contextlib.suppress(asyncio.IncompleteReadError):  # it ended, perhaps within a record
        while head := await stream.readexactly(FRAME):
            record = await stream.readexactly(int.from_bytes(head[4:8], "big"))
            for line in record.decode(errors="replace").splitlines():
                on_line(line[:MAX_LINE])


def environment(
    api: str, *, name: str, handler: str, memory: int, region: str, cwd: Path, endpoint: str
) -> dict[str, str]:
    """What Lambda sets, and what keeps a function from reaching AWS by the ways of this machine's user.

    https://docs.aws.amazon.com/lambda/latest/dg/configuration-envvars.html
    """
    inherited = {key: os.environ[key] for key in INHERITED if key in os.environ}
    return {
        **inherited,
        **CREDENTIALS,
        "AWS_LAMBDA_RUNTIME_API": api,
        "AWS_LAMBDA_FUNCTION_NAME": name,
        "AWS_LAMBDA_FUNCTION_VERSION": "$LATEST",
        "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": str(memory),
        "AWS_LAMBDA_INITIALIZATION_TYPE": "on-demand",
        "AWS_LAMBDA_LOG_GROUP_NAME": f"/aws/lambda/{name}",
        "AWS_LAMBDA_LOG_STREAM_NAME": f"local/[$LATEST]{api.rpartition(':')[2]}",
        "AWS_EXECUTION_ENV": f"AWS_Lambda_python{sys.version_info.major}.{sys.version_info.minor}",
        "AWS_REGION": region,
        "AWS_DEFAULT_REGION": region,
        "AWS_ENDPOINT_URL_SQS": endpoint,
        "AWS_CONFIG_FILE": os.devnull,
        "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
        "AWS_EC2_METADATA_DISABLED": "true",
        "LAMBDA_TASK_ROOT": str(cwd),
        "_HANDLER": handler,
        "LANG": "C.UTF-8",
        "TZ": ":UTC",
    }
