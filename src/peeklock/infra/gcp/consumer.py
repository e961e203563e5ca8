"""`Consumer`: one queue, its dead letters, the function that consumes it, and its alarms."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pulumi

from peeklock.errors import ConfigError
from peeklock.infra import retry_warnings
from peeklock.infra.alarms import Alarm
from peeklock.infra.deployed import Used, deployed, own, queue_of
from peeklock.infra.gcp import alarm_resources, extra_grants, functions, iam_members, queues, secrets
from peeklock.infra.gcp.alarms import Names, Signal, alarms
from peeklock.infra.gcp.environment import address, dead_letters_address, environment, links
from peeklock.infra.gcp.identity import REDRIVE, Grant, Role, grants, member, send_grants
from peeklock.infra.gcp.naming import label
from peeklock.infra.gcp.shared import Shared
from peeklock.infra.gcp.targets import Target, address_of, target_of
from peeklock.infra.registry import outputs
from peeklock.infra.settings.gcp import Settings
from peeklock.infra.variables import Variables
from peeklock.queue import Queue


@dataclass(frozen=True, slots=True, kw_only=True)
class ConsumerArgs:
    """Arguments of `App.consumer`, checked."""

    queue: Queue
    entry: str
    settings: Settings
    consuming: bool
    uses: tuple[Used, ...]
    variables: Variables
    grants: tuple[extra_grants.Grant, ...]
    existing_queue: pulumi.Input[str] | None
    existing_dead_letters: tuple[pulumi.Input[str], pulumi.Input[str]] | None
    identity: pulumi.Input[str] | None
    tags: Mapping[str, str]
    suffix: str | None = None

    def __post_init__(self) -> None:
        extra_grants.check_grants(self.grants)
        if self.existing_queue is not None and not self.consuming:
            raise ConfigError(
                f"queue {self.queue.name!r} exists already, and is never modified: pause it yourself, and leave"
                " consuming=False out"
            )
        if self.grants and self.identity is not None:
            raise ConfigError(
                f"queue {self.queue.name!r}: identity= exists already, and its owner grants its roles; drop grants="
            )


class Consumer(pulumi.ComponentResource):
    """Consumer of a queue, made by `App.consumer`. Its function is made once all queues in `uses` have a consumer; read its
    outputs after that. Addresses are those that `peeklock.send` takes."""

    queue: pulumi.Output[str]
    """The queue's address."""
    dead_letters: pulumi.Output[str]
    """The dead letters' address."""
    resource: pulumi.Output[str]
    """The queue's full name."""
    function: pulumi.Output[str]
    """The function's name."""
    identity: pulumi.Output[str]
    """The address of the function's service account."""
    store: pulumi.Output[str]
    alarms: Mapping[str, pulumi.Output[str]]
    """The alert policies' names, by the alarm's."""
    links: pulumi.Output[Mapping[str, str]]
    """Pages of the console."""
    environment: Mapping[str, pulumi.Output[str]]
    """Environment variables for a producer's process."""

    def __init__(self, shared: Shared, args: ConsumerArgs, *, opts: pulumi.ResourceOptions) -> None:
        self._shared, self._args = shared, args
        super().__init__("peeklock:gcp:Consumer", self._resource_name(), None, opts)
        retry_warnings.warn(args.queue, "cloudtasks", args.settings.span, self)
        self._labels = {
            **shared.labels,
            **args.tags,
            "consumer": label(args.queue.name),
            "fingerprint": args.queue.fingerprint,
        }
        self.service = shared.deployment.service(args.queue)
        self._full_name: pulumi.Input[str] = (
            shared.deployment.queue(self.service, args.suffix) if args.existing_queue is None else args.existing_queue
        )
        self._caller = self._account("call", "Calls the function for Cloud Tasks")
        self._dead_letters = queues.dead_letters(
            shared, args.queue, args.settings, self._labels, self, args.existing_dead_letters
        )
        self._queue = queues.queue(
            shared,
            args.queue,
            args.settings,
            self,
            suffix=args.suffix,
            service=self.service,
            caller=self._caller.email,
            consuming=args.consuming,
            existing=args.existing_queue,
        )
        self._runner: Any = None if args.identity is not None else self._account("run", "Runs the function")
        self._started = False

    def _resource_name(self, suffix: str = "") -> str:
        return f"{self._shared.deployment.app}-{self._args.queue.name}{suffix}"

    def _account_id(self, role: str) -> str:
        return self._shared.deployment.account(self._args.queue.name, role)

    def _account(self, role: str, purpose: str) -> Any:
        description = f"{purpose}: {self._shared.deployment.app} {self._args.queue.name}"
        return functions.account(
            self._shared, self._resource_name(f"-{role}"), self._account_id(role), description, self
        )

    @property
    def target(self) -> Target:
        """The queue as others send to it."""
        return Target(queue=self._full_name, caller=self._caller.name, after=(self._queue,))

    @property
    def address(self) -> pulumi.Output[str]:
        """The queue's address, before the queue is made."""
        deployment = self._shared.deployment
        url, caller = deployment.url(self.service), deployment.email(self._account_id("call"))
        return pulumi.Output.from_input(self._full_name).apply(
            lambda queue: address(queue, url, caller, self._args.settings.deadline)
        )

    def _grants(self) -> tuple[Grant, ...]:
        """Return the consumer's grants, none for an existing identity, whose owner grants its roles."""
        return () if self._args.identity is not None else grants(self._args.queue, map(queue_of, self._args.uses))

    def start(self, consumers: Mapping[str, Consumer]) -> None:
        """Make the function, once all the queues that it uses have a consumer."""
        if self._started or self.missing(consumers):
            return
        self._started = True
        targets = {
            **{queue.name: consumers[queue.name].target for queue in own(self._args.uses)},
            **{other.queue.name: target_of(other) for other in deployed(self._args.uses)},
            self._args.queue.name: self.target,
        }
        granted = [
            self._grant(
                f"may-{grant.name}", grant.role, self._runner.member, targets[grant.queue or self._args.queue.name]
            )
            for grant in self._grants()
        ]
        addresses = {
            **{queue.variable("URL"): consumers[queue.name].address for queue in own(self._args.uses)},
            **{other.queue.variable("URL"): address_of(other) for other in deployed(self._args.uses)},
        }
        function = self._function(addresses, [*granted, *self._own_grants()])
        functions.callable_by(self._shared, self._resource_name("-may-be-called"), function, self._caller.member, self)
        self._make_alarms(function)
        self.register_outputs(outputs(self))

    def missing(self, consumers: Mapping[str, Consumer]) -> list[str]:
        """Return the queues in `uses` that have no consumer."""
        return [queue.name for queue in own(self._args.uses) if queue.name not in consumers]

    def _grant(self, name: str, role: Role, principal: Any, target: Target) -> Any:
        """Make a grant. `target`: the queue and its caller, where the grant is on one of them."""
        name, dead_letters = self._resource_name(f"-{name}"), self._dead_letters
        if role is Role.ENQUEUER:
            return iam_members.on_queue(name, target.queue, role.value, principal, self._after(*target.after))
        if role is Role.ACT_AS:
            return iam_members.on_account(name, target.caller, principal, self._after())
        if role is Role.PUBLISHER:
            topic, opts = dead_letters.topic, self._after(dead_letters.resources[0])
            return iam_members.on_topic(name, topic, role.value, principal, opts)
        if role is Role.SUBSCRIBER:
            subscription, opts = dead_letters.subscription, self._after(dead_letters.resources[1])
            return iam_members.on_subscription(name, subscription, role.value, principal, opts)
        return iam_members.on_database(name, self._shared.database, principal, self._after())

    def _own_grants(self) -> list[Any]:
        """Make the grants of the team's program, and those on its secrets; none for an existing identity."""
        if self._runner is None:
            return []
        principal, opts = self._runner.member, self._after()
        return [
            *(
                secrets.grant(self._resource_name(f"-may-read-{name}"), reference, principal, opts)
                for name, reference in self._args.variables.secrets.items()
            ),
            *(
                extra_grants.make(grant, self._resource_name(f"-has-{grant.name}"), principal, opts)
                for grant in self._args.grants
            ),
        ]

    def _after(self, *resources: Any) -> pulumi.ResourceOptions:
        return pulumi.ResourceOptions(parent=self, depends_on=list(resources))

    def grant_send(self, name: str, identity: pulumi.Input[str]) -> tuple[Any, ...]:
        """Let a producer send to the queue. `name`: the producer's, unique for this consumer; `identity`: a service account's
        address, or a member such as `user:somebody@example.com`."""
        principal = pulumi.Output.from_input(identity).apply(member)
        return tuple(
            self._grant(f"may-{grant.name}", grant.role, principal, self.target)
            for grant in send_grants(f"send-from-{name}", "sends to it")
        )

    def grant_redrive(self, name: str, identity: pulumi.Input[str]) -> tuple[Any, ...]:
        """Let an operator redrive dead letters. The arguments are those of `grant_send`."""
        principal = pulumi.Output.from_input(identity).apply(member)
        receive = self._grant(f"may-{REDRIVE.name}-by-{name}", REDRIVE.role, principal, self.target)
        return (receive, *self.grant_send(f"redrive-by-{name}", identity))

    def _function(self, uses: Mapping[str, pulumi.Input[str]], granted: list[Any]) -> Any:
        args, shared = self._args, self._shared
        variables = environment(
            args.queue,
            args.settings,
            address=self.address,
            dead_letters=self._dead_letters_address(),
            store=shared.store,
            target=shared.deployment.url(self.service),
            caller=shared.deployment.email(self._account_id("call")),
            uses=uses,
            variables=args.variables.plain,
        )
        return functions.function(
            shared,
            self._resource_name(),
            args.settings,
            self,
            service=self.service,
            entry=args.entry,
            identity=self._runner.email if args.identity is None else args.identity,
            environment=variables,
            secrets=secrets.environment(args.variables.secrets),
            labels=self._labels,
            after=[*granted, self._queue, *self._dead_letters.resources],
        )

    def _dead_letters_address(self) -> pulumi.Output[str]:
        return pulumi.Output.from_input(self._dead_letters.topic).apply(dead_letters_address)

    @property
    def names(self) -> pulumi.Output[Names]:
        """Short names of the consumer's resources."""
        return pulumi.Output.all(self._full_name, self._dead_letters.subscription).apply(
            lambda resolved: Names(
                queue=queues.short(resolved[0]), service=self.service, subscription=queues.short(resolved[1])
            )
        )

    def alarm_rows(self, names: Names) -> tuple[Alarm[Signal], ...]:
        """Return the alarms as data."""
        return alarms(self._args.queue, self._args.settings, self._shared.stage.thresholds, names)

    def _make_alarms(self, function: Any) -> None:
        """Make the alarms, and set the outputs."""
        shared, deployment = self._shared, self._shared.deployment
        metric = alarm_resources.make_failures_metric(shared, self._args.queue, self.service, self)
        resources = alarm_resources.make_alarms(
            shared, self._args.queue, self.alarm_rows, self.names, self._labels, self, metric
        )
        self.resource = _after(self._queue, self._full_name)
        self.queue = _after(self._queue, self.address)
        self.dead_letters = _after(self._dead_letters.resources[0], self._dead_letters_address())
        self.function = function.name
        own_identity = deployment.email(self._account_id("run"))
        self.identity = _after(function, own_identity if self._args.identity is None else self._args.identity)
        self.store = _after(shared.store_resources[0], shared.store)
        self.alarms = {name: policy.name for name, policy in resources.items()}
        self.links = pulumi.Output.all(self.names, function.id).apply(
            lambda resolved: links(deployment.project, deployment.region, resolved[0])
        )
        self.environment = {self._args.queue.variable("URL"): self.queue}


def _after(resource: Any, text: pulumi.Input[str]) -> pulumi.Output[str]:
    """Return the text as an output that is available once the resource is made."""
    output: pulumi.Output[str] = pulumi.Output.all(resource.id, text).apply(lambda resolved: resolved[1])
    return output
