"""Arguments that several commands share."""

from __future__ import annotations

import argparse
from collections.abc import Iterable
from typing import Any

from cloudqueues.errors import ConfigError


def command(commands: Any, name: str, summary: str, epilog: str) -> argparse.ArgumentParser:
    """Add a command, with the options for where it listens."""
    parser: argparse.ArgumentParser = commands.add_parser(
        name, help=summary, description=summary, epilog=epilog, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on; default: %(default)s")
    parser.add_argument("--port", type=int, default=0, help="default: a free one")
    return parser


def add_queues(parser: argparse.ArgumentParser, example: str) -> None:
    parser.add_argument(
        "--queue", action="append", default=[], metavar="NAME", help=f"create this queue, such as {example}; repeatable"
    )


def add_variables(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--env", action="append", default=[], metavar="NAME=VALUE", help="variable of the function; repeatable"
    )


def variables(pairs: Iterable[str]) -> dict[str, str]:
    """Return the variables of `--env`. Raises ConfigError for text without `=`."""
    for pair in pairs:
        if "=" not in pair:
            raise ConfigError(f"--env {pair}: write NAME=VALUE")
    return dict(pair.split("=", 1) for pair in pairs)
