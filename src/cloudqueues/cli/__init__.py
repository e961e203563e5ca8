"""The command `cloudqueues`: one emulator in a process of its own, until Ctrl-C or SIGTERM."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping, Sequence

from cloudqueues.cli import cloudtasks, functions, servicebus, sqs_lambda
from cloudqueues.errors import CloudqueuesError, ConfigError
from cloudqueues.shutdown import until_stopped

DESCRIPTION = (
    "Emulators of cloud queues, for the clouds' own clients: no Docker, no account, nothing kept after the end."
)

EPILOG = """\
Each command prints the variables that clients need, as `export NAME='value'`, and serves until Ctrl-C or SIGTERM.
`COMMAND --help` shows examples.

exit codes:
  0  stopped by Ctrl-C or SIGTERM
  2  the emulator could not be started, and the last line says why: a port that is taken, a wrong configuration,
     a package that is not installed
"""


def main(
    argv: Sequence[str] | None = None, *, prog: str = "cloudqueues", names: Mapping[str, str] | None = None
) -> int:
    """Run the command line and return its exit code. `names` replaces names of the printed variables."""
    parser = argparse.ArgumentParser(
        prog=prog, description=DESCRIPTION, epilog=EPILOG, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for command in (servicebus, cloudtasks, sqs_lambda, functions):
        subparser = command.add_to(commands)
        subparser.add_argument("--json", action="store_true", help="print the variables as one JSON object")
        subparser.set_defaults(serve=command.serve)
    options = parser.parse_args(argv)
    try:
        _run(options, names or {})
    except CloudqueuesError as exc:
        print(f"{prog} {options.command}: {exc}", file=sys.stderr)
        return 2
    return 0


def _run(options: argparse.Namespace, names: Mapping[str, str]) -> None:
    """Serve until a signal. Raises ConfigError, also for a port that is taken."""
    try:
        with until_stopped() as wakeup, options.serve(options) as variables:
            _print({names.get(name, name): value for name, value in variables.items()}, as_json=options.json)
            wakeup.wait()
    except OSError as exc:
        raise ConfigError(f"{_address(options)}: {exc.strerror or exc}") from None


def _print(variables: Mapping[str, str], *, as_json: bool) -> None:
    if as_json:
        print(json.dumps(variables), flush=True)
        return
    for name, value in variables.items():
        print(f"export {name}='{value}'", flush=True)


def _address(options: argparse.Namespace) -> str:
    """Return the ports that were asked for: the error of a socket does not say which of them is taken."""
    http_port = getattr(options, "http_port", 0)
    ports = f"port {options.port} or HTTP port {http_port}" if http_port else f"port {options.port}"
    return f"{ports} of {options.host}"
