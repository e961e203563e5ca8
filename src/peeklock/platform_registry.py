"""Platforms by name. Modules are named by strings, so that none is loaded before it is used.

A new platform is one package and one `Platform` here, or an entry point of another package.
"""

from __future__ import annotations

import functools
import importlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from peeklock.errors import ConfigError
from peeklock.keywords import nearest

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint


@dataclass(frozen=True, slots=True, kw_only=True)
class DevSupport:
    """How `peeklock dev` runs the functions of a platform."""

    runner: str
    """`module:Class` of its `peeklock.dev.runner.Runner`."""
    example: str = ""
    """Value of its entry in `[tool.peeklock.dev]`, with a comment, for the help."""
    app_file: str = ""
    """File in the one folder that the entry names, whose app the handlers are registered in. Empty where the entry lists
    bound functions, as `module:function`."""
    settings: Sequence[str] = ()
    """Other files in that folder whose change restarts the functions."""
    describe: str = "peeklock.dev.describe:bound_entries"
    """`module:function` that imports the values of an entry, and returns a dict for each handler, with at least the name of its
    `queue`. It is called with the platform's name and the values, in a process without emulators."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Platform:
    """A platform that handlers can be bound to. Another package adds one by the entry point `peeklock.platforms`, whose name
    is the platform's and whose value is a `Platform`.
    """

    name: str
    """Name in `deliver(platform=...)`, `--platform`, `[tool.peeklock.dev]`, logs and metrics; also of the folder of its
    sample events."""
    module: str
    """Module with `bind`; and with `SHAPE`, `SOURCE`, `matches`, `source_of` and `run_sample` for sample events, and with
    `refusal` where its queues refuse what others take."""
    senders: dict[str, str]
    """`module:function` that makes a sender from an address, by the address' scheme."""
    parameters: Sequence[str] | None = None
    """Parameters of its addresses, after the question mark; None where the function checks them itself."""
    delays: bool = True
    """False where its queues cannot delay a message, so that `peeklock replay` takes a delayed one as sent to another
    platform."""
    span: str = ""
    """`module:function` of its rule for `Queue.span`: it takes a `peeklock.retry_span.Backoff` and `store=`, and returns a
    `Span`. Empty where there is none."""
    dev: DevSupport | None = None
    """How `peeklock dev` runs it; None where it does not."""
    extra: str = ""
    """Name in `pip install 'peeklock[extra]'`."""
    sdks: Sequence[str] = ()
    """Modules that the extra brings."""


PLATFORMS: dict[str, Platform] = {
    platform.name: platform
    for platform in (
        Platform(
            name="sqs",
            module="peeklock.platforms.sqs.bind",
            senders=dict.fromkeys(("https", "http"), "peeklock.platforms.sqs.sender:from_url"),
            parameters=(),
            span="peeklock.platforms.sqs.retry_span:span",
            dev=DevSupport(
                runner="peeklock.dev.sqs:Sqs",
                example='["app.aws:handler"]             # Lambda handlers, as module:function',
            ),
            extra="sqs",
            sdks=("boto3", "botocore"),
        ),
        Platform(
            name="servicebus",
            module="peeklock.platforms.servicebus.bind",
            senders={"sb": "peeklock.platforms.servicebus.sender:from_url"},
            parameters=(),
            span="peeklock.platforms.servicebus.retry_span:span",
            dev=DevSupport(
                runner="peeklock.dev.servicebus:ServiceBus",
                example='"azure"                  # the folder with function_app.py and host.json',
                app_file="function_app.py",
                settings=("host.json", "local.settings.json"),
                # https://learn.microsoft.com/azure/azure-functions/functions-reference-python#folder-structure
                describe="peeklock.dev.function_app:triggers",
            ),
            extra="servicebus",
            sdks=("azure", "azurefunctions"),
        ),
        Platform(
            name="cloudtasks",
            module="peeklock.platforms.cloudtasks.bind",
            senders={"cloudtasks": "peeklock.platforms.cloudtasks.address:from_url"},
            parameters=("target", "service_account", "audience", "deadline"),
            span="peeklock.platforms.cloudtasks.retry_span:span",
            dev=DevSupport(
                runner="peeklock.dev.cloudtasks:CloudTasks",
                example='["app.gcp:charge_http"]  # functions of functions-framework, as module:function',
            ),
            extra="cloudtasks",
            sdks=("google", "grpc", "flask", "functions_framework", "requests"),
        ),
        Platform(
            name="pubsub",
            module="peeklock.platforms.pubsub.bind",
            senders={"pubsub": "peeklock.platforms.pubsub.sender:from_url"},
            parameters=(),
            delays=False,
            span="peeklock.platforms.pubsub.retry_span:span",
            extra="pubsub",
            sdks=("google.cloud.pubsub_v1",),
        ),
    )
}


@functools.cache
def platforms() -> Mapping[str, Platform]:
    """Return all platforms by name, those of installed packages too. The first call reads the metadata of all packages.

    Raises ConfigError for one that cannot be loaded.
    """
    from importlib.metadata import entry_points

    foreign = {entry.name: _loaded(entry) for entry in entry_points(group="peeklock.platforms")}
    return {**foreign, **PLATFORMS}


def _loaded(entry: EntryPoint) -> Platform:
    try:
        platform = entry.load()
    except Exception as exc:
        raise _unusable(entry, f"{type(exc).__name__}: {exc}") from exc
    if not isinstance(platform, Platform):
        raise _unusable(entry, f"its value is a {type(platform).__name__}, not a Platform")
    return platform


def _unusable(entry: EntryPoint, problem: str) -> ConfigError:
    package = entry.dist.name if entry.dist else "a package"
    return ConfigError(
        f"the platform {entry.name!r} ({entry.value}) of {package} cannot be used: {problem}; update or uninstall {package}"
    )


def find_platform(name: str) -> Platform | None:
    """Return the platform of a name; None where there is none. Metadata is read only for a name that is not peeklock's own."""
    return PLATFORMS.get(name) or platforms().get(name)


def platform_named(name: str) -> Platform:
    """Return the platform of a name. Raises ConfigError where there is none."""
    platform = find_platform(name)
    if platform is None:
        raise ConfigError(f"platform={name!r}: {nearest(str(name), sorted(platforms()))}")
    return platform


def module_of(name: str) -> Any:
    """Return the module of a platform's `bind`, loaded. Raises ConfigError where there is no such platform."""
    return importlib.import_module(platform_named(name).module)


def load_target(target: str) -> Any:
    """Return the object that `module:name` names, and import its module."""
    module, _, name = target.partition(":")
    return getattr(importlib.import_module(module), name)
