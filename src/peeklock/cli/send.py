"""`peeklock send`: one message to a queue, with the platform's own SDK."""

from __future__ import annotations

import argparse
import json
import logging
import os
import sys
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from peeklock.cli.escaping import escaped
from peeklock.cli.numbers import positive, seconds
from peeklock.errors import ConfigError, SendError
from peeklock.message import LINEAGE, Lineage
from peeklock.observability.observer import log
from peeklock.outgoing import OutgoingMessage, Sender
from peeklock.queue import Queue
from peeklock.redaction import shown
from peeklock.registry import open_sender
from peeklock.sending.file import load
from peeklock.sending.send import JSON, check_attributes, check_text

HELP = "send a message to a queue with the platform's own SDK"

EPILOG = """\
QUEUE is an address, such as sb://namespace/orders, or the name of a declared queue: its address is then taken from
PEEKLOCK_<QUEUE>_URL, or from the `peeklock dev` that runs in this folder.

examples:
  peeklock send orders order.json                       to the running `peeklock dev`
  echo '{"order_id": "o-1"}' | peeklock send orders -   from standard input
  peeklock send orders order.json --id o-1 --times 2    a duplicate
  peeklock send orders order.json --platform sqs        where several platforms run
  sed -n 3p dead.jsonl | peeklock send orders - --redrive    the third dead letter of file://dead.jsonl, back again
  peeklock send orders order.json -a tenant=acme --group o-1 --delay 5

exit codes:
  0  the queue has it, or had it: one that deduplicates takes no second message of an id, and the output says so
  1  the queue refused it, or could not be reached
  2  nothing was sent: an unknown queue, a file that cannot be read, a line of it that is no dead letter
"""


def add_to(commands: Any) -> None:
    parser: argparse.ArgumentParser = commands.add_parser(
        "send", help=HELP, description=HELP, epilog=EPILOG, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("queue", metavar="QUEUE", help="a declared name, or an address")
    parser.add_argument("file", metavar="FILE", help="the body, as it is; - for standard input")
    parser.add_argument(
        "--platform", metavar="NAME", help="of a running `peeklock dev`: the platform whose queue it is"
    )
    parser.add_argument(
        "--id",
        help="the message's id; a new one otherwise. That of a dead letter completes unrun: --redrive it instead",
    )
    parser.add_argument(
        "--redrive",
        action="store_true",
        help="FILE has lines of a file:// dead-letter queue; each starts its next generation",
    )
    parser.add_argument("--group", help="FIFO group or session")
    parser.add_argument("--delay", type=float, default=0.0, metavar="S", help="seconds until it is delivered")
    parser.add_argument("-a", "--attribute", action="append", default=[], metavar="NAME=VALUE", help="may be repeated")
    parser.add_argument("--content-type", default=JSON, metavar="TYPE", help="default: %(default)s")
    parser.add_argument("--times", type=positive, default=1, metavar="N", help="send it N times with one id")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Send, report it, and return the exit code."""
    outgoing_messages = _redriven(options) if options.redrive else [_outgoing(options)]
    address = _address(options.queue, options.platform, Path.cwd())
    sender = open_sender(address)
    with _deduplication() as deduplicated:
        for outgoing in outgoing_messages * options.times:
            refused = _send(sender, outgoing)
            if refused is not None:
                print(escaped(f"peeklock send: {refused}"), file=sys.stderr)
                return 1
            print(escaped(_result(outgoing.lineage.id, _place(address), deduplicated)))
    return 0


def _result(id_: str, place: str, deduplicated: list[str]) -> str:
    if not deduplicated:
        return f"sent {id_} to {place}"
    deduplicated.clear()
    return (
        f"not sent: {place} remembers the id {id_}, and queued nothing; to have the work done again, give another --id"
    )


class _DeduplicationLog(logging.Handler):
    """Records that a queue did not take a message because it remembers its id. Other records go to standard error."""

    def __init__(self) -> None:
        super().__init__()
        self.messages: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        text = record.getMessage()
        if record.msg.startswith("peeklock.deduplicated"):
            self.messages.append(text)
        elif record.levelno >= logging.WARNING:
            print(escaped(text), file=sys.stderr)


@contextmanager
def _deduplication() -> Iterator[list[str]]:
    """Yield a list that grows with each message that a queue did not take because it remembers its id."""
    level, handler = log.level, _DeduplicationLog()
    log.addHandler(handler)
    log.setLevel(logging.INFO)
    try:
        yield handler.messages
    finally:
        log.setLevel(level)
        log.removeHandler(handler)


def _place(address: str) -> str:
    """Return an address without its parameters, and without a password."""
    return shown(address.partition("?")[0])


def _send(sender: Sender, outgoing: OutgoingMessage) -> SendError | None:
    try:
        return next(iter(sender.send([outgoing])))
    except SendError as exc:
        return exc


def _read(file: str) -> bytes:
    try:
        return sys.stdin.buffer.read() if file == "-" else Path(file).read_bytes()
    except OSError as exc:
        raise ConfigError(f"{file}: {exc.strerror}") from None


def _redriven(options: argparse.Namespace) -> list[OutgoingMessage]:
    """Return the messages of dead letters, one a line, in the next generation, so that they run."""
    _check_alone(options)
    file = "standard input" if options.file == "-" else options.file
    dead_letters = list(_dead_letters(file, _read(options.file)))
    if not dead_letters:
        raise ConfigError(f"no dead letter in {file}; nothing was sent")
    return [
        replace(
            dead_letter,
            dead_letter=False,
            attributes={n: v for n, v in dead_letter.attributes.items() if not n.startswith(LINEAGE)},
        )
        for dead_letter in dead_letters
    ]


def _dead_letters(file: str, data: bytes) -> Iterator[OutgoingMessage]:
    """Yield the dead letters of a file. Raises ConfigError with the number of the first line that is no dead letter."""
    for number, line in enumerate(data.splitlines(), 1):
        if not line.strip():
            continue
        try:
            dead_letter = load(json.loads(line))
        except (ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError):
            raise ConfigError(
                f"{file}: line {number} is not one of a file:// dead-letter queue, as it was written; nothing was sent"
            ) from None
        if not dead_letter.dead_letter:
            raise ConfigError(f"{file}: line {number} ({dead_letter.lineage.id}) is no dead letter; nothing was sent")
        if not dead_letter.lineage.generation:
            raise ConfigError(
                f"{file}: line {number}: a dead letter's generation is 1 or more: less would complete unrun"
            )
        yield dead_letter


def _check_alone(options: argparse.Namespace) -> None:
    """Raise ConfigError for options that would be ignored: a dead letter has these values itself."""
    for option, value, usual in (
        ("--id", options.id, None),
        ("--group", options.group, None),
        ("--delay", options.delay, 0.0),
        ("--attribute", options.attribute, []),
        ("--content-type", options.content_type, JSON),
    ):
        if value != usual:
            raise ConfigError(
                f"{option} does not go with --redrive: a dead letter goes back as the message that it was"
            )


def _outgoing(options: argparse.Namespace) -> OutgoingMessage:
    check_text("--id", options.id, "order-7")
    check_text("--group", options.group, "customer-7")
    return OutgoingMessage(
        body=_read(options.file),
        lineage=Lineage(id=options.id or str(uuid.uuid4())),
        attributes=_attributes(options.attribute),
        group=options.group,
        delay=seconds(options.delay, "--delay"),
        content_type=options.content_type,
    )


def _attributes(texts: list[str]) -> Mapping[str, str]:
    pairs = [text.partition("=") for text in texts]
    for name, equals, _ in pairs:
        if not name or not equals:
            raise ConfigError(f"--attribute {name!r}: write NAME=VALUE")
    attributes = {name: value for name, _, value in pairs}
    check_attributes(attributes)
    return attributes


def _address(queue: str, platform: str | None, root: Path) -> str:
    """Return the address of a queue. The running `peeklock dev` takes precedence over the environment."""
    if ":" in queue:
        return queue
    variable = Queue(queue).variable("URL")
    settings = _running(platform, variable, root)
    if settings is not None:
        os.environ.update(settings)
    if variable not in os.environ:
        variables = sorted(name for name in os.environ if name.startswith("PEEKLOCK_") and name.endswith("_URL"))
        raise ConfigError(
            f"no address for queue {queue!r}: set {variable}, give an address such as sb://namespace/{queue}, or start"
            f" `peeklock dev` in this folder" + (f"; set here: {', '.join(variables)}" if variables else "")
        )
    return os.environ[variable]


def _running(platform: str | None, variable: str, root: Path) -> dict[str, str] | None:
    """Return the variables of the `peeklock dev` in this folder; None when none runs. The platform may be left out where the
    queue's address, in `variable`, is the same for all."""
    from peeklock.dev.state import FOLDER, addresses

    platforms = addresses(root / FOLDER)
    if platforms is None:
        if platform is not None:
            raise ConfigError("--platform is for a running `peeklock dev`, and in this folder none runs")
        return None
    if platform is None and len({variables.get(variable) for variables in platforms.values()}) > 1:
        raise ConfigError(f"`peeklock dev` runs several platforms: add --platform {' or --platform '.join(platforms)}")
    chosen = platform or next(iter(platforms))
    if chosen not in platforms:
        raise ConfigError(f"`peeklock dev` does not run {chosen}: it runs {', '.join(platforms)}")
    return platforms[chosen]
