"""`cloudqueues cloudtasks`: Google Cloud Tasks."""

from __future__ import annotations

import argparse
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from cloudqueues.cli.arguments import add_queues, command
from cloudqueues.errors import ConfigError

EPILOG = """\
examples:
  cloudqueues cloudtasks --queue projects/p/locations/l/queues/orders
  cloudqueues cloudtasks --port 8123 --http-port 8124

prints:
  CLOUD_TASKS_EMULATOR_HOST  address of gRPC
  CLOUD_TASKS_CERTS_URL      public keys of the OIDC tokens that tasks carry
  CLOUD_TASKS_EMULATOR_URL   address of REST, instead of https://cloudtasks.googleapis.com
"""


def add_to(commands: Any) -> argparse.ArgumentParser:
    parser = command(commands, "cloudtasks", "Google Cloud Tasks: gRPC and REST", EPILOG)
    parser.add_argument("--http-port", type=int, default=0, help="port of REST; default: a free one")
    add_queues(parser, "projects/p/locations/l/queues/orders")
    return parser


@contextmanager
def serve(options: argparse.Namespace) -> Iterator[Mapping[str, str]]:
    """Run the emulator, and yield the variables that clients need. Raises ConfigError for a queue's name without project
    and location."""
    os.environ.setdefault("GRPC_VERBOSITY", "NONE")  # gRPC's core prints a page about a taken port by itself
    from cloudqueues.cloudtasks import CloudTasksEmulator

    parents = {name: _parent(name) for name in options.queue}
    with CloudTasksEmulator(host=options.host, port=options.port, http_port=options.http_port) as emulator:
        for name, parent in parents.items():
            emulator.client().create_queue(parent=parent, queue={"name": name})
        yield {
            "CLOUD_TASKS_EMULATOR_HOST": emulator.address,
            "CLOUD_TASKS_CERTS_URL": emulator.certs_url,
            "CLOUD_TASKS_EMULATOR_URL": emulator.http_url,
        }


def _parent(name: str) -> str:
    parent, separator, _ = name.partition("/queues/")
    if not separator:
        raise ConfigError(f"--queue {name}: write projects/PROJECT/locations/LOCATION/queues/{name}")
    return parent
