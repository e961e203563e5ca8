"""The package of docs/extending.md, as it is written there: it passes the contract suites, runs, replays and can be redriven."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support import ROOT

PAGE = (ROOT / "docs/extending.md").read_text()

WORK = """
import json, sys
from inhouse import spool
from peeklock import DeadLetter, Queue, consumer

@consumer(Queue("orders", max_attempts=2), key="n")
def charge(order: dict) -> None:
    if order["n"] == 1:
        raise DeadLetter("no such order")
    if order["n"] == 2:
        raise ValueError("not now")

entry = spool.bind(charge)

if __name__ == "__main__":
    print(json.dumps(entry(json.loads(sys.argv[1]))))
"""


@pytest.fixture
def package(tmp_path) -> Path:
    """The page's files, installed as far as entry points are concerned."""
    for name, text in re.findall(r"```python\n# (\S+\.py)\n(.*?)```", PAGE, re.DOTALL):
        file = tmp_path / name
        file.parent.mkdir(exist_ok=True)
        file.write_text(text)
    (points,) = re.findall(r"```toml\n(\[project.entry-points.*?)```", PAGE, re.DOTALL)
    metadata = tmp_path / "inhouse-1.0.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: inhouse\nVersion: 1.0\n")
    (metadata / "entry_points.txt").write_text(
        points.replace('[project.entry-points."', "[").replace('"]', "]").replace('"', "")
    )
    (tmp_path / "work.py").write_text(WORK)
    return tmp_path


@pytest.fixture
def run(package) -> Callable[..., str]:
    def run(*words: str) -> str:
        environ = {
            **os.environ,
            "PYTHONPATH": os.pathsep.join([str(package), str(ROOT / "src")]),
            "PEEKLOCK_STORE": f"ledger://{package}/keys",
            "PEEKLOCK_ORDERS_DEAD_LETTER": f"spool://{package}/dead?mode=append",
        }
        done = subprocess.run(
            [sys.executable, *words], env=environ, cwd=package, capture_output=True, text=True, timeout=120, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    return run


def test_its_store_and_its_sender_keep_the_contracts(run):
    assert " passed" in run("-m", "pytest", "-q", "-p", "no:cacheprovider", "--rootdir", ".", "test_inhouse.py")


def test_it_runs_and_its_dead_letter_runs_again(run, package):
    """A message that was dead-lettered has its lineage, so that it runs again."""
    messages = [{"id": f"m-{n}", "body": json.dumps({"n": n})} for n in range(3)]
    event = json.dumps({"spool": "orders", "messages": messages})
    (name,), (delay,) = zip(*json.loads(run("work.py", event)).items(), strict=True)
    assert (name, 0 <= delay <= 2) == ("m-2", True)
    (line,) = (package / "dead").read_text().splitlines()
    dead_letter = json.loads(line)
    assert json.loads(dead_letter["attributes"]["peeklock"])["generation"] == 1
    run("work.py", json.dumps({"spool": "orders", "messages": [dead_letter]}))
    first, second = (package / "dead").read_text().splitlines()
    assert [json.loads(json.loads(line)["attributes"]["peeklock"])["generation"] for line in (first, second)] == [1, 2]


def test_it_is_replayed_and_has_a_span(run, package):
    (package / "one.json").write_text(json.dumps({"spool": "orders", "messages": [{"id": "m", "body": '{"n": 0}'}]}))
    replayed = run("-m", "peeklock.cli", "replay", "one.json", "--handler", "work:entry", "--json").splitlines()
    assert (json.loads(replayed[0])["platform"], json.loads(replayed[0])["reason"]) == ("spool", "done")
    assert run("-c", "from peeklock import Queue; print(Queue('a').span('spool').longest)").strip() == "1:02:02"
