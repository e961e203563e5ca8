"""`cloudqueues servicebus`: Azure Service Bus."""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from cloudqueues.cli.arguments import add_queues, command

EPILOG = """\
examples:
  cloudqueues servicebus --queue orders --queue receipts
  cloudqueues servicebus --config config.json                 entities as in Microsoft's emulator
  cloudqueues servicebus --port 5672 --http-port 5300         the ports of Microsoft's emulator
  cloudqueues servicebus --tls --tier premium --queue orders

prints:
  SERVICEBUS_CONNECTION_STRING        for clients that send and receive
  SERVICEBUS_CERTIFICATE              certificate that clients of TLS and of the management API must trust
  SERVICEBUS_ADMIN_CONNECTION_STRING  for administration clients, which create queues, topics, subscriptions and rules
"""


def add_to(commands: Any) -> argparse.ArgumentParser:
    parser = command(commands, "servicebus", "Azure Service Bus: AMQP, WebSockets and the management API", EPILOG)
    parser.add_argument("--http-port", type=int, default=0, help="port of the management API; default: a free one")
    add_queues(parser, "orders")
    parser.add_argument("--config", type=Path, metavar="FILE", help="entities, as config.json of Microsoft's emulator")
    parser.add_argument("--tls", action="store_true", help="TLS, with a certificate that clients must trust")
    parser.add_argument(
        "--tier", choices=["standard", "premium"], default="standard",
        help="decides how large a message may be; default: %(default)s",
    )  # fmt: skip
    return parser


@contextmanager
def serve(options: argparse.Namespace) -> Iterator[Mapping[str, str]]:
    """Run the emulator, and yield the variables that clients need."""
    from cloudqueues.servicebus import ServiceBusEmulator

    with ServiceBusEmulator(
        config=options.config, host=options.host, port=options.port, http_port=options.http_port,
        tls=options.tls, tier=options.tier,
    ) as emulator:  # fmt: skip
        for name in options.queue:
            emulator.add_queue(name)
        yield {
            "SERVICEBUS_CONNECTION_STRING": emulator.connection_string,
            "SERVICEBUS_CERTIFICATE": str(emulator.certificate),
            "SERVICEBUS_ADMIN_CONNECTION_STRING": emulator.admin_connection_string,
        }
