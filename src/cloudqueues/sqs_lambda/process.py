"""Process of a function: AWS' runtime interface client, started as Lambda starts it."""

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
"""Variables of this machine that Python needs to start. No others are inherited: no credential, and no setting that would
be missing in the cloud."""

CREDENTIALS = {"AWS_ACCESS_KEY_ID": "testing", "AWS_SECRET_ACCESS_KEY": "testing", "AWS_SESSION_TOKEN": "testing"}
"""Credentials that only an emulator accepts."""

OUTPUT_SECONDS = 1.0
"""Seconds for which the output of a dead process is read on: a child process may keep it open for ever."""

LOGS = "_LAMBDA_TELEMETRY_LOG_FD"
"""Variable with the file descriptor of a pipe, to which the client writes log records with their lengths. On standard output
the client would join a record's last line to whatever is printed next.
https://github.com/aws/aws-lambda-python-runtime-interface-client/blob/main/awslambdaric/bootstrap.py"""

FRAME = 16
"""Bytes before each record: type, length, and time."""

_PIECE = 64 * 1024


class FunctionProcess:
    """Process and its process group. Each line that it prints or logs goes to `on_line`."""

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
        """Send SIGKILL to the process group; do nothing when the process is dead."""
        if self.alive:
            self._kill_group()
        await self.exited
        await asyncio.wait(self._reading, timeout=OUTPUT_SECONDS)
        for reading in self._reading:
            reading.cancel()
        for output in self._outputs:
            output.close()

    async def _end(self) -> int:
        """Wait for the process, kill its group, and return the exit status.

        The group is killed at once, since its number may be given to another process later.
        """
        status = await self._process.wait()
        self._kill_group()
        return status

    def _kill_group(self) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)


class Output:
    """Pipe for a process's output.

    With asyncio's own pipes, the end of a process is only noticed when every process that holds the pipe has ended, such as
    a daemon that it left behind.
    """

    def __init__(self) -> None:
        ours, self.theirs = os.pipe()
        self._shared = True
        self._ours = os.fdopen(ours, "rb", 0)
        self._transport: asyncio.ReadTransport | None = None
        self.reader = asyncio.StreamReader()

    async def listen(self) -> None:
        """Read from the pipe, once the process has inherited the writing end."""
        self._let_go()
        loop = asyncio.get_running_loop()
        self._transport, _ = await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(self.reader), self._ours)

    def _let_go(self) -> None:
        """Close the writing end, once."""
        if self._shared:
            self._shared = False
            os.close(self.theirs)

    def close(self) -> None:
        """Close both ends, also where no process was started and `listen` was not called."""
        self._let_go()
        if self._transport is None:
            self._ours.close()
        else:
            self._transport.close()


async def launch(
    handler: str, environ: Mapping[str, str], cwd: Path, on_line: Callable[[str], None]
) -> FunctionProcess:
    """Start a process. Raises OSError or ValueError where the machine refuses to."""
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
    """Read lines of any length. Carriage returns separate lines too: the client joins those of a traceback by them."""
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
    """Read the lines of each log record."""
    with contextlib.suppress(asyncio.IncompleteReadError):  # it ended, perhaps within a record
        while head := await stream.readexactly(FRAME):
            record = await stream.readexactly(int.from_bytes(head[4:8], "big"))
            for line in record.decode(errors="replace").splitlines():
                on_line(line[:MAX_LINE])


def environment(
    api: str, *, name: str, handler: str, memory: int, region: str, cwd: Path, endpoint: str
) -> dict[str, str]:
    """Return the variables that Lambda sets, and those that keep a function from AWS and from this user's credentials.

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
