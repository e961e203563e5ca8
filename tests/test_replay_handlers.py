"""Which handler `peeklock replay` runs an event through, and what it says of code that does not load. (trials 3.1)"""

from __future__ import annotations

import importlib
import io
import json
import sys
from contextlib import chdir, redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from peeklock.cli import main

CODE = """
from peeklock import Queue, consumer, sqs
from peeklock.unwrap import sns

UPLOADS, INVOICES = Queue("uploads"), Queue("invoices", fifo=True)

@consumer(UPLOADS)
def store(body: dict) -> None:
    print("stored")

@consumer(INVOICES)
def book(body: dict) -> None:
    pass

handler = sqs.bind(book, unwrap=sns)
"""


@pytest.fixture
def project(tmp_path) -> Path:
    """Two queues, and a handler for each."""
    (tmp_path / "pyproject.toml").write_text('[tool.peeklock]\nhandlers = ["shop:store", "shop:book"]\n')
    (tmp_path / "shop.py").write_text(CODE)
    return tmp_path


@dataclass
class Done:
    """Result of a command."""

    returncode: int
    stdout: str
    stderr: str


def replay(folder: Path, *events: object, words: tuple[str, ...] = ()) -> Done:
    """The command, with these events in a folder of their own."""
    (folder / "events").mkdir(exist_ok=True)
    for n, event in enumerate(events):
        (folder / f"events/e{n}.json").write_text(json.dumps(event))
    return command(folder, "events", *words)


def command(folder: Path, *words: str) -> Done:
    """`peeklock replay` in a folder, and nothing of the project left in this process."""
    out, err = io.StringIO(), io.StringIO()
    path = list(sys.path)
    try:
        with chdir(folder), redirect_stdout(out), redirect_stderr(err):
            importlib.invalidate_caches()  # files are newer than what it remembers of their folder
            code = main(["replay", *words])
    finally:
        sys.path[:] = path
        for name in ("shop", "other"):
            sys.modules.pop(name, None)
    return Done(code, out.getvalue(), err.getvalue())


def sqs_event(*queues: str, body: str = "{}") -> dict[str, Any]:
    arns = [f"arn:aws:sqs:eu-west-1:123456789012:{name}" for name in queues]
    record = {"messageId": "m-1", "receiptHandle": "r", "body": body, "eventSource": "aws:sqs"}
    return {"Records": [{**record, "eventSourceARN": arn} for arn in arns]}


def task(queue: str) -> dict[str, Any]:
    return {"headers": {"x-cloudtasks-taskname": "t-1", "X-CloudTasks-QueueName": queue}, "body": "{}"}


def push(subscription: str) -> dict[str, Any]:
    return {"message": {"messageId": "1", "data": "e30="}, "subscription": f"projects/p/subscriptions/{subscription}"}


def invocation(function: str | None) -> dict[str, Any]:
    system = {} if function is None else {"sys": {"json": json.dumps({"MethodName": function})}}
    properties = {name: {"json": "{}"} for name in ("UserProperties", "ApplicationProperties")}
    metadata = {**properties, "MessageId": {"string": "m-1"}, "SequenceNumber": {"json": "1"}, **system}
    return {"inputData": [{"name": "messages", "data": {"bytes": "e30="}}], "triggerMetadata": metadata}


@pytest.mark.parametrize(
    ("event", "stores"),
    [
        (sqs_event("uploads"), True),
        (sqs_event("invoices.fifo"), False),
        (task("uploads"), True),
        (push("uploads"), True),
        (push("invoices"), False),
        (invocation("store"), True),
    ],
    ids=["sqs", "sqs-fifo", "task", "push", "push-invoices", "function"],
)
def test_an_event_runs_through_the_handler_of_its_queue(project, event, stores):
    """Whatever the platform calls what an event says of where it comes from."""
    done = replay(project, event)
    assert (done.returncode, "1 done" in done.stdout) == (0, True), done.stdout + done.stderr
    assert ("stored" in done.stderr, "stored" in done.stdout) == (stores, False)


def test_a_folder_of_several_queues(project):
    """And what a handler prints is not among the results."""
    done = replay(project, sqs_event("uploads"), sqs_event("invoices.fifo"), task("uploads"), words=("--json",))
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    assert [row["reason"] for row in rows if "reason" in row] == ["done"] * 3
    assert list(rows[-1]) == ["summary"]
    assert done.stderr.count("stored") == 2


@pytest.mark.parametrize(
    ("event", "problem"),
    [
        (sqs_event("archive"), "it is of the queue 'archive', and no handler is"),
        (sqs_event("uploads", "invoices.fifo"), "it is of the queue 'invoices, uploads', and no handler is"),
        (task("archive"), "it is of the queue 'archive', and no handler is"),
        (push("uploads-push"), "it is of the subscription 'uploads-push', and no handler is"),
        (invocation("archive"), "it is of the function 'archive', and no handler is"),
        (invocation(None), "it does not say which function it is of"),
    ],
    ids=["sqs", "two-queues", "task", "push", "function", "no-function"],
)
def test_an_event_of_no_handlers_queue_runs_through_none(project, event, problem):
    """It is an error before anything runs, with the queues that there are and the fix."""
    done = replay(project, sqs_event("uploads"), event)
    assert (done.returncode, done.stdout) == (2, "")
    assert f"events/e1: {problem}; there are handlers for the queues invoices, uploads. Add" in done.stderr
    assert '--queue NAME, or "queue": "NAME" in e1.expected.json' in done.stderr
    assert "stored" not in done.stderr


def test_one_handler_is_no_reason_to_run_everything_through_it(project):
    """Only an event that says nothing is taken for one of its queue."""
    chosen = ("--handler", "shop:store")
    done = replay(project, sqs_event("invoices.fifo"), words=chosen)
    assert (done.returncode, "'invoices', and no handler is" in done.stderr) == (2, True)
    assert "1 done" in replay(project, invocation(None), words=chosen).stdout


def test_a_queue_that_is_called_otherwise_in_the_cloud(project):
    """Is said on the command line, which --accept remembers, or in the expected file."""
    named = sqs_event("shop-uploads-1a2b3c4")
    done = replay(project, named, words=("--queue", "uploads", "--accept"))
    assert "1 done" in done.stdout
    assert json.loads((project / "events/e0.expected.json").read_text())["queue"] == "uploads"
    assert "all as expected" in replay(project, words=("--check",)).stdout
    done = replay(project, named, words=("--queue", "upload"))
    assert "no handler has the queue 'upload'; did you mean 'uploads'?" in done.stderr


def test_of_several_for_a_queue_the_one_of_its_platform(project):
    """A bound entry point opens the envelopes of its own platform's messages alone."""
    words = ("--handler", "shop:book", "--handler", "shop:handler")
    event = sqs_event("invoices.fifo", body='{"Type": "Notification", "Message": "{}"}')
    assert "1 done" in replay(project, event, words=words).stdout
    assert "1 invalid" in replay(project, sqs_event("invoices.fifo"), words=words).stdout
    assert "1 done" in replay(project, push("invoices"), words=words).stdout


def test_two_handlers_of_one_queue(project):
    """Nobody knows which is meant."""
    (project / "shop.py").write_text(CODE + "\n@consumer(UPLOADS)\ndef other(body: dict) -> None: ...\n")
    words = ("--handler", "shop:store", "--handler", "shop:other")
    done = replay(project, sqs_event("uploads"), words=words)
    assert "queue 'uploads' has several handlers, shop:store, shop:other: say --handler" in done.stderr


@pytest.mark.parametrize(
    ("table", "problem"),
    [
        ('[tool.peeklock]\nhandler = "shop:store"\n', "'handler' is unknown; did you mean 'handlers'?"),
        ("[tool.peeklock]\nhandlers = [1]\n", "handlers = [1] is no list of module:function"),
        ("[tool.peeklock.dev]\nsqs = 7\n", "[tool.peeklock.dev]: sqs = 7 is no list of module:function"),
        ("[tool.peeklock]\n", "name all of them in pyproject.toml"),
        ("[tool", "pyproject.toml: "),
        ("tool = 1\n", "pyproject.toml: tool = 1 is no table"),
        ("[tool]\npeeklock = 'dev'\n", "pyproject.toml, [tool]: peeklock = 'dev' is no table"),
        ("[tool.peeklock]\ndev = ['shop:store']\n", "[tool.peeklock]: dev = ['shop:store'] is no table"),
    ],
)
def test_a_table_that_names_no_handlers(project, table, problem):
    """Is said with its place and the fix."""
    (project / "pyproject.toml").write_text(table)
    done = replay(project, sqs_event("uploads"))
    assert (done.returncode, problem in done.stderr) == (2, True), done.stderr


def test_the_entry_points_of_dev_are_handlers_too(project):
    """Also from a folder within the project. The folder of an app lists none, and `peeklock dev` itself refuses other names."""
    table = '[tool.peeklock.dev]\nservicebus = "azure"\npubsub = 1\nsqss = 2\nsqs = ["shop:handler"]\n'
    (project / "pyproject.toml").write_text(table)
    event = sqs_event("invoices.fifo", body='{"Type": "Notification", "Message": "{}"}')
    replay(project, event)
    done = command(project / "events", "e0.json")
    assert "1 done" in done.stdout, done.stderr


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("x = (\n", "handler 'shop:store': shop.py, line 1: SyntaxError: '(' was never closed\n    x = (\n"),
        (
            "import other\n",
            "handler 'shop:store': other.py, line 2: ValueError: no\n    raise ValueError('no')\n  from shop.py, line 1\n",
        ),
        ("import nowhere\n", "shop imports 'nowhere', which is not installed\nshop.py, line 1: ModuleNotFoundError: "),
    ],
    ids=["syntax", "raises", "import"],
)
def test_code_that_does_not_load(project, text, shown):
    """Is said with file, line and problem, and nothing of the tool's own."""
    (project / "shop.py").write_text(text)
    (project / "other.py").write_text("\nraise ValueError('no')\n")
    done = replay(project, sqs_event("uploads"))
    assert done.returncode == 2
    assert shown in done.stderr
    assert "Traceback" not in done.stderr


def test_ids_are_shown_whole(project):
    """Many begin alike, and people paste them elsewhere."""
    ids = [f"{'long-' * 12}{n}" for n in range(2)]
    event = sqs_event("uploads", "uploads")
    for record, name in zip(event["Records"], ids, strict=True):
        record["messageId"] = name
    done = replay(project, event)
    assert all(name in done.stdout for name in ids)


def test_a_send_that_the_queue_refuses(project):
    """Fails the message as it would on the event's own platform. (trials 3.4)"""
    (project / "shop.py").write_text(
        CODE.replace('print("stored")', "send(UPLOADS, {}, delay=1000)").replace("consumer,", "consumer, send,")
    )
    done = replay(project, sqs_event("uploads"), task("uploads"), push("uploads"))
    assert "1 retry" in done.stdout
    assert "2 done" in done.stdout
    assert "  m-1: peeklock.errors.SendError: queue 'uploads': SQS delays a message by 900 s at most" in done.stdout
