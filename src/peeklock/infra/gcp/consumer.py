"""`Consumer`: one queue, its dead letters, the function that consumes it, and its alarms."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pulumi

from peeklock.errors import ConfigError
from peeklock.infra import retry_warnings
from peeklock.infra.alarms import Alarm
from peeklock.infra.gcp import alarm_resources, functions, iam_members, queues
from peeklock.infra.gcp.alarms import Names, Signal, alarms
from peeklock.infra.gcp.environment import address, dead_letters_address, environment, links
from peeklock.infra.gcp.identity import REDRIVE, Grant, Role, grants, member, send_grants
from peeklock.infra.gcp.naming import label
from peeklock.infra.gcp.shared import Shared
from peeklock.infra.registry import outputs
from peeklock.infra.settings.gcp import Settings
from peeklock.queue import Queue


@dataclass(frozen=True, slots=True, kw_only=True)
class ConsumerArgs:
    """Arguments of `App.consumer`, checked."""

    queue: Queue
    entry: str
    settings: Settings
    consuming: bool
    uses: tuple[Queue, ...]
    existing_queue: str | None
    existing_dead_letters: tuple[str, str] | None
    identity: str | None
    suffix: str | None = None

    def __post_init__(self) -> None:
        if self.existing_queue is not None and not self.consuming:
            raise ConfigError(
                f"queue {self.queue.name!r} exists already, and is never modified: pause it yourself, and leave"
                " consuming=False out"
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
    links: Mapping[str, pulumi.Output[str]]
    """Pages of the console."""
    environment: Mapping[str, pulumi.Output[str]]
    """Environment variables for a producer's process."""

    def __init__(self, shared: Shared, args: ConsumerArgs, *, opts: pulumi.ResourceOptions) -> None:
        self._shared, self._args = shared, args
        super().__init__("peeklock:gcp:Consumer", self._resource_name(), None, opts)
        retry_warnings.warn(args.queue, "cloudtasks", args.settings.span, self)
        self._labels = {
            **shared.labels,
            "consumer": label(args.queue.name),
            "fingerprint": args.queue.fingerprint,
        }
        self.service = shared.deployment.service(args.queue)
        self._caller = self._account("call", "Calls the function for Cloud Tasks")
        self._dead_letters = queues.dead_letters(
            shared, args.queue, args.settings, self._labels, self, args.existing_dead_letters
        )
        self._queue = queues.queue(
            shared,
            args.queue,
            args.settings,
            self,
            short_name=queues.short(self.full_name),
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
    def full_name(self) -> str:
        """The queue's full name."""
        return self._args.existing_queue or self._shared.deployment.queue(self.service, self._args.suffix)

    @property
    def address(self) -> str:
        """The queue's address, before the queue is made."""
        deployment = self._shared.deployment
        caller = deployment.email(self._account_id("call"))
        return address(self.full_name, deployment.url(self.service), caller, self._args.settings.deadline)

    def _principal(self) -> str:
        return self._args.identity or self._shared.deployment.email(self._account_id("run"))

    def _grants(self) -> tuple[Grant, ...]:
        """Return the consumer's grants, none for an existing identity, whose owner grants its roles."""
        return () if self._args.identity is not None else grants(self._args.queue, self._args.uses)

    def start(self, consumers: Mapping[str, Consumer]) -> None:
        """Make the function, once all the queues that it uses have a consumer."""
        if self._started or self.missing(consumers):
            return
        self._started = True
        granted = [
            self._grant(
                f"may-{grant.name}", grant.role, self._runner.member, consumers[grant.queue or self._args.queue.name]
            )
            for grant in self._grants()
        ]
        function = self._function({queue: consumers[queue.name].address for queue in self._args.uses}, granted)
        functions.callable_by(self._shared, self._resource_name("-may-be-called"), function, self._caller.member, self)
        self._make_alarms(function)
        self.register_outputs(outputs(self))

    def missing(self, consumers: Mapping[str, Consumer]) -> list[str]:
        """Return the queues in `uses` that have no consumer."""
        return [queue.name for queue in self._args.uses if queue.name not in consumers]

    def _grant(self, name: str, role: Role, principal: Any, owner: Consumer) -> Any:
        """Make a grant. `owner`: the consumer that the queue or caller belongs to."""
        resource_name, dead_letters = self._resource_name(f"-{name}"), self._dead_letters
        if role is Role.ENQUEUER:
            return iam_members.on_queue(resource_name, owner.full_name, principal, self, owner._queue)
        if role is Role.ACT_AS:
            return iam_members.on_account(resource_name, owner._caller, principal, self)
        if role is Role.PUBLISHER:
            return iam_members.on_topic(resource_name, dead_letters.topic, principal, self, dead_letters.resources[0])
        if role is Role.SUBSCRIBER:
            return iam_members.on_subscription(
                resource_name, dead_letters.subscription, principal, self, dead_letters.resources[1]
            )
        return iam_members.on_database(self._shared, resource_name, principal, self)

    def grant_send(self, name: str, identity: pulumi.Input[str]) -> tuple[Any, ...]:
        """Let a producer send to the queue. `name`: the producer's, unique for this consumer; `identity`: a service account's
        address, or a member such as `user:somebody@example.com`."""
        principal = pulumi.Output.from_input(identity).apply(member)
        return tuple(
            self._grant(f"may-{grant.name}", grant.role, principal, self)
            for grant in send_grants(f"send-from-{name}", "sends to it")
        )

    def grant_redrive(self, name: str, identity: pulumi.Input[str]) -> tuple[Any, ...]:
        """Let an operator redrive dead letters. The arguments are those of `grant_send`."""
        principal = pulumi.Output.from_input(identity).apply(member)
        receive = self._grant(f"may-{REDRIVE.name}-by-{name}", REDRIVE.role, principal, self)
        return (receive, *self.grant_send(f"redrive-by-{name}", identity))

    def _function(self, uses: Mapping[Queue, str], granted: list[Any]) -> Any:
        args, shared = self._args, self._shared
        variables = environment(
            args.queue,
            args.settings,
            address=self.address,
            dead_letters=dead_letters_address(self._dead_letters.topic),
            store=shared.store,
            target=shared.deployment.url(self.service),
            caller=shared.deployment.email(self._account_id("call")),
            uses={queue.variable("URL"): queue_address for queue, queue_address in uses.items()},
        )
        return functions.function(
            shared,
            self._resource_name(),
            args.settings,
            self,
            service=self.service,
            entry=args.entry,
            identity=args.identity or self._runner.email,
            environment=variables,
            labels=self._labels,
            after=[*granted, self._queue, *self._dead_letters.resources],
        )

    def alarm_rows(self) -> tuple[Alarm[Signal], ...]:
        """Return the alarms as data."""
        names = Names(
            queue=queues.short(self.full_name),
            service=self.service,
            subscription=queues.short(self._dead_letters.subscription),
        )
        return alarms(self._args.queue, self._args.settings, self._shared.stage.thresholds, names)

    def _make_alarms(self, function: Any) -> None:
        """Make the alarms, and set the outputs."""
        shared, deployment = self._shared, self._shared.deployment
        metric = alarm_resources.make_failures_metric(shared, self._args.queue, self.service, self)
        resources = alarm_resources.make_alarms(shared, self._args.queue, self.alarm_rows(), self._labels, self, metric)
        self.resource = _after(self._queue, self.full_name)
        self.queue = _after(self._queue, self.address)
        self.dead_letters = _after(self._dead_letters.resources[0], dead_letters_address(self._dead_letters.topic))
        self.function = function.name
        self.identity = _after(function, self._principal())
        self.store = _after(shared.store_resources[0], shared.store)
        self.alarms = {name: policy.name for name, policy in resources.items()}
        pages = links(
            deployment.project,
            deployment.region,
            queue=queues.short(self.full_name),
            service=self.service,
            subscription=queues.short(self._dead_letters.subscription),
        )
        self.links = {name: _after(function, page) for name, page in pages.items()}
        self.environment = {self._args.queue.variable("URL"): self.queue}


def _after(resource: Any, text: str) -> pulumi.Output[str]:
    """Return the text as an output that is available once the resource is made."""
    output: pulumi.Output[str] = resource.id.apply(lambda _: text)
    return output
