"""The command `peeklock`."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from peeklock.cli import bundle, dev, emulator, keys, replay, send, settings
from peeklock.cli.escaping import escaped
from peeklock.errors import PeeklockError

DESCRIPTION = "One contract for queue-triggered functions, on every cloud."


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code."""
    parser = argparse.ArgumentParser(prog="peeklock", description=DESCRIPTION)
    parser.add_argument("--version", action=_Version, nargs=0, help="print the version")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for command in (dev, replay, send, keys, bundle, settings, emulator):
        command.add_to(commands)
    options = parser.parse_args(argv)
    try:
        code: int = options.run(options)
    except _refusals() as exc:
        print(escaped(f"peeklock {options.command}: {exc}"), file=sys.stderr)
        return 2
    except BrokenPipeError:  # the reader closed the pipe
        sys.stderr.close()
        return 141
    except KeyboardInterrupt:
        return 130
    return code


def _refusals() -> tuple[type[Exception], ...]:
    """Return the errors whose text is for the user. Called after an error: the emulators are loaded by then, or were not used."""
    emulators = sys.modules.get("cloudqueues.errors")
    return (PeeklockError, emulators.CloudqueuesError) if emulators else (PeeklockError,)


class _Version(argparse.Action):
    """Looks the version up only when asked, since that costs more than the rest of the start."""

    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> None:
        from importlib.metadata import version

        print(f"peeklock {version('peeklock')}")
        parser.exit()
