"""What a function and a producer are told, and where a person looks: texts made of names."""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import urlencode

from peeklock.infra.settings.gcp import Settings
from peeklock.queue import Queue


def address(queue: str, target: str, caller: str, deadline: int) -> str:
    """A queue's, as `peeklock.send` takes it. `queue`: its whole name. `target`: the function's URL. `caller`: whom Cloud
    Tasks calls it as. `deadline`: seconds that it waits for an answer."""
    asked = {"target": target, "service_account": caller, "deadline": deadline}
    return f"cloudtasks://{queue}?{urlencode(asked)}"


def dead_letters_address(topic: str) -> str:
    """`topic`: its whole name."""
    return f"pubsub://{topic}"


def environment(
    queue: Queue,
    settings: Settings,
    *,
    address: str,
    dead_letters: str,
    store: str,
    target: str,
    caller: str,
    uses: Mapping[str, str],
) -> dict[str, str]:
    """A function's. `uses`: the addresses of the queues it sends to, by the variable that says so.

    Audience and account turn on peeklock's own check of each request's token, besides the platform's; THREADS is the
    framework's, and with one of them a run that takes too long is on the main thread and can be interrupted.
    """
    return {
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


def links(project: str, region: str, *, queue: str, service: str, subscription: str) -> dict[str, str]:
    """Pages of the console, by short names."""
    console = "https://console.cloud.google.com"
    return {
        "queue": f"{console}/cloudtasks/queue/{region}/{queue}/tasks?project={project}",
        "dead_letters": f"{console}/cloudpubsub/subscription/detail/{subscription}?project={project}",
        "function": f"{console}/functions/details/{region}/{service}?project={project}",
        "logs": f"{console}/run/detail/{region}/{service}/logs?project={project}",
    }
