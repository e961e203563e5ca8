"""`Consumer`: one queue, its dead letters, the function app that works on it, and what tells of trouble."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pulumi
from pulumi_azure_native import authorization, managedidentity

from peeklock.errors import ConfigError
from peeklock.infra import outages
from peeklock.infra.azure import alerts, bus, functions, naming, package
from peeklock.infra.azure.alarms import alarms
from peeklock.infra.azure.environment import Places, address, environment, for_producers
from peeklock.infra.azure.identity import Grant, Role, grants, redrive_grants, send_grants
from peeklock.infra.azure.shared import Shared
from peeklock.infra.settings.azure import Settings
from peeklock.queue import Queue


@dataclass(frozen=True, slots=True, kw_only=True)
class Given:
    """What `App.consumer` was told."""

    queue: Queue
    handler: str
    options: str | None
    settings: Settings
    consuming: bool
    uses: tuple[Queue, ...]
    topic: str | None
    queue_id: str | None
    dead_letters_id: str | None
    identity: str | None

    def __post_init__(self) -> None:
        package.function_of(self.handler)
        if self.topic is not None and self.queue.fifo:
            raise ConfigError(
                f"queue {self.queue.name!r} is fifo, and forwarding from a topic keeps no session's order; send to the queue,"
                " or drop fifo=True"
            )


class Consumer(pulumi.ComponentResource):
    """Made by `App.consumer`. Addresses are as `peeklock.send` takes them."""

    queue: pulumi.Output[str]
    """The queue's address."""
    dead_letters: pulumi.Output[str]
    """The dead letters' address."""
    function: pulumi.Output[str]
    """The function app's name."""
    identity: pulumi.Output[str]
    """The principal id of what the app runs as."""
    store: pulumi.Output[str]
    alarms: Mapping[str, pulumi.Output[str]]
    """The alerts' ids, by name."""
    links: Mapping[str, pulumi.Output[str]]
    """Pages of the portal."""
    environment: Mapping[str, pulumi.Output[str]]
    """What a producer's process needs."""

    def __init__(
        self, shared: Shared, given: Given, *, bundle: Path, topics: dict[str, Any], opts: pulumi.ResourceOptions
    ) -> None:
        self._shared, self._given = shared, given
        super().__init__("peeklock:azure:Consumer", self._named(), None, opts)
        outages.warn(given.queue, "servicebus", given.settings.span, self)
        self._tags = {**shared.tags, "consumer": given.queue.name, "fingerprint": given.queue.fingerprint}
        self._dead_letters = bus.dead_letters(shared, given.queue, given.dead_letters_id, self)
        self._queue = bus.queue(shared, given.queue, given.settings, self._dead_letters.name, given.queue_id, self)
        self._identity = self._who()
        self._waiting = self._others()
        granted = [self._grant(one) for one in self._grants() if one not in self._waiting]
        app = self._app(granted)
        functions.no_passwords(shared, given.queue.name, app, self)
        files = package.rendered(given.queue, given.handler, given.settings, given.options)
        functions.deployed(shared, given.queue.name, app, package.written(bundle, given.queue, files), self)
        if given.topic is not None:
            bus.subscribed(shared, given.topic, topics, self._queue, given.queue.name, self)
        self._tell(app)
        self.register_outputs(self.told())

    def _named(self, suffix: str = "") -> str:
        return f"{self._shared.app}-{self._given.queue.name}{suffix}"

    @property
    def dead_letters_name(self) -> Any:
        return self._dead_letters.name

    def _who(self) -> Any:
        name, opts = self._named("-identity"), pulumi.ResourceOptions(parent=self)
        if self._given.identity is not None:
            return managedidentity.UserAssignedIdentity.get(name, self._given.identity, opts)
        return managedidentity.UserAssignedIdentity(
            name, resource_group_name=self._shared.group, tags=self._tags, opts=opts
        )

    def _grants(self) -> tuple[Grant, ...]:
        """None for an identity that was brought along: whoever made it says what it may do."""
        return () if self._given.identity is not None else grants(self._given.queue, self._given.uses)

    def _others(self) -> list[Grant]:
        """Grants on other consumers' queues, which may not be declared yet."""
        mine = f"queue:{self._given.queue.name}"
        return [one for one in self._grants() if one.on.startswith("queue:") and one.on != mine]

    def grant_sends(self, consumers: Mapping[str, Consumer]) -> None:
        """Grant what waits for these consumers' queues."""
        for one in list(self._waiting):
            if other := consumers.get(one.on.partition(":")[2]):
                self._waiting.remove(one)
                self._grant(one, other._queue.id)  # noqa: SLF001 - its own class

    def check_sends(self) -> None:
        """Raises ConfigError where a queue in `uses` has no consumer in the app."""
        if self._waiting:
            name = self._waiting[0].on.partition(":")[2]
            raise ConfigError(
                f"consumer {self._given.queue.name!r} uses queue {name!r}, which has no consumer in this app; declare one with"
                " app.consumer, or take it out of uses= and grant it where the queue is made, with grant_send"
            )

    def _grant(self, grant: Grant, scope: Any = None) -> Any:
        places = {
            "queue": self._queue.id,
            f"queue:{self._given.queue.name}": self._queue.id,
            "dead_letters": self._dead_letters.id,
            "table": self._shared.table,
            "host": self._shared.host.id,
            "packages": self._shared.packages.id,
            "telemetry": self._shared.insights.id,
        }
        return self._assign(
            grant.name, grant.role, scope if scope is not None else places[grant.on], self._identity.principal_id
        )

    def _assign(
        self,
        name: str,
        role: Role,
        scope: Any,
        principal: Any,
        kind: Any = authorization.PrincipalType.SERVICE_PRINCIPAL,
    ) -> Any:
        return authorization.RoleAssignment(
            self._named(f"-may-{name}"),
            scope=scope,
            role_definition_id=pulumi.Output.from_input(scope).apply(role.definition),
            principal_id=principal,
            principal_type=kind,
            opts=pulumi.ResourceOptions(parent=self),
        )

    def grant_send(self, name: str, principal_id: pulumi.Input[str]) -> Any:
        """Let a producer's identity send to the queue. `name`: of the producer, unique for this consumer."""
        (one,) = send_grants()
        return self._assign(f"{one.name}-from-{name}", one.role, self._queue.id, principal_id)

    def grant_redrive(self, name: str, principal_id: pulumi.Input[str], *, kind: str = "User") -> tuple[Any, ...]:
        """Let an operator take dead letters out and put them back. `name`: of the operator, unique for this consumer; `kind`:
        User, Group or ServicePrincipal."""
        places = {"dead_letters": self._dead_letters.id, "queue": self._queue.id}
        return tuple(
            self._assign(f"{one.name}-by-{name}", one.role, places[one.on], principal_id, kind)
            for one in redrive_grants()
        )

    def _app(self, granted: list[Any]) -> Any:
        given, shared = self._given, self._shared
        return functions.function_app(
            shared,
            given.queue.name,
            given.settings,
            identity=self._identity,
            environment=self._environment(),
            tags=self._tags,
            parent=self,
            after=[*granted, self._queue.resource],
        )

    def _environment(self) -> pulumi.Output[dict[str, str]]:
        given, shared = self._given, self._shared
        known = {
            "namespace": shared.namespace.name,
            "dead_letters": self._dead_letters.name,
            "store": shared.store,
            "host_account": shared.host.name,
            "client_id": self._identity.client_id,
            "telemetry": shared.insights.connection_string,
        }
        return pulumi.Output.all(**known).apply(
            lambda places: environment(
                given.queue,
                given.settings,
                Places(**places),
                uses=given.uses,
                host_id=naming.host_id(shared.app, given.queue.name, pulumi.get_stack()),
                function=package.function_of(given.handler),
                consuming=given.consuming,
            )
        )

    def _tell(self, app: Any) -> None:
        """The alarms, and the outputs."""
        given, shared = self._given, self._shared
        dead_letters_name = (
            f"{given.queue.name}-dead-letters"
            if given.dead_letters_id is None
            else naming.part(given.dead_letters_id, "queues")
        )
        wanted = alarms(
            given.queue,
            given.settings,
            shared.stage.thresholds,
            app=alerts.APP,
            dead_letters=dead_letters_name,
            forwarded=given.queue_id is None,
        )
        made = alerts.alerts(shared, given.queue.name, wanted, app.name, self._tags, self)
        namespace = pulumi.Output.from_input(shared.namespace.name)
        self.queue = namespace.apply(lambda name: address(name, given.queue.name))
        self.dead_letters = namespace.apply(lambda name: address(name, dead_letters_name))
        self.function = app.name
        self.identity = self._identity.principal_id
        self.store = pulumi.Output.from_input(shared.store)
        self.alarms = {name: one.id for name, one in made.items()}
        pages = {
            "queue": self._queue.id,
            "dead_letters": self._dead_letters.id,
            "function": app.id,
            "logs": shared.insights.id,
        }
        self.links = {
            name: pulumi.Output.concat("https://portal.azure.com/#resource", id_) for name, id_ in pages.items()
        }
        for_send = namespace.apply(lambda name: for_producers(given.queue, name))
        self.environment = {key: for_send[key] for key in for_producers(given.queue, "")}

    def told(self) -> dict[str, Any]:
        """The consumer's outputs, for the stack's."""
        names = ("queue", "dead_letters", "function", "identity", "store", "alarms", "links", "environment")
        return {name: getattr(self, name) for name in names}
