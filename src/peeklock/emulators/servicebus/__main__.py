"""`python -m peeklock.emulators.servicebus`: prints its connection string, and runs until it is interrupted."""

from __future__ import annotations

import argparse
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

from peeklock.emulators.servicebus.emulator import ServiceBusEmulator
from peeklock.errors import ConfigError


def main(arguments: Sequence[str] | None = None) -> int:
    """Ends with 0 on SIGINT and SIGTERM, and with 2 where the configuration is wrong or the port taken."""
    given = _parser().parse_args(arguments)
    signals = {signal.SIGINT, signal.SIGTERM}
    signal.pthread_sigmask(signal.SIG_BLOCK, signals)  # before the thread starts: it inherits this
    try:
        emulator = _emulator(given).start()
    except (ConfigError, OSError) as error:
        sys.stderr.write(f"{error}\n")
        return 2
    with emulator:
        sys.stdout.write(emulator.connection_string + "\n")
        sys.stdout.flush()
        signal.sigwait(signals)
    return 0


def _emulator(given: argparse.Namespace) -> ServiceBusEmulator:
    emulator = ServiceBusEmulator(config=given.config, host=given.host, port=given.port)
    for name in given.queue:
        emulator.add_queue(name)
    return emulator


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m peeklock.emulators.servicebus", description=__doc__)
    parser.add_argument("--host", default="127.0.0.1", help="the address to listen on (loopback)")
    parser.add_argument("--port", type=int, default=5672, help="0 takes a free one (5672, the SDKs' own)")
    parser.add_argument("--queue", action="append", default=[], metavar="NAME", help="a queue to have; repeatable")
    parser.add_argument("--config", type=Path, metavar="FILE", help="a config.json of Microsoft's emulator")
    return parser


if __name__ == "__main__":
    sys.exit(main())
