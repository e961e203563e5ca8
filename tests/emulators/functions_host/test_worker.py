"""Worker process: output, crashes and shutdown."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from azure.servicebus import ServiceBusMessage

from cloudqueues.errors import ConfigError
from cloudqueues.functions_host import FunctionsHost
from tests.emulators.functions_host.kit import Stage, host_json, hosts_threads


def alive(pid: int) -> bool:
    """Return True for a running process, which a zombie is not."""
    with contextlib.suppress(FileNotFoundError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    return False


def gone(pid: int, within: float = 10) -> bool:
    end = time.monotonic() + within
    while alive(pid) and time.monotonic() < end:
        time.sleep(0.01)
    return not alive(pid)


class Heard:
    """Records the worker's lines, and waits for one."""

    def __init__(self, host: FunctionsHost) -> None:
        self.lines: list[tuple[str, str]] = []
        self._changed = threading.Condition()
        host.on_line(self._hear)

    def _hear(self, stream: str, line: str) -> None:
        with self._changed:
            self.lines.append((stream, line))
            self._changed.notify_all()

    def wait(self, text: str) -> str:
        """Wait for a line that begins with a text, and return it."""

        def found() -> str | None:
            return next((line for _, line in self.lines if line.startswith(text)), None)

        with self._changed:
            assert self._changed.wait_for(found, 20), self.lines
            line = found()
            assert line is not None
            return line


def test_what_a_function_prints_and_logs_is_handed_on(stage: Stage) -> None:
    host = stage.make("single")
    heard = Heard(host)
    with host:
        stage.send("orders", "print hello", "fail")
        host.wait_count(2)
    assert ("stdout", "hello") in heard.lines
    assert ("log", "INFO shop: logged hello") in heard.lines
    assert set(heard.lines) >= set(host.lines)


def test_an_app_that_does_not_import_is_refused_in_its_own_words(stage: Stage) -> None:
    stage.place(function_app__py="import nothing_of_this_name\n")
    with pytest.raises(ConfigError, match="nothing_of_this_name"):
        stage.make().start()
    stage.host.stop()
    assert stage.host.functions == ()


def test_a_worker_that_does_not_even_start_says_why(stage: Stage) -> None:
    stage.place()
    (stage.app / "azure_functions_runtime.py").write_text("raise ImportError('not installed, say')\n")
    with pytest.raises(ConfigError, match=r"(?s)needs azure-functions and azure-functions-runtime.*not installed, say"):
        stage.make("single").start()
    with pytest.raises(ConfigError, match=r"function_app\.py is missing"):
        FunctionsHost(stage.app.parent, servicebus=stage.bus.connection_string).start()


def test_a_reload_takes_the_code_that_is_there(stage: Stage) -> None:
    """Broken code is refused until it is repaired; nothing is received meanwhile."""
    host = stage.run("single")
    code = stage.app / "function_app.py"
    good = code.read_text()
    code.write_text(good.replace('note("single"', 'note("renamed"'))
    host.reload()
    stage.send("orders", "a")
    host.wait_count(1)
    assert len(stage.noted("renamed")) == 1
    code.write_text("def broken(:\n")
    with pytest.raises(ConfigError, match="SyntaxError"):
        host.reload()
    stage.send("orders", "b")
    with pytest.raises(ConfigError, match="reload"):
        _ = host.worker_pid
    code.write_text(good)
    host.reload()
    host.wait_count(2)
    assert [note["seen"][0]["body"] for note in stage.noted("single")] == [b"b".hex()]


@pytest.mark.parametrize("verb", ["exit", "fork"])
def test_a_worker_that_ends_is_replaced_and_its_messages_come_back(stage: Stage, verb: str) -> None:
    """A process that the worker forked does not prevent it."""
    host = stage.run("single")
    first = host.worker_pid
    stage.send("orders", verb)
    host.wait_count(3)
    ended = host.invocations
    assert [(invocation.outcome, invocation.error, invocation.settled) for invocation in ended] == [
        ("killed", "the worker ended with code 3", ("abandoned",))
    ] * 3
    stage.send("orders", "a")
    assert host.wait_count(4)[-1].outcome == "ok"
    assert host.worker_pid != first
    assert host.worker_starts == 4
    assert gone(first)


def test_a_kill_takes_what_a_handler_has_started_along(stage: Stage) -> None:
    host = stage.run("single", bus={"maxConcurrentCalls": 1})
    heard = Heard(host)
    stage.send("orders", "child")
    child = int(heard.wait("child ").split()[1])
    assert alive(child)
    host.kill()
    assert gone(child)
    assert host.wait_count(1)[0].error == "the worker was ended by signal 9"


def test_a_stop_ends_what_runs_after_its_grace(stage: Stage) -> None:
    threads_before = hosts_threads()
    host = stage.run("single", grace=0.1)
    heard = Heard(host)
    stage.send("orders", "child")
    child = int(heard.wait("child ").split()[1])
    worker = host.worker_pid
    host.stop()
    host.stop()
    assert gone(worker)
    assert gone(child)
    assert [(invocation.outcome, invocation.settled) for invocation in host.invocations] == [("killed", ("abandoned",))]
    assert [message.delivery_count for message in stage.bus.messages("orders")] == [1]
    assert hosts_threads() <= threads_before


def test_a_stop_waits_for_what_ends_in_time(stage: Stage) -> None:
    host = stage.run("single")
    stage.send("orders", "sleep 0.3")
    stage.until_noted("single")
    host.stop()
    assert [(invocation.outcome, invocation.settled) for invocation in host.invocations] == [("ok", ("completed",))]


PARENT = """
import sys
from cloudqueues.functions_host import FunctionsHost

host = FunctionsHost(sys.argv[1], servicebus=sys.argv[2], environ={"ONLY": "single", "QUEUE": "orders", "NOTES": sys.argv[3]})
host.on_line(lambda stream, line: print(line, flush=True))
host.start()
print("worker", host.worker_pid, flush=True)
sys.stdin.read()
"""


def test_nothing_is_left_when_the_host_itself_is_killed(stage: Stage) -> None:
    """The worker is killed with it, in the middle of a function."""
    stage.place()
    arguments = [sys.executable, "-c", PARENT, str(stage.app), stage.bus.connection_string, str(stage.notes)]
    with subprocess.Popen(arguments, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        worker = int(next(line for line in parent.stdout if line.startswith("worker ")).split()[1])
        stage.send("orders", ServiceBusMessage("sleep 600"))
        stage.until_noted("single")
        assert alive(worker)
        os.kill(parent.pid, signal.SIGKILL)
        assert gone(worker)


def test_a_function_that_runs_for_too_long_is_ended_by_the_host(stage: Stage) -> None:
    stage.place(host__json=host_json(functionTimeout="00:05:00"))
    host = stage.run("single")
    stage.send("orders", "sleep 600")
    stage.until_noted("single")
    host.advance(301)
    assert host.wait_count(1)[0].outcome == "killed"


def test_the_time_limit_of_a_function_ends_with_it(stage: Stage) -> None:
    """Otherwise it would kill the worker under a later message."""
    stage.place(host__json=host_json(functionTimeout="00:05:00"))
    host = stage.run("single")
    stage.send("orders", "a")
    host.wait_count(1)
    host.advance(301)
    stage.send("orders", "b")
    assert host.wait_count(2)[1].outcome == "ok"
    assert host.worker_starts == 1
