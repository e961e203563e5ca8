"""`peeklock dev`: the project's handlers on local emulators of their clouds."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

HELP = "run the project's handlers on local emulators, and follow each message"

EPILOG = """\
What runs is said in pyproject.toml:

  [tool.peeklock.dev]
  sqs = ["app.aws:handler"]             # Lambda handlers, as module:function
  servicebus = "azure"                  # the folder with function_app.py and host.json
  cloudtasks = ["app.gcp:charge_http"]  # functions of functions-framework, as module:function

The queues are made from the declarations in the code. Nothing leaves this machine, no credential is asked for, and
nothing is kept: stores and letters are in .peeklock/, which is emptied at the start.

examples:
  peeklock dev                             everything
  peeklock dev sqs                         one platform
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
        "platforms", nargs="*", metavar="PLATFORM", help="sqs, servicebus or cloudtasks; all that the project has"
    )
    parser.add_argument("--no-reload", action="store_true", help="do not restart the functions when code changes")
    parser.add_argument("--json", action="store_true", help="one JSON object a line")
    parser.set_defaults(run=run)


def run(given: argparse.Namespace) -> int:
    """Serve until stopped, and return the exit code."""
    from peeklock.cli.screen import screen
    from peeklock.dev.project import load
    from peeklock.dev.run import run as serve

    project = load(Path.cwd()).only(given.platforms)
    shown = screen(as_json=given.json)
    try:
        serve(project, shown, reload=not given.no_reload)
    finally:
        shown.close()
    return 0
