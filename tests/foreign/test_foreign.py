"""A platform and a store of somebody else's package, found by their entry points: nothing in this tree knows them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from peeklock.bundle import code, entries
from peeklock.bundle.contents import Entry
from peeklock.bundle.targets import TARGETS
from tests.dev import sample
from tests.support import ROOT

PACKAGES = os.pathsep.join([str(Path(__file__).parent / "package"), str(ROOT / "src")])

WORK = """
from inhouse import spool
from peeklock import Queue, consumer, send

ORDERS = Queue("orders")
RECEIPTS = Queue("receipts")

@consumer(ORDERS, key="order_id")
def charge(order: dict) -> None:
    send(RECEIPTS, {"order_id": order["order_id"]})

entry = spool.bind(charge)
"""


EVENT = {"spool": "orders", "lines": ['{"order_id": "o-1"}']}


@pytest.fixture
def project(tmp_path):
    """A project that uses the package."""
    (tmp_path / "work.py").write_text(WORK)
    (tmp_path / "pyproject.toml").write_text('[tool.peeklock.dev]\nspool = ["work:entry"]\n')
    (tmp_path / "events" / "spool").mkdir(parents=True)
    (tmp_path / "events" / "spool" / "order.json").write_text(json.dumps(EVENT))
    return tmp_path


@pytest.fixture
def run(project, tmp_path):
    """Run a program, or `peeklock` with arguments, in the project."""
    environ = {
        **{name: value for name, value in os.environ.items() if not name.startswith("PEEKLOCK_")},
        "PYTHONPATH": os.pathsep.join([str(tmp_path), PACKAGES]),
        "PEEKLOCK_STORE": "ledger://shop",
        "PEEKLOCK_ORDERS_DEAD_LETTER": f"spool://{tmp_path}/dead",
        "PEEKLOCK_RECEIPTS_URL": f"spool://{tmp_path}/receipts?mode=append",
    }

    def run(*command: str) -> subprocess.CompletedProcess[str]:
        if command[0] == "peeklock":
            command = ("-m", "peeklock.cli", *command[1:])
        return subprocess.run(
            [sys.executable, *command],
            check=False,
            capture_output=True,
            text=True,
            env=environ,
            cwd=tmp_path,
            timeout=60,
        )

    return run


def test_it_runs(run, tmp_path):
    """With its store, its queue for dead letters, and its queue for what the handler sends."""
    lines = ['{"order_id": "o-1"}', "{", '{"order_id": "o-1"}']
    ran = run("-c", f"import work; print(*work.entry({{'spool': 'orders', 'lines': {lines!r}}}))")
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout.splitlines()[-1] == "done invalid duplicate"
    assert "ledger: orders/o-1" in ran.stdout
    assert (tmp_path / "receipts").read_text() == '{"order_id":"o-1"}\n'
    assert (tmp_path / "dead").read_bytes() == b"{\n"


def test_it_is_replayed(run):
    """Sample events are recognised by their shape, or by its name; their handlers are those of its entry for `peeklock dev`."""
    for more in ((), ("--platform", "spool"), ("--handler", "work:charge")):
        ran = run("peeklock", "replay", "events", "--json", *more)
        assert ran.returncode == 0, ran.stderr
        first = json.loads(ran.stdout.splitlines()[0])
        assert (first["platform"], first["disposition"], first["reason"]) == ("spool", "complete", "done")


def test_it_runs_under_dev(project):
    """With a runner of its own: a message goes through its emulator, its function and its queue to the next one."""
    with sample.dev(project, "--no-reload", PYTHONPATH=PACKAGES) as running:
        ran = sample.command(project, "send", "orders", "-", stdin=b'{"order_id": "o-1"}', PYTHONPATH=PACKAGES)
        assert ran.returncode == 0, ran.stderr
        running.until("settled", platform="spool", queue="orders", reason="done")
        assert (project / ".peeklock" / "spool-receipts").read_text() == '{"order_id":"o-1"}\n'
        assert running.end() == 0
    assert not sample.processes(project)


def test_a_mistyped_entry_for_dev_is_refused(run, project):
    """With the nearest name, also of another package's."""
    (project / "pyproject.toml").write_text('[tool.peeklock.dev]\nspol = ["work:entry"]\n')
    ran = run("peeklock", "dev")
    assert ran.returncode == 2
    assert ran.stderr.endswith("'spol' is no platform that `peeklock dev` runs; did you mean 'spool'?\n")


def test_a_bundle_takes_it():
    """The value of its `bind` is unknown, as the package need not be installed where the bundle is built."""
    modules = code.modules({"work.py": Entry(part="app", data=WORK.encode(), source="work.py")}, TARGETS["aws"])
    described = entries.entries(modules)
    assert described["work.charge"] == {"kind": "consumer", "queue": "orders"}
    assert described["work.entry"] is None


def test_it_has_a_span(run):
    """The delays of thirteen attempts double from two seconds to the default of fifteen minutes, by its own rule."""
    ran = run("-c", "from peeklock import Queue; print(Queue('orders').span('spool').longest)")
    assert ran.stdout == "1:02:02\n", ran.stderr


def test_a_test_may_name_it(run):
    """And hears what its queues refuse."""
    text = (
        "from peeklock.testing import deliver; from work import *\n"
        "assert deliver(charge, {'order_id': 'o-1'}, platform='spool').reason == 'done'\n"
        "deliver(charge, {'order_id': 'o-1'}, platform='spol')"
    )
    ran = run("-c", text)
    assert ran.stderr.splitlines()[-1].endswith("ConfigError: platform='spol': did you mean 'spool'?")


@pytest.mark.parametrize(
    ("address", "words"),
    [
        ("spool:///x?mod=1", "mod is unknown: did you mean 'mode'?"),
        ("spoil:///x", "unknown scheme 'spoil'; did you mean 'spool'?"),
    ],
)
def test_its_addresses_are_checked(run, address, words):
    """Parameters and the nearest scheme, as for a platform of the tree."""
    ran = run("-c", f"from peeklock.registry import check_sender; check_sender({address!r})")
    assert words in ran.stderr.splitlines()[-1]


def test_a_known_name_reads_no_metadata(run):
    """A cold start pays for entry points only where it uses one."""
    text = (
        "import sys; from peeklock import sqs; from peeklock.registry import check_sender, check_store\n"
        "from peeklock import Queue; from peeklock.dev.project import support_of; support_of('sqs')\n"
        "check_store('sqlite:///x'); check_sender('sb://ns/q'); Queue('q').span('sqs')\n"
        "print('importlib.metadata' in sys.modules)"
    )
    ran = run("-c", text)
    assert ran.stdout == "False\n", ran.stderr


def test_neither_does_the_command_line(run):
    """Before a command needs it."""
    text = (
        "import contextlib, io, sys; from peeklock.cli import main\n"
        "with contextlib.suppress(SystemExit), contextlib.redirect_stdout(io.StringIO()): main(['replay', '--help'])\n"
        "print('importlib.metadata' in sys.modules)"
    )
    ran = run("-c", text)
    assert ran.stdout == "False\n", ran.stderr


def test_a_mistyped_platform_is_refused(run):
    """On the command line too, with the nearest name, also of another package's."""
    ran = run("peeklock", "replay", "events", "--handler", "work:charge", "--platform", "spol")
    assert (ran.returncode, ran.stdout) == (2, "")
    assert ran.stderr == "peeklock replay: platform='spol': did you mean 'spool'?\n"
