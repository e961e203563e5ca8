"""`cloudqueues sqs-lambda`: SQS, and a Lambda function on its queues."""

from __future__ import annotations

import argparse
import math
import sys
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from cloudqueues.cli.arguments import add_queues, add_variables, command, variables
from cloudqueues.errors import ConfigError

EPILOG = """\
examples:
  cloudqueues sqs-lambda --queue orders                            SQS alone
  cloudqueues sqs-lambda app.handler --queue orders --cwd src      `handler` of src/app.py, for each batch of messages
  cloudqueues sqs-lambda app.handler --queue orders --batch-size 100 --window 5 --env STAGE=dev

A queue whose name ends in .fifo is a FIFO queue. What the function prints goes to standard error.

prints:
  AWS_ENDPOINT_URL_SQS, AWS_REGION, AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY   for any SDK of AWS
  SQS_QUEUE_URL                                                                URL of the first queue
"""

VISIBILITY_FACTOR = 6
"""Visibility timeout of a queue, in timeouts of its function.
https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-configure.html"""


def add_to(commands: Any) -> argparse.ArgumentParser:
    parser = command(commands, "sqs-lambda", "Amazon SQS, and a Lambda function on its queues", EPILOG)
    parser.add_argument("handler", nargs="?", metavar="MODULE.FUNCTION", help="the function; without it SQS alone")
    add_queues(parser, "orders or orders.fifo")
    parser.add_argument("--cwd", type=Path, default=Path(), help="folder of the function; default: the current one")
    parser.add_argument("--batch-size", type=int, default=10, help="messages in an event; default: %(default)s")
    parser.add_argument("--window", type=float, default=0, help="seconds in which a batch is gathered; default: 0")
    parser.add_argument("--timeout", type=float, default=30, help="seconds; default: %(default)s")
    add_variables(parser)
    return parser


@contextmanager
def serve(options: argparse.Namespace) -> Iterator[Mapping[str, str]]:
    """Run SQS and the function, and yield the variables that clients need. Raises ConfigError for a function without a
    queue."""
    from cloudqueues.sqs_server import REGION, SqsServer

    if options.handler and not options.queue:
        raise ConfigError(f"{options.handler} needs a queue: add --queue NAME")
    with SqsServer(host=options.host, port=options.port) as sqs, ExitStack() as functions:
        visibility = max(30, math.ceil(VISIBILITY_FACTOR * options.timeout))
        urls = [sqs.queue(name, VisibilityTimeout=visibility) for name in options.queue]
        for url in urls if options.handler else ():
            functions.enter_context(_function(url, options))
        yield {
            "AWS_ENDPOINT_URL_SQS": sqs.endpoint_url,
            "AWS_REGION": REGION,
            "AWS_ACCESS_KEY_ID": "testing",
            "AWS_SECRET_ACCESS_KEY": "testing",
            **({"SQS_QUEUE_URL": urls[0]} if urls else {}),
        }


def _function(url: str, options: argparse.Namespace) -> Any:
    from cloudqueues.sqs_lambda import SqsLambda
    from cloudqueues.sqs_server import REGION

    return SqsLambda(
        queue_url=url,
        handler=options.handler,
        region=REGION,
        cwd=options.cwd,
        batch_size=options.batch_size,
        window=options.window,
        timeout=options.timeout,
        environ=variables(options.env),
        on_line=lambda line: print(line, file=sys.stderr, flush=True),
        on_invocation=lambda ended: print(
            f"{len(ended.message_ids)} messages: {ended.outcome}" + (f", {ended.error}" if ended.error else ""),
            file=sys.stderr,
            flush=True,
        ),
    )
