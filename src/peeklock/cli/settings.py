"""`peeklock settings`: print what the components compute for a project's queues, for other tools than Pulumi."""

from __future__ import annotations

import argparse
import importlib
import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from peeklock.cli.table import Table
from peeklock.errors import ConfigError
from peeklock.queue import Queue

if TYPE_CHECKING:
    from peeklock.infra.portable import Stack

HELP = "print each queue's settings, variables, permissions and alarms, for Terraform, CDK and other tools"

EPILOG = """\
The queues are those of the modules named in pyproject.toml:

  [tool.peeklock.bundle]
  queues = ["app.queues"]

examples:
  peeklock settings aws --app shop                                      a table, for the default capacity
  peeklock settings aws --app shop --capacity orders:batch=50,instances=20
  peeklock settings aws --app shop --stack Pulumi.prod.yaml --json      everything, for a machine
  peeklock settings gcp --app shop --stack prod.json --project contoso --region europe-west1 --json

A stack file has `stage` and `capacity` as in docs/settings.md: the one of a Pulumi stack, or the same keys in JSON. The JSON
is described in docs/terraform.md.

exit codes:
  0  it is printed
  2  a number that the cloud does not accept, an unknown option, or queues that cannot be imported
"""


def add_to(commands: Any) -> None:
    parser: argparse.ArgumentParser = commands.add_parser(
        "settings", help=HELP, description=HELP, epilog=EPILOG, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("cloud", metavar="CLOUD", choices=("aws", "azure", "gcp"), help="aws, azure or gcp")
    parser.add_argument("--app", required=True, help="name of the app, with which the names of its resources begin")
    parser.add_argument("--stack", metavar="FILE", type=Path, help="stage and capacity, in YAML or JSON")
    parser.add_argument(
        "--capacity", metavar="QUEUE:KEY=N,...", action="append", default=[], help="a queue's capacity; may be repeated"
    )
    parser.add_argument("--project", help="project on Google Cloud")
    parser.add_argument("--region", help="region on Google Cloud")
    parser.add_argument("--json", action="store_true", help="one JSON object")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Print the settings of the project's queues, and return the exit code."""
    from peeklock.bundle.project import queue_modules
    from peeklock.infra.portable import document

    queues = _queues(Path.cwd(), queue_modules(Path.cwd()))
    stack = _stack(options)
    answer = document(options.cloud, stack, queues)
    if options.json:
        print(json.dumps(answer, indent=2))
    else:
        _print_table(options.cloud, stack, queues)
    return 0


def _queues(folder: Path, modules: tuple[str, ...]) -> dict[str, Queue]:
    """Return the queues that the modules declare, by name."""
    sys.path[:0] = [str(folder), str(folder / "src")]
    queues: dict[str, Queue] = {}
    for name in modules:
        try:
            module = importlib.import_module(name)
        except Exception as exc:
            raise ConfigError(f"queues = [{name!r}] cannot be imported: {type(exc).__name__}: {exc}") from exc
        queues |= {value.name: value for value in vars(module).values() if isinstance(value, Queue)}
    if not queues:
        raise ConfigError(f"queues = {list(modules)}: no Queue is declared there; name the modules that declare them")
    return queues


def _stack(options: argparse.Namespace) -> Stack:
    from peeklock.infra.portable import Stack
    from peeklock.infra.portable.stackfile import read_stack

    stack = Stack(app=options.app) if options.stack is None else read_stack(options.stack, options.app)
    capacity = {**stack.capacity, **dict(_capacity(text) for text in options.capacity)}
    project, region = options.project or stack.project, options.region or stack.region
    return replace(stack, capacity=capacity, project=project, region=region)


def _capacity(text: str) -> tuple[str, dict[str, int]]:
    queue, colon, pairs = text.partition(":")
    numbers = dict(pair.partition("=")[::2] for pair in pairs.split(","))
    if not colon or not all(value.isascii() and value.isdigit() for value in numbers.values()):
        raise ConfigError(f"--capacity {text}: write it as in --capacity orders:batch=50,instances=20")
    return queue, {key: int(value) for key, value in numbers.items()}


def _print_table(cloud: str, stack: Stack, queues: dict[str, Queue]) -> None:
    settings = importlib.import_module(f"peeklock.infra.settings.{cloud}")
    table = Table(queue=16, setting=44, value=24, formula=0)
    for name, queue in sorted(queues.items()):
        for row in settings.rows(settings.compute(queue, stack.capacity_of(queue))):
            if row.value != "":
                value = ", ".join(row.value) if isinstance(row.value, list) else row.value
                table.row(name, row.name, value, row.formula)
