"""Commands that take too long, are stopped or leave children, without the engine: a script stands for `pulumi`."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading

import pytest

from cloudqueues.pulumi.commands import Commands, EngineError
from cloudqueues.pulumi.language import Host

pytestmark = pytest.mark.timeout(60)

WAITING = "import signal, sys; print('begun', flush=True); signal.pause()"
DEAF = f"import signal; signal.signal(signal.SIGINT, signal.SIG_IGN); {WAITING}"


def python(code):
    return [sys.executable, "-c", code]


@pytest.fixture
def ended():
    return []


def test_the_output_of_a_command(ended):
    commands = Commands(30, 1, lambda: ended.append(1))
    assert commands.run(python("print('done')"), os.environ, "up") == "done\n"
    with pytest.raises(EngineError, match=r"(?s)^pulumi up:\nout\n.*oops"):
        commands.run(python("print('out'); import sys; sys.exit('oops')"), os.environ, "up")
    assert ended == []


@pytest.mark.parametrize("code", [WAITING, DEAF])
def test_a_command_that_takes_too_long(ended, code):
    """It is interrupted with its programs, then killed; the error says so, and has what was printed."""
    commands = Commands(2, 0.5, lambda: ended.append(1))
    with pytest.raises(EngineError, match=r"(?s)^pulumi up: stopped after 2 s, .*\nbegun"):
        commands.run(python(code), os.environ, "up")
    assert ended == [1]


@pytest.mark.parametrize("code", [WAITING, DEAF])
def test_a_command_that_is_stopped(tmp_path, ended, code):
    """From another thread, as soon as it has begun."""
    begun = tmp_path / "begun"
    os.mkfifo(begun)
    commands = Commands(30, 0.5, lambda: ended.append(1))

    def stop():
        begun.read_bytes()
        commands.stop()

    stopping = threading.Thread(target=stop)
    stopping.start()
    command = python(code.replace("print('begun', flush=True)", f"open({str(begun)!r}, 'w').close()"))
    with pytest.raises(EngineError, match=r"^pulumi up:"):
        commands.run(command, os.environ, "up")
    stopping.join()
    assert ended == [1]


def test_nothing_is_stopped_where_nothing_runs(ended):
    Commands(30, 1, lambda: ended.append(1)).stop()
    assert ended == []


HELD = "import signal; held = open({!r}, 'w'); held.write('begun\\n'); held.flush(); signal.pause()"
"""Opens a FIFO and keeps it open: a reader gets its end when the process ends."""


@pytest.fixture
def fifo(tmp_path):
    path = tmp_path / "held"
    os.mkfifo(path)
    return path


def ends(reader):
    """Read until the process at the other end is gone; the test's timeout is for one that stays."""
    return reader.read() == ""


class _Interrupted(BaseException):
    pass


def test_an_interrupted_caller_leaves_no_command(fifo, ended):
    """An exception in the waiting thread, such as by Ctrl-C, kills the command."""
    main, seen = threading.get_ident(), []

    def handle(*_):
        raise _Interrupted

    def interrupt():
        with fifo.open() as reader:
            seen.append(reader.readline())
            signal.pthread_kill(main, signal.SIGUSR1)
            seen.append(ends(reader))

    before = signal.signal(signal.SIGUSR1, handle)
    interrupting = threading.Thread(target=interrupt)
    interrupting.start()
    commands = Commands(30, 1, lambda: ended.append(1))
    try:
        with pytest.raises(_Interrupted):
            commands.run(python(HELD.format(str(fifo))), os.environ, "up")
    finally:
        signal.signal(signal.SIGUSR1, before)
        interrupting.join()
    assert seen == ["begun\n", True]
    assert ended == [1]


def test_a_program_ends_with_its_children(tmp_path, fifo):
    """`close` kills its group, so that a child cannot keep the output open."""
    child = HELD.format(str(fifo))
    host = Host(dict)
    process = host._start(
        python(f"import subprocess, sys; subprocess.run([sys.executable, '-c', {child!r}])"), tmp_path, os.environ
    )
    with process, fifo.open() as reader:
        assert reader.readline() == "begun\n"
        host.close()
        assert ends(reader)
        assert process.communicate()[0] == b""
    host.close()  # it is gone, and its number may be another's


def test_a_program_ends_with_the_process_that_runs_it(fifo):
    """Also when that one is killed: the pipe between them closes."""
    child = (
        "import sys\nfrom cloudqueues.pulumi.program import end_with_parent\nend_with_parent(int(sys.argv[1]))\n"
        + HELD.format(str(fifo))
    )
    parent = (
        "import os, signal, subprocess, sys\nreading, writing = os.pipe()\n"
        f"subprocess.Popen([sys.executable, '-c', {child!r}, str(reading)], pass_fds=(reading,), start_new_session=True)\n"
        "signal.pause()\n"
    )
    with subprocess.Popen(python(parent)) as process, fifo.open() as reader:
        assert reader.readline() == "begun\n"
        process.kill()
        assert ends(reader)
