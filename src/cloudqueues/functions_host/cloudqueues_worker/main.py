"""From the start of the process to the end of its host."""

from __future__ import annotations

import argparse
import asyncio
import ctypes
import logging
import os
import signal
import sys
import threading
from typing import Any

from .channel import Channel
from .dispatcher import Dispatcher, Records

PR_SET_PDEATHSIG = 1


def main() -> None:
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--app", required=True)
    parser.add_argument("--channel", type=int, required=True)
    parser.add_argument("--parent", type=int, required=True)
    known, _ = parser.parse_known_args()  # the others are the real worker's, which libraries in it read
    _die_with(known.parent)
    os.chdir(known.app)
    sys.path.insert(0, known.app)
    asyncio.run(_main(known))


def _die_with(parent: int) -> None:
    """Where the system can end a process with its parent, it does so at once; else the channel's end does it."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:
            os.killpg(0, signal.SIGKILL)


async def _main(options: argparse.Namespace) -> None:
    channel = Channel(options.channel)
    inbox: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
    loop = asyncio.get_running_loop()

    def emit_line(message: dict[str, Any]) -> None:
        loop.call_soon_threadsafe(inbox.put_nowait, message)

    logging.getLogger().addHandler(Records(channel))
    logging.getLogger().setLevel(logging.INFO)
    threading.Thread(target=channel.listen, args=(emit_line,), name="host", daemon=True).start()
    await Dispatcher(channel, options.host).serve(inbox)
