"""What the engine's state says of functions and queues on Google Cloud, and what leads out of this machine in it."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from peeklock.dev.deployed.local_context import Resource, file, made
from peeklock.errors import ConfigError

FUNCTION = "gcp:cloudfunctionsv2/function:Function"
QUEUE = "gcp:cloudtasks/queue:Queue"

TIMEOUT, PARALLEL, INSTANCES = 60, 1, 100
"""The platform's own, where a program says nothing; the timeout in seconds.
https://cloud.google.com/functions/docs/reference/rest/v2/projects.locations.functions#ServiceConfig,
https://cloud.google.com/run/docs/configuring/max-instances"""

STORES, SENDERS = frozenset({"sqlite", "memory"}), frozenset({"file", "memory"})
"""Schemes of addresses that are on this machine wherever they are."""

_QUEUE_VARIABLE = re.compile(r"PEEKLOCK_\w+_(URL|DEAD_LETTER)")


@dataclass(frozen=True, slots=True, kw_only=True)
class Service:
    """A function, as the program made it."""

    name: str
    entry: str
    """In main.py."""
    environment: Mapping[str, str]
    timeout: int
    """Seconds."""
    parallel: int
    """Requests at once in an instance."""
    instances: int
    urls: frozenset[str]
    """Where it is called."""


def services(resources: Sequence[Resource]) -> list[Service]:
    """By name. Raises ConfigError for one that cannot run here."""
    return sorted((_service(one) for one in _made(resources, FUNCTION)), key=lambda one: one.name)


def _made(resources: Sequence[Resource], type_: str) -> Iterator[Mapping[str, Any]]:
    """Ids, inputs and outputs."""
    for one in made(resources, type_):
        yield {"id": one["id"], **one["inputs"], **one["outputs"]}


def _service(told: Mapping[str, Any]) -> Service:
    name, build, config = str(told["name"]), told.get("buildConfig", {}), told.get("serviceConfig", {})
    _check(name, told, build, config)
    return Service(
        name=name,
        entry=str(build["entryPoint"]),
        environment={key: str(value) for key, value in config.get("environmentVariables", {}).items()},
        timeout=config.get("timeoutSeconds", TIMEOUT),
        parallel=config.get("maxInstanceRequestConcurrency", PARALLEL),
        instances=config.get("maxInstanceCount", INSTANCES),
        urls=frozenset(filter(None, (_regional(told, name), told.get("url"), config.get("uri")))),
    )


def _regional(told: Mapping[str, Any], name: str) -> str:
    """https://cloud.google.com/functions/docs/writing/write-http-functions#http_trigger_urls"""
    return f"https://{told.get('location')}-{told.get('project')}.cloudfunctions.net/{name}"


def _check(name: str, told: Mapping[str, Any], build: Mapping[str, Any], config: Mapping[str, Any]) -> None:
    cannot = {
        "an eventTrigger, and only requests call a function": told.get("eventTrigger"),
        f"the runtime {build.get('runtime')!r}, and only Python runs": not str(build.get("runtime")).startswith(
            "python"
        ),
        "no entryPoint, which names the function in main.py": not build.get("entryPoint"),
        "secrets of Secret Manager, and it is not": config.get("secretEnvironmentVariables")
        or config.get("secretVolumes"),
    }
    for what, is_so in cannot.items():
        if is_so:
            raise ConfigError(f"function {name!r} has {what} on this machine; leave it out of this stack")


def paused(resources: Sequence[Resource], service: Service) -> bool:
    """Whether all the queues that call it are; one that none calls by itself may still be called by a task."""
    queues = [one for one in _made(resources, QUEUE) if _called(one) in service.urls]
    return bool(queues) and all(one.get("desiredState") == "PAUSED" for one in queues)


def _called(queue: Mapping[str, Any]) -> str:
    """The address that a queue's target overrides those of its tasks with, if it does.
    https://cloud.google.com/tasks/docs/reference/rest/v2/projects.locations.queues#HttpTarget"""
    uri = queue.get("httpTarget", {}).get("uriOverride", {})
    return f"{uri.get('scheme', 'HTTPS').lower()}://{uri.get('host')}{uri.get('pathOverride', {}).get('path', '')}"


def queues(resources: Sequence[Resource]) -> frozenset[str]:
    """Whole names."""
    return frozenset(str(one["id"]) for one in _made(resources, QUEUE))


def moved(environment: Mapping[str, str], folder: Path, known: Collection[str]) -> dict[str, str]:
    """What of an environment leads out of this machine, with a file of the folder instead: a store becomes a database
    there, and what is sent to anything but the `known` queues becomes lines."""
    changed = {}
    for name, value in environment.items():
        if name == "PEEKLOCK_STORE" and urlsplit(value).scheme not in STORES:
            changed[name] = f"sqlite://{file(folder, value)}.db"
        elif _QUEUE_VARIABLE.fullmatch(name) and not _is_here(value, known):
            changed[name] = f"file://{file(folder, value)}.jsonl"
    return changed


def _is_here(address: str, known: Collection[str]) -> bool:
    parts = urlsplit(address)
    return parts.scheme in SENDERS or (parts.scheme == "cloudtasks" and parts.netloc + parts.path in known)
