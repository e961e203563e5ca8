"""`Consumer`: one queue, its dead-letter queue, the function app that consumes it, and its alarms."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pulumi
from pulumi_azure_native import authorization, managedidentity

from peeklock.errors import ConfigError
from peeklock.infra import retry_warnings
from peeklock.infra.azure import alarm_resources, functions, identity, naming, package, queues, secrets
from peeklock.infra.azure.alarms import alarms
from peeklock.infra.azure.environment import ResourceNames, address, environment, for_producers
from peeklock.infra.azure.identity import Grant, Role, grants, redrive_grants, send_grants
from peeklock.infra.azure.shared import Shared
from peeklock.infra.deployed import Used, deployed, own, queue_of
from peeklock.infra.inputs import checked, text
from peeklock.infra.registry import outputs
from peeklock.infra.settings.azure import Settings
from peeklock.infra.variables import Variables
from peeklock.queue import Queue


@dataclass(frozen=True, slots=True, kw_only=True)
class ConsumerArgs:
    """Arguments of `App.consumer`, checked."""

    queue: Queue
    handler: str
    options: str | None
    settings: Settings
    consuming: bool
    uses: tuple[Used, ...]
    variables: Variables
    grants: tuple[Grant, ...]
    topic: pulumi.Input[str] | None
    queue_id: pulumi.Input[str] | None
    dead_letters_id: pulumi.Input[str] | None
    identity: pulumi.Input[str] | None
    tags: Mapping[str, str]

    def __post_init__(self) -> None:
        package.function_of(self.handler)
        identity.check_grants(self.queue, self.grants, map(queue_of, self.uses))
        if self.grants and self.identity is not None:
            raise ConfigError(
                f"queue {self.queue.name!r}: identity= exists already, and its owner grants its roles; drop grants="
            )
        if self.topic is not None and self.queue.fifo:
            raise ConfigError(
                f"queue {self.queue.name!r} is fifo, and forwarding from a topic does not keep a session's order; send to the"
                " queue, or drop fifo=True"
            )


class Consumer(pulumi.ComponentResource):
    """Consumer of a queue, made by `App.consumer`. Addresses are those that `peeklock.send` takes."""

    queue: pulumi.Output[str]
    """The queue's address."""
    dead_letters: pulumi.Output[str]
    """The dead-letter queue's address."""
    resource: pulumi.Output[str]
    """The queue's id."""
    function: pulumi.Output[str]
    """The function app's name."""
    identity: pulumi.Output[str]
    """The principal id of the app's identity."""
    store: pulumi.Output[str]
    alarms: Mapping[str, pulumi.Output[str]]
    """The alerts' ids, by name."""
    links: Mapping[str, pulumi.Output[str]]
    """Pages of the portal."""
    environment: Mapping[str, pulumi.Output[str]]
    """Environment variables for a producer's process."""

    def __init__(
        self, shared: Shared, args: ConsumerArgs, *, bundle: Path, topics: dict[str, Any], opts: pulumi.ResourceOptions
    ) -> None:
        self._shared, self._args, self._sources = shared, args, 0
        super().__init__("peeklock:azure:Consumer", self._resource_name(), None, opts)
        retry_warnings.warn(args.queue, "servicebus", args.settings.span, self)
        self._tags = {**shared.tags, **args.tags, "consumer": args.queue.name, "fingerprint": args.queue.fingerprint}
        self._dead_letters = queues.dead_letters(shared, args.queue, args.dead_letters_id, self)
        self._queue = queues.queue(shared, args.queue, args.settings, self._dead_letters.name, args.queue_id, self)
        self._identity = self._principal()
        self._code = functions.code_container(shared, args.queue.name, self)
        self._waiting = self._grants_on_other_queues()
        self._secrets = {name: secrets.checked_secret(name, uri) for name, uri in args.variables.secrets.items()}
        granted = [self._grant(grant) for grant in self._grants() if grant not in self._waiting]
        granted += self._extra_grants()
        app = self._app(granted)
        functions.disable_passwords(shared, args.queue.name, app, self)
        files = package.rendered(args.queue, args.handler, args.settings, args.options)
        functions.deploy(shared, args.queue.name, app, package.written(bundle, args.queue, files), self)
        if args.topic is not None:
            queues.forward_topic(shared, args.topic, topics, self._queue, args.queue.name, self)
        self._make_alarms(app)
        self.register_outputs(outputs(self))

    def _resource_name(self, suffix: str = "") -> str:
        return f"{self._shared.app}-{self._args.queue.name}{suffix}"

    @property
    def dead_letters_name(self) -> Any:
        """The name of the dead-letter queue."""
        return self._dead_letters.name

    def _principal(self) -> Any:
        name, opts = self._resource_name("-identity"), pulumi.ResourceOptions(parent=self)
        if self._args.identity is not None:
            id_ = naming.resource_id("identity", self._args.identity, "userAssignedIdentities")
            return managedidentity.UserAssignedIdentity.get(name, id_, opts)
        return managedidentity.UserAssignedIdentity(
            name, resource_group_name=self._shared.group, tags=self._tags, opts=opts
        )

    def _grants(self) -> tuple[Grant, ...]:
        """Return the consumer's grants, none for an existing identity, whose owner grants its roles."""
        return () if self._args.identity is not None else grants(self._args.queue, own(self._args.uses))

    def _extra_grants(self) -> Iterator[Any]:
        """Make the grants of the program's own, on secrets, and on queues of other apps: none for an existing identity."""
        args, vault = self._args, self._shared.existing.vault
        if args.identity is not None:
            return
        for grant in args.grants:
            own_queue = isinstance(grant.on, str) and grant.on == "queue"
            on = self._queue.id if own_queue else text(f"grants: on= of {grant.name!r}", grant.on)
            yield self._assign(grant.name, grant.role, on, self._identity.principal_id)
        for name, uri in self._secrets.items() if vault is not None else ():
            scope = pulumi.Output.all(vault, name, uri).apply(lambda resolved: secrets.scope(*resolved))
            yield self._assign(f"read-{name}", Role.KEY_VAULT_SECRETS_USER, scope, self._identity.principal_id)
        for other in deployed(args.uses):
            scope = other.output("resource", lambda argument, id_: naming.check_id(argument, id_, "queues"))
            send = f"send-{other.queue.name}"
            yield self._assign(send, Role.SERVICE_BUS_DATA_SENDER, scope, self._identity.principal_id)

    def _grants_on_other_queues(self) -> list[Grant]:
        """Return the grants on the queues of other consumers, which may not be declared yet."""
        this_queue = f"queue:{self._args.queue.name}"
        return [grant for grant in self._grants() if grant.on.startswith("queue:") and grant.on != this_queue]

    def start(self, consumers: Mapping[str, Consumer]) -> None:
        """Make the grants on the queues in `uses` that have a consumer now."""
        for grant in list(self._waiting):
            if other := consumers.get(grant.on.partition(":")[2]):
                self._waiting.remove(grant)
                self._grant(grant, other._queue.id)  # noqa: SLF001 - its own class

    def missing(self, consumers: Mapping[str, Consumer]) -> list[str]:
        """Return the queues in `uses` that have no consumer."""
        return [name for name in (grant.on.partition(":")[2] for grant in self._waiting) if name not in consumers]

    def _grant(self, grant: Grant, scope: Any = None) -> Any:
        scopes = {
            "queue": self._queue.id,
            f"queue:{self._args.queue.name}": self._queue.id,
            "dead_letters": self._dead_letters.id,
            "table": self._shared.table,
            "host": self._shared.host.id,
            "code": self._code.id,
            "packages": self._shared.packages.id,
            "telemetry": self._shared.insights.id,
        }
        return self._assign(
            grant.name, grant.role, scope if scope is not None else scopes[grant.on], self._identity.principal_id
        )

    def _assign(
        self,
        name: str,
        role: Role | str,
        scope: Any,
        principal: Any,
        kind: Any = authorization.PrincipalType.SERVICE_PRINCIPAL,
    ) -> Any:
        return authorization.RoleAssignment(
            self._resource_name(f"-may-{name}"),
            scope=scope,
            role_definition_id=pulumi.Output.from_input(scope).apply(
                lambda resolved: identity.definition(identity.role_id(role), resolved)
            ),
            principal_id=principal,
            principal_type=kind,
            opts=pulumi.ResourceOptions(parent=self),
        )

    def grant_send(self, name: str, principal_id: pulumi.Input[str]) -> Any:
        """Let a producer's identity send to the queue. `name`: the producer's, unique for this consumer."""
        (grant,) = send_grants()
        return self._assign(f"{grant.name}-from-{name}", grant.role, self._queue.id, principal_id)

    def accept(self, service: str, principal_id: pulumi.Input[str]) -> Any:
        """Let Event Grid (`eventgrid`) send to the queue, by the principal id of a topic's identity. Without an identity Event Grid
        sends with a key, and the namespace takes none. Make the event subscription in the program; docs/infra-azure.md shows it.
        https://learn.microsoft.com/azure/event-grid/managed-service-identity
        """
        if service != "eventgrid":
            raise ConfigError(f"accept({service!r}): did you mean 'eventgrid'?")
        self._sources += 1
        return self.grant_send(f"eventgrid-{self._sources}", checked(principal_id, identity.check_principal))

    def grant_redrive(self, name: str, principal_id: pulumi.Input[str], *, kind: str = "User") -> tuple[Any, ...]:
        """Let an operator redrive dead letters. `name`: the operator's, unique for this consumer; `kind`: User, Group or
        ServicePrincipal."""
        scopes = {"dead_letters": self._dead_letters.id, "queue": self._queue.id}
        return tuple(
            self._assign(f"{grant.name}-by-{name}", grant.role, scopes[grant.on], principal_id, kind)
            for grant in redrive_grants()
        )

    def _app(self, granted: list[Any]) -> Any:
        return functions.function_app(
            self._shared,
            self._args.queue.name,
            self._args.settings,
            function=package.function_of(self._args.handler),
            identity=self._identity,
            container=self._code,
            environment=self._environment(),
            tags=self._tags,
            parent=self,
            after=[*granted, self._queue.resource],
        )

    def _environment(self) -> pulumi.Output[dict[str, str]]:
        args, shared = self._args, self._shared
        names = {
            "namespace": shared.namespace.name,
            "dead_letters": self._dead_letters.name,
            "store": shared.store,
            "host_account": shared.host.name,
            "client_id": self._identity.client_id,
            "telemetry": shared.insights.connection_string,
        }
        references = {
            name: pulumi.Output.from_input(uri).apply(secrets.reference) for name, uri in self._secrets.items()
        }
        values = {
            "names": names,
            "uses": {queue_of(used).variable("URL"): queues.address_of(shared, used) for used in args.uses},
            "variables": {**args.variables.plain, **references},
        }
        return pulumi.Output.from_input(values).apply(
            lambda resolved: environment(
                args.queue,
                args.settings,
                ResourceNames(**resolved["names"]),
                uses=resolved["uses"],
                variables=resolved["variables"],
                host_id=naming.host_id(shared.app, args.queue.name, pulumi.get_stack()),
                function=package.function_of(args.handler),
                consuming=args.consuming,
            )
        )

    def _make_alarms(self, app: Any) -> None:
        """Make the alarms, and set the outputs."""
        args, shared = self._args, self._shared
        dead_letters_name = (
            f"{args.queue.name}-dead-letters"
            if args.dead_letters_id is None
            else self._dead_letters.id.apply(lambda id_: naming.part(id_, "queues"))
        )
        rows = alarms(
            args.queue,
            args.settings,
            shared.stage.thresholds,
            app=alarm_resources.APP,
            dead_letters=dead_letters_name,
            forwarded=args.queue_id is None,
        )
        resources = alarm_resources.make_alarms(shared, args.queue.name, rows, app.name, self._tags, self)
        namespace = pulumi.Output.from_input(shared.namespace.name)
        self.resource = self._queue.id
        self.queue = namespace.apply(lambda name: address(name, args.queue.name))
        self.dead_letters = pulumi.Output.all(namespace, dead_letters_name).apply(lambda names: address(*names))
        self.function = app.name
        self.identity = self._identity.principal_id
        self.store = pulumi.Output.from_input(shared.store)
        self.alarms = {name: alarm.id for name, alarm in resources.items()}
        self.links = self._links(app)
        variables = namespace.apply(lambda name: for_producers(args.queue, name))
        self.environment = {key: variables[key] for key in for_producers(args.queue, "")}

    def _links(self, app: Any) -> dict[str, pulumi.Output[str]]:
        pages = {
            "queue": self._queue.id,
            "dead_letters": self._dead_letters.id,
            "function": app.id,
            "logs": self._shared.insights.id,
        }
        return {page: pulumi.Output.concat("https://portal.azure.com/#resource", id_) for page, id_ in pages.items()}
