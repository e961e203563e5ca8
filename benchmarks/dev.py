"""How long a user of `peeklock dev` waits: until it is ready on three clouds, and until a first message is handled."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent
COMMAND = [sys.executable, "-m", "peeklock.cli"]
ORDER = {"order_id": "bench-1", "customer": "c", "cents": 500, "card": "tok_ok"}
TARGET = 5.0
"""Seconds."""

LONGEST = 60
"""Seconds after which a `peeklock dev` that is not ready, or handles nothing, is ended and the measurement fails."""


def measure() -> list[dict[str, object]]:
    """There is no peer: "theirs" is what is asked for."""
    began = time.perf_counter()
    process = subprocess.Popen(
        [*COMMAND, "dev", "--json", "--no-reload"], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    )
    deadline = threading.Timer(LONGEST, process.kill)
    deadline.start()
    try:
        wait(process, "ready", "after_s")
        ready = time.perf_counter() - began
        send = [*COMMAND, "send", "orders", "-", "--platform", "sqs"]
        subprocess.run(send, cwd=ROOT, input=json.dumps(ORDER).encode(), stdout=subprocess.DEVNULL, check=True)
        wait(process, "settled", "done")
        handled = time.perf_counter() - began
    finally:
        deadline.cancel()
        process.terminate()
        process.wait()
    return [row("ready", ready), row("first message handled, `peeklock send` included", handled)]


def wait(process: subprocess.Popen[bytes], kind: str, text: str) -> None:
    for line in process.stdout or ():
        event: dict[str, Any] = json.loads(line)
        if text in json.dumps(event.get(kind, "")):
            return
    raise RuntimeError(f"peeklock dev ended, with exit code {process.wait()}")


def row(name: str, seconds: float) -> dict[str, object]:
    named = {"name": f"peeklock dev, three clouds: {name}", "ours": seconds, "theirs": TARGET, "unit": "s"}
    return {**named, "ratio": seconds / TARGET, "target": 1.0}


if __name__ == "__main__":
    for one in measure():
        print(one)
