"""`peeklock dev` and `peeklock send`, as a user runs them."""

from __future__ import annotations

import json
import logging
import os
import pty
import re
import select
import signal
import subprocess
import sys
import time
from urllib.parse import parse_qs, urlsplit

import boto3
import pytest
import requests

from peeklock.cli import main
from peeklock.cli.screen import screen
from peeklock.dev.discovery import discover
from peeklock.dev.project import load
from peeklock.dev.watched_code import WatchedCode
from peeklock.errors import ConfigError
from peeklock.observability.observer import log, log_event
from peeklock.platform_registry import PLATFORMS as REGISTERED
from tests.dev import sample


@pytest.fixture
def project(tmp_path):
    return sample.write(tmp_path)


def send(root, platform: str, name: str, *words: str) -> None:
    ran = sample.command(
        root, "send", "orders", "-", "--platform", platform, *words, stdin=json.dumps({"id": name}).encode()
    )
    assert ran.returncode == 0, ran.stderr


PLATFORMS = tuple(name for name, platform in REGISTERED.items() if platform.dev)


def test_three_clouds(project):
    """Each is sent to with its own SDK, each handler runs, and what it settles is told; at the end no process and no
    address is left."""
    with sample.dev(project, "--no-reload") as running:
        for platform in PLATFORMS:
            send(project, platform, "a", "--id", "m-1", "--times", "2")
        settled = {(platform, reason) for platform in PLATFORMS for reason in ("done", "duplicate")}
        settled.remove(("cloudtasks", "duplicate"))  # Cloud Tasks itself drops a second task of one name
        while settled:
            outcome = running.until("settled", message_id="m-1")
            settled -= {(outcome["platform"], outcome["reason"])}
        for platform in PLATFORMS:
            send(project, platform, "bad")
            raised = ("line", {"platform": platform, "text": "ValueError: no"})
            running.until_all(raised, raised, ("settled", {"platform": platform, "disposition": "dead_letter"}))
        assert (project / ".peeklock/dev.json").exists()
        redrive_on_sqs(project)
        assert status_without_a_token(project) == 401
        assert running.end() == 0
    assert not sample.processes(project)
    assert not (project / ".peeklock/dev.json").exists()
    assert "bad" in (project / ".peeklock/cloudtasks-orders-dead-letters.jsonl").read_text()


def redrive_on_sqs(project) -> None:
    """Redrive as docs/emulators.md says: SQS knows the queue's dead-letter queue and moves its messages back."""
    variables = json.loads((project / ".peeklock/dev.json").read_text())["platforms"]["sqs"]
    queues = boto3.client(
        "sqs",
        "eu-west-1",
        endpoint_url=variables["AWS_ENDPOINT_URL_SQS"],
        aws_access_key_id="dev",
        aws_secret_access_key="dev",
    )
    url = variables["PEEKLOCK_ORDERS_DEAD_LETTER"]
    arn = queues.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    assert queues.start_message_move_task(SourceArn=arn)["TaskHandle"]


def status_without_a_token(project) -> int:
    """Return the status that the function of Cloud Tasks answers to any other process on this machine."""
    variables = json.loads((project / ".peeklock/dev.json").read_text())["platforms"]["cloudtasks"]
    (target,) = parse_qs(urlsplit(variables["PEEKLOCK_ORDERS_URL"]).query)["target"]
    headers = {"X-CloudTasks-TaskName": "t-1", "X-CloudTasks-QueueName": "orders"}
    return requests.post(target, b'{"id": "forged"}', headers=headers, timeout=30).status_code


def test_reload(project):
    """Code that changes is served; while it does not load, what runs serves on."""
    with sample.dev(project) as running:
        send(project, "sqs", "a")
        running.until("settled", platform="sqs", reason="done")
        orders = project / "app/orders.py"
        text = orders.read_text()
        orders.write_text(text + "\nno python\n")
        assert running.until("say", text="not reloaded").startswith(
            "not reloaded: app/orders.py, line 13: SyntaxError: "
        )
        send(project, "sqs", "b")
        running.until("settled", platform="sqs", reason="done")
        orders.write_text(text.replace('"handling"', '"changed"'))
        running.until("say", text="reloaded in")
        for platform in PLATFORMS:
            send(project, platform, "c")
            running.until("line", platform=platform, text="changed c")


def test_killed_without_a_word(project):
    """The functions end all the same."""
    with sample.dev(project, "--no-reload") as running:
        for platform in PLATFORMS:
            send(project, platform, "a")
            running.until("settled", platform=platform, reason="done")
        assert len(sample.processes(project)) > 3
        assert running.end(signal.SIGKILL) == -signal.SIGKILL
        until = time.monotonic() + 30
        while sample.processes(project) and time.monotonic() < until:
            time.sleep(0.05)  # other processes end by themselves, and tell nobody
    assert not sample.processes(project)


def test_one_at_a_time(project):
    """A second one is refused, and says which process runs."""
    with sample.dev(project, "sqs", "--no-reload") as running:
        ran = sample.command(project, "dev", "sqs")
        assert ran.returncode == 2
        assert f"as process {running.process.pid}" in ran.stderr.decode()
        ran = sample.command(project, "send", "orders", "-", "--platform", "cloudtasks")
        assert b"does not run cloudtasks: it runs sqs" in ran.stderr
        send(project, "sqs", "a", "-a", "tenant=acme", "--delay", "0")
        running.until("settled", platform="sqs", reason="done")
        assert running.end(signal.SIGTERM) == 0


def test_a_terminal(project):
    """Shows a row a message, changed in place."""
    ours, theirs = pty.openpty()
    environment = {**os.environ, "TERM": "xterm", "COLUMNS": "160", "LINES": "40"}
    process = subprocess.Popen(
        [sys.executable, "-m", "peeklock.cli", "dev", "sqs", "--no-reload"], cwd=project, stdout=theirs, env=environment
    )
    os.close(theirs)
    try:
        read_until(ours, "ready after")
        send(project, "sqs", "bad", "--id", "m-bad")
        shown = read_until(ours, "dead_letter")
        assert "handling bad" in shown
        assert "m-bad" in shown
        assert "retry" in shown
    finally:
        process.send_signal(signal.SIGINT)
        assert process.wait(30) == 0
        os.close(ours)


def test_a_terminal_without_rich(monkeypatch):
    """Says what to install, and how to do without."""
    monkeypatch.setitem(sys.modules, "rich.console", None)
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    with pytest.raises(ConfigError, match=r"pip install 'peeklock\[dev\]', or say --json"):
        screen(as_json=False)


def read_until(fd: int, text: str) -> str:
    seen = ""
    until = time.monotonic() + 60
    while text not in plain(seen):
        ready, _, _ = select.select([fd], [], [], max(until - time.monotonic(), 0))
        assert ready, f"no {text!r} in {plain(seen)[-2000:]}"
        seen += os.read(fd, 65536).decode(errors="replace")
    return plain(seen)


def plain(text: str) -> str:
    return re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", text)


@pytest.mark.parametrize(
    ("files", "words", "fix"),
    [
        ({"pyproject.toml": "[tool.peeklock]\n"}, (), "does not say what to run"),
        ({"pyproject.toml": "[tool.peeklock.dev]\n"}, (), "does not say what to run"),
        ({"pyproject.toml": "[tool.peeklock.dev]\nsqss = []\n"}, (), "did you mean 'sqs'"),
        ({"pyproject.toml": "[tool.peeklock.dev]\nkafka = []\n"}, (), "known are sqs, servicebus, cloudtasks"),
        ({"pyproject.toml": "[tool.peeklock.dev]\nsqs = 3\n"}, (), "sqs = 3 is no list of module:function"),
        ({"pyproject.toml": '[tool.peeklock.dev]\nsqs = ["app.aws"]\n'}, (), "is no list of module:function"),
        ({"pyproject.toml": '[tool.peeklock.dev]\nservicebus = "app"\n'}, (), "no folder with a function_app.py"),
        ({"pyproject.toml": "[tool.peeklock.dev]\nservicebus = 1\n"}, (), "no folder with a function_app.py"),
        (
            {"pyproject.toml": '[tool.peeklock.dev]\nsqs = "app.nowhere:handler"\n'},
            (),
            "there is no module app.nowhere",
        ),
        ({"pyproject.toml": '[tool.peeklock.dev]\nsqs = "app.orders:handle"\n'}, (), "is not made by sqs.bind"),
        ({"pyproject.toml": '[tool.peeklock.dev]\nsqs = "app.gcp:handle_http"\n'}, (), "is not made by sqs.bind"),
        (
            {"pyproject.toml": '[tool.peeklock.dev]\nsqs = "app.aws:handler"\n'},
            ("servicebus",),
            "nothing for servicebus",
        ),
        ({"pyproject.toml": "not toml"}, (), "pyproject.toml"),
        (
            {"azure__function_app": "import nothing_such"},
            (),
            "peeklock dev: azure/function_app.py, line 1: ModuleNotFoundError: No module named 'nothing_such'\n",
        ),
        ({"app__orders": "x = (\n"}, (), "peeklock dev: app/orders.py, line 1: SyntaxError: '(' was never closed\n"),
        ({"app__orders": "raise SystemExit(3)"}, (), "peeklock dev: app/orders.py, line 1: SystemExit: 3\n"),
        ({"app__orders": "import os\nos._exit(3)"}, (), "importing the handlers ended the process, with exit status 3"),
        ({"azure__function_app": "app = 1"}, ("servicebus",), "has no func.FunctionApp"),
    ],
)
def test_what_cannot_be_started(tmp_path, files, words, fix):
    """Is said with its fix, before anything runs."""
    sample.write(tmp_path, **files)
    ran = sample.command(tmp_path, "dev", *words)
    assert ran.returncode == 2
    assert fix in ran.stderr.decode()
    assert not sample.processes(tmp_path)


def test_no_project(tmp_path):
    """Says where to run it."""
    ran = sample.command(tmp_path, "dev")
    assert ran.returncode == 2
    assert b"run it in the project's folder" in ran.stderr


@pytest.mark.parametrize(
    ("words", "fix"),
    [
        (("orders", "-"), "set PEEKLOCK_ORDERS_URL"),
        (("orders", "-", "--platform", "sqs"), "in this folder none runs"),
        (("orders", "nothing.json"), "nothing.json: No such file"),
        (("memory://x", "-", "-a", "novalue"), "write NAME=VALUE"),
        (("memory://x", "-", "--delay", "-1"), "--delay"),
        (("ordres!", "-"), "queue name"),
        (("amqp://x", "-"), "unknown scheme"),
    ],
)
def test_what_cannot_be_sent(tmp_path, words, fix):
    """Is said with its fix."""
    ran = sample.command(tmp_path, "send", *words)
    assert ran.returncode == 2
    assert fix in ran.stderr.decode()


def test_sent_by_address(tmp_path):
    """A file's bytes as they are, with its attributes."""
    body = tmp_path / "body.bin"
    body.write_bytes(b"\x00\xff")
    address = f"file://{tmp_path}/out.jsonl"
    ran = sample.command(tmp_path, "send", address, str(body), "--id", "x", "-a", "tenant=a=b", "--group", "g")
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout.decode() == f"sent x to {address}\n"
    sent = json.loads((tmp_path / "out.jsonl").read_text())
    assert sent["body"] == {"base64": "AP8="}
    assert sent["attributes"]["tenant"] == "a=b"
    assert sent["group"] == "g"


class Remembering:
    """A queue that remembers each id, as Cloud Tasks does."""

    def send(self, outgoing_messages, /):
        for outgoing in outgoing_messages:
            if outgoing.lineage.id in self.ids:
                log_event("peeklock.deduplicated %s", {"message_id": outgoing.lineage.id}, level=logging.INFO)
            self.ids.add(outgoing.lineage.id)
            log_event("peeklock.something %s", {"a": "b"}, level=logging.WARNING)
            log_event("peeklock.detail %s", {"a": "c"}, level=logging.INFO)
        return [None] * len(outgoing_messages)

    def __init__(self) -> None:
        self.ids: set[str] = set()


def test_a_message_that_was_not_queued_is_not_called_sent(monkeypatch, capsys, tmp_path):
    """Because its queue remembers the id. What else is logged is on standard error. (stranger 2, papercut 6)"""
    queue = Remembering()
    monkeypatch.setattr("peeklock.cli.send.open_sender", lambda _: queue)
    body = tmp_path / "body"
    body.write_text("{}")
    assert main(["send", "memory://orders", str(body), "--id", "x", "--times", "2"]) == 0
    printed = capsys.readouterr()
    first, second = printed.out.splitlines()
    assert first == "sent x to memory://orders"
    assert second.startswith("not sent: memory://orders remembers the id x, and queued nothing;")
    assert printed.err == "peeklock.something a=b\n" * 2
    assert log.level == logging.NOTSET


def test_a_queue_that_cannot_be_reached(tmp_path):
    """Exit code 1: it was not sent."""
    ran = sample.command(tmp_path, "send", "file:///proc/nowhere/out.jsonl", "-")
    assert ran.returncode == 1
    assert b"peeklock send: " in ran.stderr


ACROSS = {
    "pyproject.toml": '[tool.peeklock.dev]\nsqs = ["app.aws:handler"]\ncloudtasks = ["app.gcp:mail_http"]\n',
    "app__orders": """
import os

from peeklock import Queue, consumer, send

ORDERS = Queue("orders", timeout=20)
MAILS = Queue("mails", timeout=20)
AUDIT = Queue("audit")

@consumer(ORDERS)
def handle(order: dict) -> None:
    if order["id"] == "crash":
        os._exit(7)
    send(MAILS, order)

@consumer(MAILS)
def mail(order: dict) -> None:
    print("mail", order["id"])
    if order["id"] == "crash":
        os._exit(3)  # the status for which gunicorn gives up, and does not replace its worker
""",
    "app__gcp": "from app.orders import mail\nfrom peeklock import cloudtasks\n\nmail_http = cloudtasks.bind(mail)\n",
}


def test_across_clouds_and_crashes(tmp_path):
    """A message to a queue that only another platform consumes arrives there. The output says so, and it names queues
    that nobody consumes and the end of a function's process. `peeklock send` needs no platform for such a queue.
    (trials 3.3)"""
    sample.write(tmp_path, **ACROSS)
    with sample.dev(tmp_path, "--no-reload") as running:
        said = [row["say"] for row in running.said if "say" in row]
        assert "sqs: messages sent to 'mails' go to cloudtasks, the only platform here that consumes it" in said
        assert "cloudtasks: messages sent to 'orders' go to sqs, the only platform here that consumes it" in said
        assert "no function here consumes 'audit': messages stay in the queue" in said
        send(tmp_path, "sqs", "m-1")
        running.until("line", platform="cloudtasks", text="mail m-1")
        send(tmp_path, "sqs", "crash")
        ended = "app.aws:handler: Runtime.ExitError: exit status 7; its messages (1) come back when their locks end"
        running.until("line", platform="sqs", text=ended)
        ran = sample.command(tmp_path, "send", "mails", "-", stdin=b'{"id": "crash"}')
        assert ran.returncode == 0, ran.stderr
        running.until("line", platform="cloudtasks", text="its process ended, with exit status 3; it starts again")
        sample.command(tmp_path, "send", "mails", "-", stdin=b'{"id": "m-2"}')
        running.until("line", platform="cloudtasks", text="mail m-2")
        ran = sample.command(tmp_path, "send", "audit", "-")
        assert b"add --platform sqs or --platform cloudtasks" in ran.stderr
    assert not sample.processes(tmp_path)


def test_which_files_are_the_functions(tmp_path):
    """The files are the imported ones, other Python files of their packages, and the settings of a function app; while
    nothing loads, every Python file. (trials 3.3)"""
    sample.write(tmp_path)
    project = load(tmp_path)
    code = WatchedCode.of(project, discover(project))
    theirs = ("app/orders.py", "app/lazy.py", "azure/function_app.py", "azure/host.json", "azure/local.settings.json")
    excluded = ("data.json", "app/data.json", "pyproject.toml", "scripts/run.py", "azure/data.json")
    assert [name for name in (*theirs, *excluded) if code.has(tmp_path / name)] == list(theirs)
    unknown = WatchedCode.unknown(project)
    assert unknown.has(tmp_path / "scripts/run.py")
    assert not unknown.has(tmp_path / "data.json")
