"""`cloudqueues functions`: the Azure Functions host, with a Service Bus of its own or another."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from cloudqueues.cli.arguments import add_queues, add_variables, command, variables

EPILOG = """\
examples:
  cloudqueues functions app --queue orders                 a Service Bus with this queue, and the app of app/function_app.py
  cloudqueues functions app --servicebus "$CONNECTION"     the app alone, on a Service Bus that runs already

What the app prints goes to standard error.

prints:
  SERVICEBUS_CONNECTION_STRING   for clients that send messages to the app
"""


def add_to(commands: Any) -> argparse.ArgumentParser:
    parser = command(commands, "functions", "Azure's Functions host: Service Bus triggers in Python", EPILOG)
    parser.add_argument("app", type=Path, metavar="FOLDER", help="folder of function_app.py and host.json")
    parser.add_argument(
        "--servicebus", metavar="CONNECTION", help="connection string; default: a Service Bus is started"
    )
    add_queues(parser, "orders")
    add_variables(parser)
    return parser


@contextmanager
def serve(options: argparse.Namespace) -> Iterator[Mapping[str, str]]:
    """Run the host, and yield the variables that clients need."""
    from cloudqueues.functions_host import FunctionsHost

    with ExitStack() as running:
        connection = options.servicebus or _service_bus(options, running)
        host = FunctionsHost(options.app, servicebus=connection, environ=variables(options.env))
        host.on_line(lambda _, line: print(line, file=sys.stderr, flush=True))
        running.enter_context(host)
        yield {"SERVICEBUS_CONNECTION_STRING": connection}


def _service_bus(options: argparse.Namespace, running: ExitStack) -> str:
    """Start a Service Bus with the queues that were asked for, and return its connection string."""
    from cloudqueues.servicebus import ServiceBusEmulator

    emulator = running.enter_context(ServiceBusEmulator(host=options.host, port=options.port))
    for name in options.queue:
        emulator.add_queue(name)
    return emulator.connection_string
