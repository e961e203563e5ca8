"""The folder of a running `peeklock dev`: one run at a time, and nothing of an earlier one."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from contextlib import nullcontext
from pathlib import Path

import pytest

import peeklock
from cloudqueues.shutdown import CHANGED, Wakeup, until_stopped
from peeklock.dev import discovery
from peeklock.dev.describe import _check_deployed, _is_installed
from peeklock.dev.function_app import _is_app
from peeklock.dev.functions import RunningFunctions
from peeklock.dev.project import Project, load
from peeklock.dev.state import FOLDER, addresses, opened
from peeklock.dev.watched_code import WatchedCode
from peeklock.dev.watching import watching
from peeklock.errors import ConfigError
from tests.dev import sample
from tests.support import environment
from tests.test_screen import Heard


def test_two_runs_in_one_folder(tmp_path):
    """The second is refused from the start of the first, before that has written any address."""
    refused = pytest.raises(ConfigError, match=f"runs here already, as process {os.getpid()}: stop it first")
    with opened(tmp_path, Heard()), refused, opened(tmp_path, Heard()):
        pass
    with opened(tmp_path, Heard()):
        pass


HOLDING = """
import os, signal, sys
from pathlib import Path
from peeklock.dev.state import opened
from tests.test_screen import Heard
with opened(Path(sys.argv[1]), Heard()) as state:
    state.write_addresses({"sqs": {"A": "b"}})
    (state.folder / "sqs.db").touch()
    print("open", flush=True)
    signal.pause()
"""


def test_a_run_that_was_killed(tmp_path):
    """The process id may belong to another process by now: the lock ends with the process. The stores of the killed run
    are removed."""
    process = subprocess.Popen([sys.executable, "-c", HOLDING, str(tmp_path)], stdout=subprocess.PIPE)
    assert process.stdout is not None
    with process.stdout:
        assert process.stdout.readline() == b"open\n"
        assert addresses(tmp_path / FOLDER) == {"sqs": {"A": "b"}}
        process.send_signal(signal.SIGKILL)
        process.wait()
    file = tmp_path / FOLDER / "dev.json"
    file.write_text(json.dumps({"pid": os.getpid(), "platforms": {}}))
    assert addresses(tmp_path / FOLDER) is None
    with opened(tmp_path, Heard()) as state:
        assert sorted(path.name for path in state.folder.iterdir()) == [".gitignore", "lock"]


def test_a_dead_letter_names_its_queue(tmp_path):
    """Where it lies, by the platform and the queue of the event; other events have none."""
    screen = Heard()
    with opened(tmp_path, screen) as state:
        state.dead_letters["sqs"] = {"PEEKLOCK_ORDERS_DEAD_LETTER": "http://127.0.0.1/orders-dead-letters"}
        host, _, port = state.follow.partition(":")
        for fields in (
            {"platform": "sqs", "queue": "orders", "disposition": "dead_letter"},
            {"platform": "sqs", "queue": "orders", "disposition": "complete"},
            {"platform": "gcp", "queue": "orders", "disposition": "dead_letter"},
            {"platform": "sqs", "queue": "no name!", "disposition": "dead_letter"},
        ):
            sample.datagram(host, int(port), json.dumps({"settled": fields}).encode())
        seen = [screen.all.get(timeout=10)[1].get("dead_letter_queue") for _ in range(4)]
    assert seen == ["http://127.0.0.1/orders-dead-letters", None, None, None]


def test_lines_of_hosts_and_sdks_are_left_out(tmp_path):
    """The function's own stay."""
    screen = Lines()
    with opened(tmp_path, screen) as state:
        for line in (
            "LAMBDA_WARNING: Unhandled exception.",
            "INFO azure.core: x",
            "WARNING root: Auth level is not applied to non http function app.",
            "[2026-11-30 12:00:00 +0000] [7] [INFO] Control socket listening at /tmp/x",
            '{"_aws": {}}',
            "mine",
        ):
            state.on_line("sqs", line)
    assert screen.seen == ["mine"]


class Lines(Heard):
    def __init__(self) -> None:
        super().__init__()
        self.seen: list[str] = []

    def line(self, platform: str, text: str) -> None:
        del platform
        self.seen.append(text)


@pytest.mark.parametrize("table", ["sqs = []", "sqs = []\ncloudtasks = []"])
def test_a_table_with_nothing_to_run(tmp_path, table):
    """It is refused with an example."""
    (tmp_path / "pyproject.toml").write_text(f"[tool.peeklock.dev]\n{table}\n")
    with pytest.raises(ConfigError, match=r"(?s)names nothing to run; for instance:.*sqs = \["):
        load(tmp_path)


@pytest.mark.parametrize("name", ["pubsub", "kafka"])
def test_a_platform_that_dev_does_not_run(tmp_path, name):
    """It is refused with those that it runs, even if messages can be received from it."""
    (tmp_path / "pyproject.toml").write_text(f"[tool.peeklock.dev]\n{name} = []\n")
    with pytest.raises(ConfigError, match=f"{name}' is no platform .* runs; known are sqs, servicebus, cloudtasks"):
        load(tmp_path)


def test_code_outside_of_the_project(tmp_path):
    """Files that PYTHONPATH adds are the functions', and their folders are watched, too."""
    (tmp_path / "project").mkdir()
    root = sample.write(tmp_path / "project", app__orders="from shared import ORDERS\n" + sample.FILES["app/orders.py"])
    common = tmp_path / "common"
    common.mkdir()
    (common / "shared.py").write_text("from peeklock import Queue\n\nORDERS = Queue('orders')\n")
    project = load(root).only(["sqs"])
    with environment(PYTHONPATH=str(common)):
        discovery = sample.discovered(project)
    assert common / "shared.py" in discovery.files
    assert not [file for file in discovery.files if file.name in ("consumer.py", "json.py")], (
        "installed modules do not change"
    )
    assert WatchedCode.of(project, discovery).has(common / "shared.py")
    wakeup = Wakeup()
    with watching(root, wakeup, reload=True) as changes:
        changes.watch(discovery.files)
        for n in range(20):  # until the system watches the folder
            (common / "shared.py").write_text(f"# {n}\n")
            if sample.readable(wakeup, 0.5):
                break
        assert sample.readable(wakeup, 0), "no event came"
        assert wakeup.wait() == CHANGED
        assert changes.take() == {(common / "shared.py").resolve()}
    wakeup.close()


@pytest.mark.parametrize(
    "noise",
    [
        "os.system('echo a child process')",
        "os.write(1, b'written past Python')",
        "os.write(2, b'\\xff\\xfe')",
        "atexit.register(print, 'an exit handler')",
        "print('a line')",
    ],
)
def test_output_of_the_code_is_not_taken_for_its_description(tmp_path, noise):
    root = sample.write(tmp_path, app__orders=f"import atexit, os\n\n{noise}\n" + sample.FILES["app/orders.py"])
    assert "orders" in sample.discovered(load(root).only(["sqs"])).queues


def test_a_process_that_the_code_leaves_behind_is_not_waited_for(tmp_path, monkeypatch):
    child = "subprocess.Popen([sys.executable, '-c', 'input()'], stdin=open(os.environ['STDIN']))"
    imports = f"import os, subprocess, sys\n\nchild = {child}\n"
    root = sample.write(tmp_path, app__orders=imports + sample.FILES["app/orders.py"])
    fifo = tmp_path / "stdin"
    os.mkfifo(fifo)
    end = os.open(fifo, os.O_RDWR)
    monkeypatch.setattr(discovery, "DESCRIBE_SECONDS", 20)
    try:
        with environment(STDIN=str(fifo)):
            assert "orders" in sample.discovered(load(root).only(["sqs"])).queues
    finally:
        os.write(end, b"end\n")
        os.close(end)


@pytest.mark.parametrize("table", ["tool = 1", "[tool]\npeeklock = 'sqs'", "[tool.peeklock]\ndev = ['sqs']"])
def test_a_table_that_is_none(tmp_path, table):
    (tmp_path / "pyproject.toml").write_text(f"{table}\n")
    with pytest.raises(ConfigError, match="does not say what to run"):
        load(tmp_path)


def test_platforms_are_run_in_one_order_whatever_the_tables(tmp_path):
    table = 'cloudtasks = ["app:task"]\nsqs = ["app:handler"]'
    (tmp_path / "pyproject.toml").write_text(f"[tool.peeklock.dev]\n{table}\n")
    assert list(load(tmp_path).entries) == ["sqs", "cloudtasks"]


def test_the_class_of_a_function_app_is_no_app():
    class App:
        def get_functions(self) -> list[object]:
            return []

    assert [_is_app(value) for value in (App(), App, 7)] == [True, False, False]


def test_the_names_of_a_function_app(tmp_path):
    """The class of the app may stand beside it, and the app may have two names."""
    app = sample.FILES["azure/function_app.py"]
    app = f"from azure.functions import FunctionApp\n{app}\napplication = app\n"
    root = sample.write(tmp_path, azure__function_app=app)
    described = sample.discovered(load(root).only(["servicebus"])).described["servicebus"]
    assert [handler["queue"] for handler in described] == ["orders"]


def test_code_that_does_not_load_is_still_watched(tmp_path):
    """Also what was watched before, since the correction may be there."""
    project = Project(root=tmp_path, entries={"sqs": ("app.aws:handler",)})
    before = WatchedCode(files=frozenset({tmp_path.parent / "x.json"}), folders=frozenset({tmp_path.parent / "common"}))
    unknown = WatchedCode.unknown(project, before)
    assert unknown.has(tmp_path / "new.py")
    assert unknown.has(tmp_path.parent / "common" / "shared.py")
    assert unknown.has(tmp_path.parent / "x.json")


def test_names_that_do_not_exist(tmp_path):
    """The nearest one is named, rather than `sqs.bind`."""
    root = sample.write(tmp_path)
    project = Project(root=root, entries={"sqs": ("app.aws:handlr",)})
    with pytest.raises(ConfigError, match=r"app\.aws:handlr: app\.aws has no 'handlr'; did you mean 'handler'\?"):
        sample.discovered(project)


def test_a_signal_is_seen_while_the_main_thread_waits():
    """A call that the main thread waits for, such as a command that hangs, can be ended; the stop itself is in
    order."""
    calls: list[str] = []
    with until_stopped(lambda: calls.append("stop")) as wakeup:
        assert not wakeup.stopping()
        wakeup.notify()
        assert not wakeup.stopping(), "a change is no signal"
        os.kill(os.getpid(), signal.SIGTERM)
        assert calls == ["stop"]
        assert wakeup.stopping()
        assert wakeup.wait() == CHANGED
        assert wakeup.wait() == bytes([signal.SIGTERM])


def test_functions_are_replaced_together():
    """New ones start before the old ones stop; where one does not start, the old ones go on."""
    log: list[str] = []

    class One:
        def __init__(self, name: str, error: Exception | None = None) -> None:
            self.name, self.error = name, error

        def start(self) -> None:
            log.append(f"start {self.name}")
            if self.error is not None:
                raise self.error

        def stop(self) -> None:
            log.append(f"stop {self.name}")

    functions = RunningFunctions()
    functions.replace([One("a")])
    functions.replace([One("b")], switch=lambda: log.append("switch"))
    with pytest.raises(ConfigError, match="broken"):
        functions.replace([One("c", ConfigError("broken"))], switch=lambda: log.append("never"))
    functions.replace([One("d")], stop_first=True)
    functions.stop()
    functions.stop()
    expected = "start a, start b, switch, stop a, start c, stop c, stop b, start d, stop d"
    assert ", ".join(log) == expected


def test_which_files_are_installed(tmp_path):
    """Python's own, peeklock's, and those in site-packages; not what PYTHONPATH adds."""
    files = (
        json.__file__,
        pytest.__file__,
        peeklock.__file__,
        tmp_path / "project" / "a.py",
        tmp_path / "common" / "b.py",
    )
    installed = [_is_installed(Path(file), tmp_path / "project") for file in files]
    assert installed == [True, True, True, False, False]
    assert _is_installed(tmp_path / "project" / ".venv" / "site-packages" / "c.py", tmp_path / "project")


@pytest.mark.parametrize(
    ("platform", "target", "own", "fix"),
    [
        ("sqs", "handlers.aws_sqs.handler:handler", "ORDERS", None),
        ("sqs", "handlers.orders.charge:charge", "ORDERS", r"handlers\.orders\.charge:charge is not what sqs\.bind"),
        ("servicebus", "handlers.orders.charge:charge", "ORDERS", None),
        ("servicebus", "handlers.aws_sqs.handler:handler", "ORDERS", "is not the consumer itself"),
        (
            "sqs",
            "handlers.aws_sqs.handler:receipts_handler",
            "ORDERS",
            "consumes queue 'receipts', .* for queue ORDERS",
        ),
    ],
)
def test_a_handler_and_its_queue(platform, target, own, fix):
    """The consumer for Azure, whose trigger is rendered around it; else what the platform's bind made, of the function's queue."""
    refused = nullcontext() if fix is None else pytest.raises(ConfigError, match=fix)
    with environment(**{f"PEEKLOCK_{own}_FINGERPRINT": "abc"}), refused:
        _check_deployed(function="f", platform=platform, target=target)


SETTLED = 'peeklock.settled platform=sqs queue=orders disposition=abandon detail="ValueError: \\"no\\" \\\\"'


@pytest.mark.parametrize(
    ("text", "lines"),
    [
        (f"connecting to bank ... {SETTLED}\nValueError: no", ["connecting to bank ... ", "ValueError: no"]),
        (f"issuing {SETTLED}\na 1", ["issuing ", "a 1"]),
        (f"[WARNING]\t2026-11-30T12:00:00.123Z\t6f1c2a34-0000-4000-8000-123456789abc\t{SETTLED}", []),
        (f"WARNING peeklock: {SETTLED}", []),
        (f"paying: WARNING:peeklock:{SETTLED}", ["paying: "]),
        (f"2026-11-30 12:00:00,123 WARNING peeklock - {SETTLED}", []),
        (f"x{SETTLED}then", ["x", "then"]),
        (SETTLED[:-1], []),  # a host cut the line off
        ('paying {"level": "INFO", "message": "peeklock.settled", "queue": "orders"} then', ["paying ", " then"]),
        (json.dumps({"n": {}, "message": SETTLED}), []),
        (f"a {{b}} {json.dumps({'message': SETTLED})}", ["a {b} "]),
        ("my own line on peeklock.settled", ["my own line on peeklock.settled"]),
        ('{"note": "see peeklock.settled"} {', ['{"note": "see peeklock.settled"} {']),
    ],
)
def test_only_a_record_is_left_out(tmp_path, text, lines):
    """Text that a handler printed without a line end stays, and so does a line that only has the word. (stranger 2, bug 1)"""
    screen = Lines()
    with opened(tmp_path, screen) as state:
        state.on_line("cloudtasks", text)
    assert screen.seen == lines
