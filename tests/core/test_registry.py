"""One of each a process, whoever asks first."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from peeklock import platform_registry
from peeklock.concurrency import event_loop
from peeklock.errors import ConfigError
from peeklock.registry import check_sender, check_store, open_sender, open_store
from tests.support import ROOT

PROGRAM = """
import sys
sys.path.insert(0, {root!r})
from tests.core.test_registry import {what}
print(len({what}()))
"""


def at_once(ask: Callable[[], object]) -> set[int]:
    """Return the distinct values that sixteen concurrent threads get."""
    start, got = threading.Barrier(16), []

    def run() -> None:
        start.wait(20)
        got.append(ask())

    threads = [threading.Thread(target=run) for _ in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert len(got) == 16
    return {id(answer) for answer in got}


async def running_loop() -> asyncio.AbstractEventLoop:
    return asyncio.get_running_loop()


def stores() -> set[int]:
    return at_once(lambda: open_store("memory://race"))


def senders() -> set[int]:
    return at_once(lambda: open_sender("memory://race"))


def loops() -> set[int]:
    return at_once(lambda: event_loop.run(running_loop()))


@pytest.mark.parametrize("what", ["stores", "senders", "loops"])
def test_threads_that_ask_at_once_share(what):
    """Two stores under one address would let a key run twice; a second loop breaks the connections of the first."""
    program = PROGRAM.format(root=str(ROOT), what=what)
    for _ in range(3):
        run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True)
        assert run.stdout == "1\n"


FORKING = """
import asyncio, os
from peeklock.concurrency import event_loop
async def name():
    return os.getpid()
assert event_loop.run(name()) == os.getpid()
child = os.fork()
if child == 0:
    os._exit(0 if event_loop.run(name()) == os.getpid() else 1)
print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system")
def test_a_fork_has_a_loop_of_its_own():
    """The thread of its parent's is not there."""
    command = [sys.executable, "-W", "ignore", "-c", FORKING]  # Python 3.12 warns of any fork with threads
    run = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    assert run.stdout == "0\n"


@pytest.mark.parametrize(
    ("value", "problem"),
    [
        ("no_such_package:PLATFORM", "ModuleNotFoundError: No module named 'no_such_package'"),
        ("json:no_such_name", "AttributeError: "),
        ("json:dumps", "its value is a function, not a Platform"),
    ],
)
def test_a_package_whose_platform_cannot_be_used_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, value: str, problem: str
) -> None:
    info = tmp_path / "broken-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: broken\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(f"[peeklock.platforms]\nspool = {value}\n")
    monkeypatch.syspath_prepend(tmp_path)
    platform_registry.platforms.cache_clear()
    with pytest.raises(ConfigError) as raised:
        platform_registry.find_platform("spool")
    assert str(raised.value).startswith(f"the platform 'spool' ({value}) of broken cannot be used: {problem}")
    assert str(raised.value).endswith("; update or uninstall broken")
    assert platform_registry.find_platform("sqs") is platform_registry.PLATFORMS["sqs"]


def test_the_metadata_of_packages_is_read_for_unknown_names_only(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    def entry_points(group: str) -> list[object]:
        asked.append(group)
        return []

    monkeypatch.setattr("importlib.metadata.entry_points", entry_points)
    platform_registry.platforms.cache_clear()
    check_store("memory://")
    check_sender("memory://orders")
    assert platform_registry.find_platform("sqs") is not None
    assert asked == []
    with pytest.raises(ConfigError, match="unknown scheme 'ledger'"):
        check_store("ledger://shop")
    with pytest.raises(ConfigError, match="unknown scheme 'spool'"):
        check_sender("spool://orders")
    assert asked == ["peeklock.stores", "peeklock.platforms"]
    platform_registry.platforms.cache_clear()
