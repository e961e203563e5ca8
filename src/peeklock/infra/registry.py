"""Registration, ordering and outputs of an app's consumers: the part that the clouds share."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Generic, Protocol, TypeVar
from weakref import WeakKeyDictionary

import pulumi
from pulumi.runtime import config, get_root_resource

from peeklock.errors import ConfigError
from peeklock.infra import completion
from peeklock.infra.deployed import Used, queue_of
from peeklock.infra.options import Capacity, Stage, check_capacity_queues, check_keys, check_variables
from peeklock.infra.protection import protect_consumer
from peeklock.queue import Queue

Transform = Callable[[pulumi.ResourceTransformationArgs], pulumi.ResourceTransformationResult | None]

EXAMPLES = {"stage": "{protect: true, log_days: 30}", "capacity": "{orders: {batch: 10, instances: 20}}"}
"""Value of each key of the stack's configuration, as YAML."""

OUTPUTS = ("queue", "dead_letters", "resource", "function", "identity", "store", "alarms", "links", "environment")
"""Outputs of each consumer, which are its attributes of the same names."""


class Consumer(Protocol):
    """A consumer as the registry uses it; also a `pulumi.ComponentResource`."""

    def start(self, consumers: Mapping[str, Any]) -> None:
        """Make the resources that need the queues in `uses`, once all of these have a consumer."""

    def missing(self, consumers: Mapping[str, Any]) -> Sequence[str]:
        """Return the queues in `uses` that have no consumer."""


C = TypeVar("C", bound=Consumer)

_queues: WeakKeyDictionary[Any, list[str]] = WeakKeyDictionary()
"""Names of the queues of the complete apps, by program."""


class Registry(Generic[C]):
    """Consumers of one app, by their queues' names, in the order of declaration."""

    def __init__(self, app: pulumi.ComponentResource, name: str, stage: Stage | None) -> None:
        self._app, self._name = app, name
        completion.require_completion(name)
        check_keys(_project_keys(), ("stage", "capacity"))
        self.stage = stage or Stage.from_mapping(_configured("stage"))
        self.consumers: dict[str, C] = {}

    def check(self, queue: Queue, uses: Sequence[Used]) -> None:
        """Raise ConfigError for a second consumer of a queue, and for queues that would share their variables."""
        if queue.name in self.consumers:
            raise ConfigError(f"queue {queue.name!r} has a consumer in app {self._name!r} already; give each queue one")
        check_variables([*self.consumers, queue.name, *(queue_of(used).name for used in uses)])

    def capacity(self, queue: Queue, capacity: Capacity | None) -> Capacity:
        """Return the given capacity, or else the one in the stack's configuration."""
        return capacity or Capacity.from_mapping(_configured("capacity").get(queue.name, {}))

    def options(self, opts: pulumi.ResourceOptions | None) -> pulumi.ResourceOptions:
        """Return the options of a consumer: a child of the app."""
        return pulumi.ResourceOptions.merge(pulumi.ResourceOptions(parent=self._app), opts)

    def add(self, queue: Queue, consumer: C) -> C:
        """Register the consumer and start every consumer whose queues in `uses` are all registered now."""
        self.consumers[queue.name] = consumer
        for registered in self.consumers.values():
            registered.start(self.consumers)
        return consumer

    def complete(self, dashboard: Callable[[], Any], *, export: bool) -> dict[str, Any]:
        """Check all consumers, protect them, and return the app's outputs, exported unless the program does that itself.
        `dashboard`: makes the dashboard and returns its address."""
        self._check_uses()
        self._check_capacity()
        app_outputs: dict[str, Any] = {}
        environment: dict[str, Any] = {}
        for name, consumer in self.consumers.items():
            component: Any = consumer
            app_outputs[name] = outputs(component)
            protect_consumer(f"{self._name}-{name}", component, self.stage, self._app)
            environment |= component.environment
        app_outputs |= {"environment": environment, "dashboard": dashboard()}
        if export:
            completion.export(self._name, app_outputs)
        self._app.register_outputs({})
        return app_outputs

    def _check_capacity(self) -> None:
        """Check the stack's capacity once the last app of the program is complete: it is for the queues of all."""
        program = _queues.setdefault(get_root_resource(), [])
        program.extend(self.consumers)
        if completion.completed(self._name):
            check_capacity_queues(_configured("capacity"), program)

    def _check_uses(self) -> None:
        for consumer_name, consumer in self.consumers.items():
            for name in consumer.missing(self.consumers):
                raise ConfigError(
                    f"consumer {consumer_name!r} uses queue {name!r}, which has no consumer in this app; declare one with"
                    " app.consumer, or take it out of uses= and grant it where the queue is made, with grant_send"
                )


def outputs(consumer: Any) -> dict[str, Any]:
    """Return a consumer's outputs by name."""
    return {name: getattr(consumer, name) for name in OUTPUTS}


def _configured(key: str) -> Mapping[str, Any]:
    value = pulumi.Config().get_object(key) or {}
    if not isinstance(value, Mapping):
        raise ConfigError(f"the stack's {key} is {value!r}; use a mapping, such as {EXAMPLES[key]}")
    return value


def _project_keys() -> Iterator[str]:
    """Yield the keys of the stack's configuration that belong to the project, without its name."""
    prefix = f"{pulumi.get_project()}:"
    keys = {*config.CONFIG.get(), *config.get_config_env()}
    return (key.removeprefix(prefix) for key in keys if key.startswith(prefix))
