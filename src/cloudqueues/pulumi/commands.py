"""Runs of the `pulumi` command that can be stopped, from outside or by a time limit."""

from __future__ import annotations

import signal
import subprocess
import threading
from collections.abc import Callable, Mapping, Sequence

from cloudqueues.errors import CloudqueuesError


class EngineError(CloudqueuesError):
    """A command failed or was stopped; the message contains its output."""


class Commands:
    """Commands of one engine.

    A command is stopped after `longest` seconds: it is interrupted, so that it saves its state and unlocks the stack, and
    killed `grace` seconds later. `end_programs` ends the programs that run for it, which a command waits for.
    """

    def __init__(self, longest: float, grace: float, end_programs: Callable[[], None]) -> None:
        self._longest, self._grace, self._end_programs = longest, grace, end_programs
        self._running: set[subprocess.Popen[str]] = set()

    def run(self, command: Sequence[str], environment: Mapping[str, str], label: str) -> str:
        """Return the command's standard output. Raises EngineError when it fails, takes too long, or is stopped."""
        with subprocess.Popen(  # noqa: S603 (the command that was found)
            command,
            env=dict(environment),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        ) as process:
            self._running.add(process)
            try:
                output, errors, timed_out = self._output(process)
            finally:
                self._running.discard(process)
        if timed_out:
            raise EngineError(
                f"pulumi {label}: stopped after {self._longest:g} s, perhaps because the program waits for something that"
                f" never happens:\n{output}{errors}"
            )
        if process.returncode != 0:
            raise EngineError(f"pulumi {label}:\n{output}{errors}")
        return output

    def stop(self) -> None:
        """Interrupt all running commands without waiting for them, and kill them after the grace."""
        running = tuple(self._running)
        for process in running:
            self._interrupt(process)
        if running:
            killing = threading.Timer(self._grace, _kill, running)
            killing.daemon = True
            killing.start()

    def _output(self, process: subprocess.Popen[str]) -> tuple[str, str, bool]:
        """Return both outputs, and whether the time limit was reached. On an exception, the command is killed."""
        try:
            return (*process.communicate(timeout=self._longest), False)
        except subprocess.TimeoutExpired:
            self._interrupt(process)
        except BaseException:
            self._end_programs()
            process.kill()
            raise
        try:
            return (*process.communicate(timeout=self._grace), True)
        except subprocess.TimeoutExpired:
            process.kill()
            return (*process.communicate(), True)

    def _interrupt(self, process: subprocess.Popen[str]) -> None:
        process.send_signal(signal.SIGINT)
        self._end_programs()


def _kill(*processes: subprocess.Popen[str]) -> None:
    for process in processes:
        process.kill()
