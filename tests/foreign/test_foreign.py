"""A platform and a store of somebody else's package, found by their entry points: nothing in this tree knows them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support import ROOT

HERE = Path(__file__).parent

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


@pytest.fixture
def run(tmp_path):
    """Run a program, or `peeklock` with arguments, in a project that uses the package."""
    (tmp_path / "work.py").write_text(WORK)
    environ = {
        **{name: value for name, value in os.environ.items() if not name.startswith("PEEKLOCK_")},
        "PYTHONPATH": os.pathsep.join([str(tmp_path), str(HERE / "package"), str(ROOT / "src")]),
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


def test_it_is_replayed(run, tmp_path):
    """Its sample events are known by their shape, and by its name."""
    (tmp_path / "event.json").write_text(json.dumps({"spool": "orders", "lines": ['{"order_id": "o-1"}']}))
    for more in ((), ("--platform", "spool")):
        ran = run("peeklock", "replay", "event.json", "--handler", "work:charge", "--json", *more)
        assert ran.returncode == 0, ran.stderr
        first = json.loads(ran.stdout.splitlines()[0])
        assert (first["platform"], first["disposition"], first["reason"]) == ("spool", "complete", "done")


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
        "check_store('sqlite:///x'); check_sender('sb://ns/q'); print('importlib.metadata' in sys.modules)"
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


def test_a_mistyped_platform_is_refused(run, tmp_path):
    """On the command line too, with the nearest name, also of another package's."""
    (tmp_path / "event.json").write_text(json.dumps({"spool": "orders", "lines": []}))
    ran = run("peeklock", "replay", "event.json", "--handler", "work:charge", "--platform", "spol")
    assert (ran.returncode, ran.stdout) == (2, "")
    assert ran.stderr == "peeklock replay: platform='spol': did you mean 'spool'?\n"
