"""`peeklock dev`: the project's handlers on local emulators of their clouds."""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from peeklock.dev.example import EXAMPLE
from peeklock.errors import ConfigError

HELP = "run the project's handlers on local emulators, and follow each message"

EPILOG = f"""\
pyproject.toml names what runs:

{EXAMPLE}

A platform that cannot start is reported, and the others run. Azure's needs Python 3.13, or its worker installed by hand: the
error has the command.

The queues are made from the declarations in the code. Nothing leaves this machine, no credential is asked for, and
nothing is kept: stores and dead letters are in .peeklock/, which is emptied at the start.

With --infra, your Pulumi program decides: the real engine applies it to the emulators, and each function starts with
the environment, time-out, batch size and concurrency that the program gives it. What must differ here is printed. It
needs `pulumi` on PATH, no account and no bundle, and cannot reach a cloud.

examples:
  peeklock dev                             everything
  peeklock dev sqs                         one platform
  peeklock dev --infra infra/aws --stack dev
  peeklock send orders order.json          in another terminal, while it runs
  peeklock dev --json | jq .settled        for a machine

exit codes:
  0  stopped by Ctrl-C or SIGTERM
  2  it could not be started
"""


def add_to(commands: Any) -> None:
    parser: argparse.ArgumentParser = commands.add_parser(
        "dev", help=HELP, description=HELP, epilog=EPILOG, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "platforms", nargs="*", metavar="PLATFORM", help="name in [tool.peeklock.dev]; default: all of them"
    )
    parser.add_argument(
        "--infra", metavar="FOLDER", type=Path, help="folder of a Pulumi program, which is applied to the emulators"
    )
    parser.add_argument(
        "--stack", metavar="NAME", help="stack of the program, with a file Pulumi.NAME.yaml; default: dev"
    )
    parser.add_argument("--no-reload", action="store_true", help="do not restart the functions when code changes")
    parser.add_argument("--json", action="store_true", help="one JSON object a line")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Serve until stopped, and return the exit code."""
    from peeklock.cli.screen import screen

    _check_system()
    for name in ("AWS_PROFILE", "AWS_DEFAULT_PROFILE"):  # moto reads it, and fails where the profile does not exist
        os.environ.pop(name, None)
    serve = _of_project(options) if options.infra is None else _of_program(options)
    shown = screen(as_json=options.json)
    try:
        serve(shown, reload=not options.no_reload)
    finally:
        shown.close()
    return 0


def _check_system() -> None:
    """Raise ConfigError on Windows, which has no fcntl."""
    try:
        import fcntl  # noqa: F401 - the module is only looked for
    except ImportError:
        raise ConfigError("this command needs Linux or macOS; on Windows, run it in WSL") from None


def _of_project(options: argparse.Namespace) -> Callable[..., None]:
    from peeklock.dev.project import load
    from peeklock.dev.run import run as serve

    if options.stack is not None:
        raise ConfigError("--stack is of a Pulumi program: name its folder with --infra")
    return partial(serve, load(Path.cwd()).only(options.platforms))


def _of_program(options: argparse.Namespace) -> Callable[..., None]:
    if options.platforms:
        raise ConfigError(f"--infra runs what the program makes: leave {' '.join(options.platforms)} out")
    try:
        from peeklock.dev.deployed.run import run as serve
    except ImportError as exc:
        from peeklock.dev.deployed import clouds

        raise ConfigError(
            f"--infra needs {exc.name}: {clouds.install_command(clouds.clouds_of(options.infra))}"
        ) from exc
    return partial(serve, Path.cwd(), options.infra, options.stack or "dev")
