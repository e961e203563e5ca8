"""The function's side: real processes of the real runtime interface client."""

from __future__ import annotations

import gc
import os
import select
import signal
import subprocess
import sys
import threading
import time
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from cloudqueues.errors import ConfigError
from cloudqueues.sqs_lambda import SqsLambda
from tests.emulators.sqs_lambda.conftest import FUNCTIONS, sets
from tests.support import environment

if TYPE_CHECKING:
    from tests.emulators.sqs_lambda.conftest import World


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def test_one_process_serves_one_message_after_the_other(world: World) -> None:
    """The first start is measured, the others are warm."""
    url = world.queue()
    function = world.function(url, "app.succeed")
    for n in range(3):
        world.send(url, str(n))
        function.wait_idle(20)
    assert [note["bodies"] for note in world.seen()] == [["0"], ["1"], ["2"]]
    assert len({note["pid"] for note in world.seen()}) == 1
    first, *later = function.invocations
    assert first.cold_start is not None
    assert timedelta() < first.cold_start < timedelta(seconds=10)
    assert [invocation.cold_start for invocation in later] == [None, None]
    assert [invocation.request_id for invocation in function.invocations] == [note["request"] for note in world.seen()]
    assert {invocation.outcome for invocation in function.invocations} == {"success"}


def test_environments_that_start_beforehand(world: World) -> None:
    """Before there is any message, which then meets no cold start."""
    url = world.queue()
    function = world.function(url, "app.succeed", provisioned=2)
    world.lines.wait("loaded", times=2)
    world.send(url, "x")
    function.wait_idle(20)
    assert [invocation.cold_start for invocation in function.invocations] == [None]
    assert world.lines.all.count("loaded") == 2


def test_the_context_and_the_environment_are_lambdas(world: World) -> None:
    """And nothing of the user's: neither credentials nor what happens to be set on this machine."""
    url = world.queue()
    mine = {"AWS_ACCESS_KEY_ID": "AKIAREAL", "AWS_PROFILE": "production", "GITHUB_TOKEN": "secret"}
    with environment(**mine):
        function = world.function(url, "app.context", memory=512, environ={"STAGE": "test"})
        world.send(url, "x")
        function.wait_idle(20)
    (seen,) = world.seen()
    assert 500 < seen["left"] <= 1000
    assert seen["request"] == function.invocations[0].request_id
    assert seen["arn"] == "arn:aws:lambda:eu-west-1:123456789012:function:app-context"
    assert (seen["name"], seen["version"], seen["memory"]) == ("app-context", "$LATEST", "512")
    assert seen["group"] == "/aws/lambda/app-context"
    assert seen["cwd"] == str(FUNCTIONS)
    environ = seen["environ"]
    assert environ["STAGE"] == "test"
    assert environ["AWS_ENDPOINT_URL_SQS"] == world.endpoint
    assert environ["_X_AMZN_TRACE_ID"].startswith("Root=1-")
    assert environ["AWS_REGION"] == environ["AWS_DEFAULT_REGION"] == "eu-west-1"
    assert environ["AWS_ACCESS_KEY_ID"] == "testing"
    assert not {"AWS_PROFILE", "GITHUB_TOKEN", "HOME"} & set(environ)


def test_an_exception_fails_the_batch_and_keeps_the_process(world: World) -> None:
    url = world.queue()
    function = world.function(url, "app.fail_once")
    (message,) = world.send(url, "x")
    function.wait_idle(20)
    failed, done = function.invocations
    assert (failed.outcome, failed.error) == ("error", "ValueError: not yet")
    assert (failed.failed_ids, done.failed_ids) == ((message,), ())
    assert done.outcome == "success"
    assert [note["receives"] for note in world.seen()] == [1, 2]
    assert len({note["pid"] for note in world.seen()}) == 1
    world.lines.wait("[ERROR] ValueError: not yet")


def test_a_handler_over_its_time_is_killed_with_its_children(world: World) -> None:
    """The next delivery has a new process."""
    url = world.queue()
    function = world.function(url, "app.hang_once", timeout=0.4)
    world.send(url, "x")
    function.wait_idle(20)
    late, done = function.invocations
    assert (late.outcome, late.error) == ("timeout", "Task timed out after 0.40 seconds")
    assert timedelta(seconds=0.4) <= late.duration < timedelta(seconds=5)
    assert done.outcome == "success"
    first, second = (note["pid"] for note in world.seen())
    assert first != second
    assert not alive(first)


def test_a_process_that_ends_fails_its_batch(world: World) -> None:
    url = world.queue()
    function = world.function(url, "app.exit_once")
    world.send(url, "x")
    function.wait_idle(20)
    assert [invocation.outcome for invocation in function.invocations] == ["exit", "success"]
    assert function.invocations[0].error == "Runtime.ExitError: exit status 7"


def test_a_process_that_ends_takes_its_children_with_it(world: World) -> None:
    """A child holds the other end of a pipe open for as long as it lives."""
    held = world.evidence.with_name("held")
    os.mkfifo(held)
    reading = os.open(held, os.O_RDONLY | os.O_NONBLOCK)
    try:
        url = world.queue()
        function = world.function(url, "app.exit_and_leave_a_child", environ={"HELD": str(held)})
        world.send(url, "x")
        function.wait_idle(20)
        assert [invocation.outcome for invocation in function.invocations] == ["exit", "success"]
        assert select.select([reading], [], [], 10)[0], "the child still runs"
        assert os.read(reading, 1) == b""
    finally:
        os.close(reading)


def test_a_process_that_died_between_two_events_costs_no_delivery(world: World) -> None:
    url = world.queue()
    function = world.function(url, "app.die_later")
    world.send(url, "1")
    function.wait_idle(20)
    deadline = time.monotonic() + 10
    while alive(world.seen()[0]["pid"]) and time.monotonic() < deadline:
        threading.Event().wait(0.01)
    world.send(url, "2")
    function.wait_idle(20)
    assert [invocation.outcome for invocation in function.invocations] == ["success", "success"]
    assert all(invocation.cold_start for invocation in function.invocations)


@pytest.mark.parametrize("provisioned", [0, 1])
@pytest.mark.parametrize(
    ("handler", "error"),
    [
        ("broken.handler", "RuntimeError: no configuration"),
        ("app.missing", "Runtime.HandlerNotFound: Handler 'missing' missing on module 'app'"),
        ("nowhere.handler", "Runtime.ImportModuleError: Unable to import module 'nowhere'"),
    ],
)
def test_a_function_that_cannot_be_loaded(world: World, handler: str, error: str, provisioned: int) -> None:
    """The messages are not lost: they go where the queue's own policy sends them."""
    dead_letters = world.queue()
    policy = f'{{"deadLetterTargetArn":"{world.arn(dead_letters)}","maxReceiveCount":1}}'
    url = world.queue(RedrivePolicy=policy)
    function = world.function(url, handler, provisioned=provisioned)
    world.send(url, "x")
    function.wait_idle(20)
    (invocation,) = function.invocations
    assert invocation.outcome == "init"
    assert str(invocation.error).startswith(error)
    assert [dead_letter["Body"] for dead_letter in world.receive(dead_letters)] == ["x"]


def test_a_function_that_cannot_be_started(world: World) -> None:
    """No process takes such a variable."""
    url = world.queue(visibility=30)
    reported = threading.Event()
    function = world.function(url, "app.succeed", environ={"STAGE": "a\0b"}, on_invocation=sets(reported))
    world.send(url, "x")
    assert reported.wait(20)
    (invocation,) = function.invocations
    assert (invocation.outcome, invocation.error) == ("init", "the function was not started: embedded null byte")


def test_a_function_that_takes_too_long_to_load(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cloudqueues.sqs_lambda.sandbox.INIT_SECONDS", 0.5)
    url = world.queue(visibility=30)
    reported = threading.Event()
    function = world.function(url, "slow.handler", on_invocation=sets(reported))
    world.send(url, "x")
    assert reported.wait(20)
    assert function.invocations[0].error == "the function was not initialised: over 0.5 s"


def test_each_line_that_it_prints_is_heard(world: World) -> None:
    """Lines of both streams are passed on in order; one that is too long is cut, and the last needs no newline."""
    url = world.queue()
    function = world.function(url, "app.speak")
    world.send(url, "x")
    function.wait_idle(20)
    function.stop()
    assert world.lines.all[:4] == ["loaded", "one", "two", "err"]
    assert world.lines.all[4][:2] == "xx"
    assert "".join(world.lines.all[4:-1]).count("x") >= 256 * 1024
    assert all(len(line) <= 256 * 1024 for line in world.lines.all)
    assert world.lines.all[-1] == "caf\u00e9, unfinished"


@pytest.mark.parametrize(
    ("handler", "error"),
    [("app.too_much", "Function.ResponseSizeTooLarge"), ("app.too_much_error", "ValueError: yyy")],
)
def test_an_answer_that_is_too_large(world: World, handler: str, error: str) -> None:
    """The message comes back, and is done with the next answer. A long error is an error as any other."""
    url = world.queue(visibility=2)
    function = world.function(url, handler, timeout=2)
    world.send(url, "x")
    function.wait_idle(30)
    assert [invocation.outcome for invocation in function.invocations] == ["error", "success"]
    assert str(function.invocations[0].error).startswith(error)


def test_nothing_is_left_after_a_stop(world: World) -> None:
    """Not even in mid-handler. Starting again works, and so does a second stop."""
    before = set(threading.enumerate())
    url = world.queue()
    function = world.function(url, "app.hang_once")
    world.send(url, "x")
    world.lines.wait("hanging")
    function.stop()
    function.stop()
    (first,) = world.seen()
    assert not alive(first["pid"])
    left = [
        thread
        for thread in threading.enumerate()
        if thread not in before and "process_request_thread" not in thread.name
    ]
    for thread in left:
        thread.join(5)
    assert not [thread for thread in left if thread.is_alive()]
    function.start()
    function.wait_idle(20)
    assert [invocation.outcome for invocation in function.invocations] == ["success"]


def test_a_stop_while_a_process_starts(world: World, caplog: pytest.LogCaptureFixture) -> None:
    url = world.queue()
    function = world.function(url, "slow.handler")
    world.send(url, "x")
    world.lines.wait("loading")
    began = time.monotonic()
    function.stop()
    assert time.monotonic() - began < 5
    assert not alive(world.seen()[0]["pid"])
    gc.collect()
    assert [record.message for record in caplog.records if record.name == "asyncio"] == []


def test_a_child_that_escaped_does_not_hold_up_a_stop(world: World) -> None:
    url = world.queue()
    function = world.function(url, "app.leave_a_child")
    world.send(url, "x")
    function.wait_idle(20)
    began = time.monotonic()
    try:
        function.stop()
        assert time.monotonic() - began < 5
    finally:
        os.kill(world.seen()[0]["child"], signal.SIGKILL)


HOST = """
import sys
from cloudqueues.sqs_lambda import SqsLambda
url, cwd, evidence = sys.argv[1:]
function = SqsLambda(
    queue_url=url, handler="app.succeed", region="eu-west-1", cwd=cwd, timeout=1, environ={"EVIDENCE": evidence}
)
function.start()
function.wait_idle(20)
print("idle", flush=True)
sys.stdin.read()
"""


def test_an_emulator_that_is_killed_leaves_no_process(world: World) -> None:
    """A function that waits for an event sees its runtime API gone."""
    url = world.queue()
    world.send(url, "x")
    command = [sys.executable, "-c", HOST, url, str(FUNCTIONS), str(world.evidence)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as host:
        assert host.stdout is not None
        assert host.stdout.readline() == "idle\n"
        host.kill()
    (seen,) = world.seen()
    deadline = time.monotonic() + 10
    while alive(seen["pid"]) and time.monotonic() < deadline:
        threading.Event().wait(0.02)
    assert not alive(seen["pid"])


def test_what_is_not_started_or_started_twice(world: World) -> None:
    url = world.queue()
    function = SqsLambda(queue_url=url, handler="app.succeed", region="eu-west-1", timeout=1)
    with pytest.raises(ConfigError, match="is not running"):
        function.wait_idle(1)
    with function, pytest.raises(ConfigError, match="started already"):
        function.start()


def test_callbacks_that_fail_are_logged(world: World, caplog: pytest.LogCaptureFixture) -> None:
    def broken(_: object) -> None:
        raise ZeroDivisionError

    url = world.queue()
    function = world.function(url, "app.succeed", on_line=broken, on_invocation=broken)
    world.send(url, "x")
    function.wait_idle(20)
    assert [invocation.outcome for invocation in function.invocations] == ["success"]
    assert {"on_line failed", "on_invocation failed"} <= {record.message for record in caplog.records}


def test_a_logged_traceback_is_whole(world: World) -> None:
    """The last line of a traceback is a line of its own, and is there before anything else is logged. (trials 3.3)"""
    function = world.function(world.queue(), "app.log_and_print")
    world.send(function._settings.queue_url, "x")
    world.lines.wait("ValueError: invalid literal for int() with base 10: 'no'")
    world.lines.wait("printed")
