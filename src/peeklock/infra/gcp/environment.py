"""Environment variables of functions and producers, and links to the console."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING
from urllib.parse import urlencode

from peeklock.infra.gcp.alarms import Names
from peeklock.infra.settings.gcp import Settings
from peeklock.queue import Queue

if TYPE_CHECKING:
    import pulumi


RESERVED = ("FUNCTION_", "K_", "X_GOOGLE_")
RESERVED_NAMES = ("PORT", "THREADS")
"""Beginnings of variables, and whole names, that Cloud Run functions, their framework or peeklock sets. Names that begin with
`GOOGLE_` are free, such as that of an OAuth client's id.
https://cloud.google.com/run/docs/configuring/services/overview-environment-variables"""


def address(queue: str, target: str, caller: str, deadline: int) -> str:
    """Return a queue's address for `peeklock.send`. `queue`: its full name. `target`: the function's URL. `caller`: the service
    account that Cloud Tasks calls it as. `deadline`: seconds that Cloud Tasks waits for an answer."""
    parameters = {"target": target, "service_account": caller, "deadline": deadline}
    return f"cloudtasks://{queue}?{urlencode(parameters)}"


def dead_letters_address(topic: str) -> str:
    """Return the address of the dead letters. `topic`: full name of the topic."""
    return f"pubsub://{topic}"


def environment(
    queue: Queue,
    settings: Settings,
    *,
    address: pulumi.Input[str],
    dead_letters: pulumi.Input[str],
    store: pulumi.Input[str],
    target: str,
    caller: str,
    uses: Mapping[str, pulumi.Input[str]],
    variables: Mapping[str, pulumi.Input[str]],
) -> dict[str, pulumi.Input[str]]:
    """Return a function's environment. `uses`: addresses of the queues that it sends to, by variable. `variables`: the
    handler's own.

    Audience and account enable peeklock's own check of each request's token, besides the platform's. THREADS belongs to the
    framework; with one thread a run is on the main thread and can be interrupted when it takes too long.
    """
    return {
        **variables,
        **uses,
        "THREADS": str(settings.parallel),
        "PEEKLOCK_STORE": store,
        queue.variable("URL"): address,
        queue.variable("DEAD_LETTER"): dead_letters,
        queue.variable("FINGERPRINT"): queue.fingerprint,
        queue.variable("LOCK"): str(settings.limit),
        queue.variable("AUDIENCE"): target,
        queue.variable("SERVICE_ACCOUNT"): caller,
    }


def links(project: str, region: str, names: Names) -> dict[str, str]:
    """Return pages of the console."""
    console = "https://console.cloud.google.com"
    return {
        "queue": f"{console}/cloudtasks/queue/{region}/{names.queue}/tasks?project={project}",
        "dead_letters": f"{console}/cloudpubsub/subscription/detail/{names.subscription}?project={project}",
        "function": f"{console}/functions/details/{region}/{names.service}?project={project}",
        "logs": f"{console}/run/detail/{region}/{names.service}/logs?project={project}",
    }
