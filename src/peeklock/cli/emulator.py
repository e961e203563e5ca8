"""`peeklock emulator`: the command `cloudqueues`, whose variables have peeklock's names."""

from __future__ import annotations

import argparse
from typing import Any

from peeklock.errors import ConfigError

HELP = "run the emulator of one service by itself"

NAMES = {
    "SERVICEBUS_CONNECTION_STRING": "PEEKLOCK_SERVICEBUS",
    "SERVICEBUS_CERTIFICATE": "PEEKLOCK_SERVICEBUS_CERTIFICATE",
    "SERVICEBUS_ADMIN_CONNECTION_STRING": "PEEKLOCK_SERVICEBUS_ADMIN",
    "CLOUD_TASKS_CERTS_URL": "PEEKLOCK_CERTS_URL",
}
"""Variables that peeklock and its functions read, by their names in cloudqueues."""


def add_to(commands: Any) -> None:
    # No argument begins with this prefix, so that all of them, --help too, reach the command of cloudqueues.
    parser: argparse.ArgumentParser = commands.add_parser("emulator", help=HELP, add_help=False, prefix_chars="\0")
    parser.add_argument("arguments", nargs=argparse.REMAINDER)
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Serve until stopped, and return the exit code. Raises ConfigError where cloudqueues is not installed."""
    try:
        from cloudqueues.cli import main
    except ImportError as exc:
        raise ConfigError("the emulators are not installed: pip install 'peeklock[dev]'") from exc
    return main(options.arguments, prog="peeklock emulator", names=NAMES)
