"""Environment variables of functions and producers, and links to the console."""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import quote

from peeklock.errors import ConfigError
from peeklock.queue import Queue
from peeklock.quotas.aws import FUNCTION_NAME, QUEUE_NAME, ROLE_NAME
from peeklock.secrets import REFERENCE

RESERVED = ("AWS_", "LAMBDA_", "_HANDLER", "_X_AMZN_", "POWERTOOLS_METRICS_NAMESPACE", "POWERTOOLS_SERVICE_NAME")
"""Beginnings of variables that Lambda or peeklock sets.
https://docs.aws.amazon.com/lambda/latest/dg/configuration-envvars.html"""

NAMESPACE = "Peeklock"
"""Namespace of the metrics that PowertoolsObserver writes if `Metrics()` has neither namespace nor service."""

DIGITS = 8
"""Characters that Pulumi adds to a name. https://www.pulumi.com/docs/iac/concepts/resources/names/#autonaming"""


def check_names(app: str, queue: Queue) -> None:
    """Raise ConfigError where a name made of app and queue would be too long for AWS."""
    name = f"{app}-{queue.name}"
    fifo = len(".fifo") if queue.fifo else 0
    spare = min(
        QUEUE_NAME - len("-dead-letters") - DIGITS - fifo,
        FUNCTION_NAME - DIGITS,
        ROLE_NAME - len("-role") - DIGITS,
    )
    if len(name) > spare:
        raise ConfigError(
            f"app {app!r} and queue {queue.name!r} make names of {len(name)} characters, and {spare} fit; shorten either by"
            f" {len(name) - spare}"
        )


def environment(
    app: str,
    queue: Queue,
    *,
    url: str,
    dead_letters: str,
    table: str,
    parallel: int,
    uses: Mapping[str, str],
    variables: Mapping[str, str],
    secrets: Mapping[str, str],
) -> dict[str, str]:
    """Return a function's environment. `parallel`: handlers at once, for which its time-out was computed; `uses`: URLs of the
    queues that it sends to, by variable; `variables`, `secrets`: the handler's own values, and ARNs of its secrets."""
    return {
        **variables,
        **{f"{REFERENCE}{name}": arn for name, arn in secrets.items()},
        **uses,
        "PEEKLOCK_STORE": store_address(table),
        queue.variable("URL"): url,
        queue.variable("DEAD_LETTER"): dead_letters,
        queue.variable("FINGERPRINT"): queue.fingerprint,
        queue.variable("PARALLEL"): str(parallel),
        "POWERTOOLS_METRICS_NAMESPACE": NAMESPACE,
        "POWERTOOLS_SERVICE_NAME": app,
    }


def store_address(table: str) -> str:
    """Return the store's address, the value of PEEKLOCK_STORE."""
    return f"dynamodb://{table}"


def region_of(arn: str) -> str:
    """Return the region in an ARN."""
    return arn.split(":")[3]


def links(region: str, *, queue: str, dead_letters: str, function: str, logs: str) -> dict[str, str]:
    """Return pages of the console. `queue`, `dead_letters`: URLs; `function`, `logs`: names."""
    console = f"https://{region}.console.aws.amazon.com"
    return {
        "queue": f"{console}/sqs/v3/home?region={region}#/queues/{quote(queue, safe='')}",
        "dead_letters": f"{console}/sqs/v3/home?region={region}#/queues/{quote(dead_letters, safe='')}",
        "function": f"{console}/lambda/home?region={region}#/functions/{function}",
        "logs": f"{console}/cloudwatch/home?region={region}#logsV2:log-groups/log-group/{_twice(logs)}",
    }


def dashboard_link(region: str, name: str) -> str:
    """Return the page of a dashboard."""
    return f"https://{region}.console.aws.amazon.com/cloudwatch/home?region={region}#dashboards/dashboard/{name}"


def _twice(text: str) -> str:
    """Quote twice, with `$` for the inner `%`, since the console decodes its fragment twice."""
    return quote(text, safe="").replace("%", "$25")
