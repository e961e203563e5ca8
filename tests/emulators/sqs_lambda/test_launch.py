"""A function that is stopped while its process starts."""

from __future__ import annotations

import asyncio
import os
import uuid
from contextlib import suppress
from pathlib import Path

import pytest

from cloudqueues.sqs_lambda.process import launch

pytestmark = pytest.mark.skipif(not Path("/proc/self/cmdline").exists(), reason="looks for processes in /proc")

MOST = 1000
"""Turns of the event loop, of which a start takes a few."""


def running(word: str) -> list[int]:
    pids = []
    for process in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):  # it ended meanwhile
            if word.encode() in (process / "cmdline").read_bytes():
                pids.append(int(process.name))
    return pids


async def cancelled_after(turns: int, handler: str, folder: Path) -> bool:
    """Cancel a launch after so many turns of the loop, and return whether that was early enough."""
    environ = {**os.environ, "AWS_LAMBDA_RUNTIME_API": "127.0.0.1:9"}
    starting = asyncio.create_task(launch(handler, environ, folder, lambda _: None))
    for _ in range(turns):
        await asyncio.sleep(0)
    starting.cancel()
    try:
        process = await starting
    except asyncio.CancelledError:
        return True
    await process.kill()
    return False


def test_none_is_left_whenever_it_is_stopped(tmp_path: Path) -> None:
    """At each turn of the loop until it is started."""
    handler = f"app.f{uuid.uuid4().hex}"

    async def all_turns() -> int:
        for turns in range(MOST):
            early = await cancelled_after(turns, handler, tmp_path)
            assert not running(handler), f"stopped after {turns} turns"
            if not early:
                return turns
        return MOST

    assert 1 < asyncio.run(all_turns()) < MOST
