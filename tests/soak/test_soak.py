"""Thousands of messages on each cloud while everything goes wrong; and planted bugs, which make it fail.

make soak        10,000 messages on each cloud; the counts and the seed are printed
SOAK_SEED=7 ...  the same faults again
"""

from __future__ import annotations

import gc
import json
import os
import re
import secrets
import time
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from tests.soak.aws import Aws
from tests.soak.azure import Azure
from tests.soak.gcp import Gcp
from tests.soak.plan import draw
from tests.soak.run import APP, Soak, summary
from tests.support import ROOT

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(3600),
    pytest.mark.filterwarnings("ignore:(unclosed|loop is closed):ResourceWarning"),  # SDKs leave broken lines behind
]

MESSAGES = int(os.environ.get("SOAK_MESSAGES", "1000"))

CLOUDS: dict[str, Any] = {"sqs": Aws, "servicebus": Azure, "cloudtasks": Gcp}


def environ(folder: Path, seed: int, bug: str, *, fifo: bool) -> dict[str, str]:
    """Return the environment of the functions."""
    return {
        "PEEKLOCK_STORE": f"sqlite://{folder}/keys.db",
        "SOAK_LEDGER": str(folder / "ledger"),
        "SOAK_SEED": str(seed),
        "SOAK_BUG": bug,
        "SOAK_FIFO": str(int(fifo)),
        "PYTHONPATH": os.pathsep.join([str(APP), str(ROOT / "src"), str(ROOT)]),
    }


def soak(
    name: str, folder: Path, messages: int, *, fifo: bool = False, bug: str = "", patience: float = 60
) -> list[str]:
    """Run it, print its counts, and return the laws that broke."""
    seed = int(os.environ.get("SOAK_SEED") or secrets.randbelow(10**6))
    print(
        f"\n{name}{' in groups' if fifo else ''}{f' with the bug {bug!r}' if bug else ''}: SOAK_SEED={seed}", flush=True
    )
    started = time.monotonic()
    with closing(CLOUDS[name](folder, environ(folder, seed, bug, fifo=fifo), seed, fifo=fifo)) as cloud:
        soak_run = Soak(cloud, folder / "ledger", draw(messages, seed, fifo=fifo), patience)
        broken = soak_run.run()
    gc.collect()  # what an SDK leaves behind is found here, where it is expected
    counts = summary(soak_run, time.monotonic() - started, seed)
    print(json.dumps(counts), flush=True)
    return broken


KINDS = [
    pytest.param(name, fifo, id=f"{name} {'in groups' if fifo else 'alone'}")
    for name, cloud in CLOUDS.items()
    for fifo in ([False, True] if cloud.groups else [False])
]


@pytest.mark.parametrize(("name", "fifo"), KINDS)
def test_nothing_is_lost(name, fifo, tmp_path):
    """None lost, no two runs of a key at once, no effect repeated without a crash or a lost record, each message done or
    dead-lettered with its reason, and what is redriven really runs."""
    broken = soak(name, tmp_path, MESSAGES, fifo=fifo)
    assert not broken, "\n".join(broken[:20])


BUGS = {
    "early": "is lost",
    "unfenced": "ran twice at once|ran after its recorded success",
    "generations": "was redriven, and did not run",
}
"""The laws that each breaks."""


@pytest.mark.parametrize("bug", BUGS)
@pytest.mark.parametrize("name", CLOUDS)
def test_a_planted_bug_is_found(name, bug, tmp_path):
    """Acknowledged before the dead letter is published; completed without fencing; generations ignored."""
    broken = soak(name, tmp_path, 300, bug=bug, patience=20)
    assert [text for text in broken if re.search(BUGS[bug], text)], broken[:20]
