"""Entry point of the worker process."""

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
    options, _ = parser.parse_known_args()  # the rest are the real worker's, which libraries in it read
    _die_with(options.parent)
    os.chdir(options.app)
    sys.path.insert(0, options.app)
    asyncio.run(_main(options))


def _die_with(parent: int) -> None:
    """End this process with its parent where the system can do that; elsewhere the end of the channel does it."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:
            os.killpg(0, signal.SIGKILL)


async def _main(options: argparse.Namespace) -> None:
    channel = Channel(options.channel)
    inbox: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
    loop = asyncio.get_running_loop()

    def on_message(message: dict[str, Any]) -> None:
        loop.call_soon_threadsafe(inbox.put_nowait, message)

    logging.getLogger().addHandler(Records(channel))
    logging.getLogger().setLevel(logging.INFO)
    threading.Thread(target=channel.listen, args=(on_message,), name="host", daemon=True).start()
    await Dispatcher(channel, options.host).serve(inbox)
