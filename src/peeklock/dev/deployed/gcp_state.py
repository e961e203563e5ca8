"""Functions and queues in the engine's state on Google Cloud, and the addresses in it that lead out of this machine."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from peeklock.dev.deployed.local_context import Resource, local_file, resources_of
from peeklock.errors import ConfigError

FUNCTION = "gcp:cloudfunctionsv2/function:Function"
QUEUE = "gcp:cloudtasks/queue:Queue"

TIMEOUT, PARALLEL, INSTANCES = 60, 1, 100
"""The platform's own defaults; the timeout in seconds.
https://cloud.google.com/functions/docs/reference/rest/v2/projects.locations.functions#ServiceConfig,
https://cloud.google.com/run/docs/configuring/max-instances"""

STORES, SENDERS = frozenset({"sqlite", "memory"}), frozenset({"file", "memory"})
"""Schemes of addresses that never leave this machine."""

_QUEUE_VARIABLE = re.compile(r"PEEKLOCK_\w+_(URL|DEAD_LETTER)")


@dataclass(frozen=True, slots=True, kw_only=True)
class Service:
    """A function as the program made it."""

    name: str
    entry: str
    """Name of the function in main.py."""
    environment: Mapping[str, str]
    timeout: int
    """Seconds."""
    parallel: int
    """Requests at once in an instance."""
    instances: int
    urls: frozenset[str]
    """Addresses that it is called by."""


def services(resources: Sequence[Resource]) -> list[Service]:
    """Return the functions, sorted by name. Raises ConfigError for a function that cannot run here."""
    return sorted(map(_service, _properties(resources, FUNCTION)), key=lambda service: service.name)


def _properties(resources: Sequence[Resource], type_: str) -> Iterator[Mapping[str, Any]]:
    """Yield id, inputs and outputs of each resource of a type, as one mapping."""
    for resource in resources_of(resources, type_):
        yield {"id": resource["id"], **resource["inputs"], **resource["outputs"]}


def _service(properties: Mapping[str, Any]) -> Service:
    name, build = str(properties["name"]), properties.get("buildConfig", {})
    config = properties.get("serviceConfig", {})
    _check(name, properties, build, config)
    return Service(
        name=name,
        entry=str(build["entryPoint"]),
        environment={key: str(value) for key, value in config.get("environmentVariables", {}).items()},
        timeout=config.get("timeoutSeconds", TIMEOUT),
        parallel=config.get("maxInstanceRequestConcurrency", PARALLEL),
        instances=config.get("maxInstanceCount", INSTANCES),
        urls=frozenset(filter(None, (_regional(properties, name), properties.get("url"), config.get("uri")))),
    )


def _regional(properties: Mapping[str, Any], name: str) -> str:
    """Return the address by region and project.
    https://cloud.google.com/functions/docs/writing/write-http-functions#http_trigger_urls"""
    return f"https://{properties.get('location')}-{properties.get('project')}.cloudfunctions.net/{name}"


def _check(name: str, properties: Mapping[str, Any], build: Mapping[str, Any], config: Mapping[str, Any]) -> None:
    cannot = {
        "an eventTrigger, and only requests call a function": properties.get("eventTrigger"),
        f"the runtime {build.get('runtime')!r}, and only Python runs": not str(build.get("runtime")).startswith(
            "python"
        ),
        "no entryPoint, which names the function in main.py": not build.get("entryPoint"),
        "secrets of Secret Manager, and it is not": config.get("secretEnvironmentVariables")
        or config.get("secretVolumes"),
    }
    for problem, is_so in cannot.items():
        if is_so:
            raise ConfigError(f"function {name!r} has {problem} on this machine; leave it out of this stack")


def paused(resources: Sequence[Resource], service: Service) -> bool:
    """Return whether all queues that call a function are paused. A function without such a queue may still be called by a task."""
    queues = [queue for queue in _properties(resources, QUEUE) if _called(queue) in service.urls]
    return bool(queues) and all(queue.get("desiredState") == "PAUSED" for queue in queues)


def _called(queue: Mapping[str, Any]) -> str:
    """Return the address with which a queue's target overrides those of its tasks.
    https://cloud.google.com/tasks/docs/reference/rest/v2/projects.locations.queues#HttpTarget"""
    uri = queue.get("httpTarget", {}).get("uriOverride", {})
    return f"{uri.get('scheme', 'HTTPS').lower()}://{uri.get('host')}{uri.get('pathOverride', {}).get('path', '')}"


def queues(resources: Sequence[Resource]) -> frozenset[str]:
    """Return the full names of the queues."""
    return frozenset(str(queue["id"]) for queue in _properties(resources, QUEUE))


def replaced(environment: Mapping[str, str], folder: Path, queues: Collection[str]) -> dict[str, str]:
    """Return the variables that lead out of this machine, with a file of the folder instead: a store becomes a database, and
    an address that is not one of `queues` becomes a file of lines."""
    changed = {}
    for name, value in environment.items():
        if name == "PEEKLOCK_STORE" and urlsplit(value).scheme not in STORES:
            changed[name] = f"sqlite://{local_file(folder, value)}.db"
        elif _QUEUE_VARIABLE.fullmatch(name) and not _is_local(value, queues):
            changed[name] = f"file://{local_file(folder, value)}.jsonl"
    return changed


def _is_local(address: str, queues: Collection[str]) -> bool:
    parts = urlsplit(address)
    return parts.scheme in SENDERS or (parts.scheme == "cloudtasks" and parts.netloc + parts.path in queues)
