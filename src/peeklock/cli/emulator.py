"""`peeklock emulator`: one emulator by itself."""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from peeklock.dev.shutdown import until_stopped
from peeklock.errors import ConfigError

HELP = "run the emulator of one service by itself"

EPILOG = """\
The unmodified SDKs talk to it. It listens on loopback unless --host says otherwise, asks for no credential, and keeps
nothing when it ends.

examples:
  peeklock emulator servicebus --queue orders --queue receipts
  peeklock emulator servicebus --config config.json      Microsoft's format
  peeklock emulator servicebus --tls --queue orders      prints the certificate that clients must trust, too
  peeklock emulator cloudtasks --queue projects/p/locations/l/queues/orders
  peeklock emulator servicebus --port 5672 --http-port 5300      the ports of Microsoft's
  peeklock emulator cloudtasks --port 8123 --http-port 8124

exit codes:
  0  stopped by Ctrl-C or SIGTERM
  2  it could not be started: a port that is taken, a configuration that cannot be
"""


def add_to(commands: Any) -> None:
    parser: argparse.ArgumentParser = commands.add_parser(
        "emulator", help=HELP, description=HELP, epilog=EPILOG, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("service", choices=["servicebus", "cloudtasks"])
    parser.add_argument("--host", default="127.0.0.1", help="default: %(default)s")
    parser.add_argument("--port", type=int, default=0, help="default: a free one")
    parser.add_argument("--http-port", type=int, default=0, help="REST and management; default: a free one")
    parser.add_argument("--queue", action="append", default=[], metavar="NAME", help="make this queue; may be repeated")
    parser.add_argument(
        "--tls", action="store_true", help="Service Bus: TLS, with a certificate that clients must trust"
    )
    parser.add_argument(
        "--tier", choices=["standard", "premium"], default="standard",
        help="Service Bus: how large a message may be; default: %(default)s",
    )  # fmt: skip
    parser.add_argument("--config", type=Path, metavar="FILE", help="Service Bus' entities, as Microsoft's config.json")
    parser.set_defaults(run=run)


def run(given: argparse.Namespace) -> int:
    """Serve until stopped, and return the exit code."""
    made = _servicebus(given) if given.service == "servicebus" else _cloudtasks(given)
    try:
        with until_stopped() as wakeup, made as variables:
            for name, value in variables.items():
                print(f"export {name}='{value}'", flush=True)
            wakeup.wait()
    except OSError as exc:
        raise ConfigError(f"port {given.port} of {given.host}: {exc.strerror or exc}") from None
    return 0


@contextmanager
def _servicebus(given: argparse.Namespace) -> Iterator[Mapping[str, str]]:
    from cloudqueues.servicebus import ServiceBusEmulator

    ports = {"port": given.port, "http_port": given.http_port}
    options = {"tls": given.tls, "tier": given.tier}
    with ServiceBusEmulator(config=given.config, host=given.host, **ports, **options) as emulator:
        for name in given.queue:
            emulator.add_queue(name)
        yield {
            "PEEKLOCK_SERVICEBUS": emulator.connection_string,
            "PEEKLOCK_SERVICEBUS_CERTIFICATE": str(emulator.certificate),
            "PEEKLOCK_SERVICEBUS_ADMIN": emulator.admin_connection_string,
        }


@contextmanager
def _cloudtasks(given: argparse.Namespace) -> Iterator[Mapping[str, str]]:
    from cloudqueues.cloudtasks import CloudTasksEmulator

    if given.config is not None:
        raise ConfigError("--config is Service Bus' own; name Cloud Tasks' queues with --queue")
    if given.tls or given.tier != "standard":
        raise ConfigError("--tls and --tier are Service Bus' own: leave them out")
    with CloudTasksEmulator(host=given.host, port=given.port, http_port=given.http_port) as emulator:
        for name in given.queue:
            parent, words, _ = name.partition("/queues/")
            if not words:
                raise ConfigError(f"--queue {name}: write projects/PROJECT/locations/LOCATION/queues/{name}")
            emulator.client().create_queue(parent=parent, queue={"name": name})
        yield {"CLOUD_TASKS_EMULATOR_HOST": emulator.address, "PEEKLOCK_CERTS_URL": emulator.certs_url}
