"""`Consumer`: one queue, its dead-letter queue, the function that consumes it, and its alarms."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pulumi
from pulumi_aws import iam

from peeklock.errors import ConfigError
from peeklock.infra import retry_warnings
from peeklock.infra.alarms import Alarm
from peeklock.infra.aws import alarm_resources, functions, identity, queues
from peeklock.infra.aws.alarms import Names, Signal, alarms
from peeklock.infra.aws.environment import environment, links, region_of, store_address
from peeklock.infra.aws.identity import Grant
from peeklock.infra.aws.shared import Shared
from peeklock.infra.deployed import Deployed, Used, deployed, own
from peeklock.infra.inputs import check_text, checked
from peeklock.infra.registry import outputs
from peeklock.infra.settings.aws import Settings
from peeklock.infra.variables import Variables
from peeklock.queue import Queue
from peeklock.redaction import shown


@dataclass(frozen=True, slots=True, kw_only=True)
class ConsumerArgs:
    """Arguments of `App.consumer`, checked."""

    queue: Queue
    handler: str
    settings: Settings
    consuming: bool
    only: Sequence[Mapping[str, Any]]
    uses: tuple[Used, ...]
    variables: Variables
    grants: tuple[Grant, ...]
    layers: tuple[pulumi.Input[str], ...]
    queue_url: pulumi.Input[str] | None
    dead_letters_url: pulumi.Input[str] | None
    role: pulumi.Input[str] | None
    log_group: pulumi.Input[str] | None
    tags: Mapping[str, str]

    def __post_init__(self) -> None:
        identity.check_grants(self.grants)
        if self.grants and self.role is not None:
            raise ConfigError(
                f"queue {self.queue.name!r}: role= exists already, and its owner grants its permissions; drop grants="
            )
        if self.handler.count(".") == 0:
            raise ConfigError(
                f"handler={self.handler!r}: name it as Lambda does, by module and function, such as"
                " handlers.aws_sqs.handler.handler"
            )


def checked_url(queue: Queue, argument: str, url: pulumi.Input[str] | None) -> pulumi.Input[str] | None:
    """Return the URL of a queue. Raises ConfigError, during the update for an output, for one of another kind."""
    return None if url is None else checked(url, lambda resolved: check_url(queue, argument, resolved))


def _url_of(other: Deployed) -> pulumi.Output[str]:
    """Return the URL of another app's queue."""
    return other.output("queue", lambda argument, url: check_url(other.queue, argument, url))


def check_url(queue: Queue, argument: str, url: str) -> None:
    """Raise ConfigError for a URL that is none of such a queue."""
    check_text(argument, url)
    if url.endswith(".fifo") != queue.fifo or not url.startswith("https://"):
        kind, end = ("FIFO", " and ending in .fifo") if queue.fifo else ("standard", "")
        raise ConfigError(
            f"queue {queue.name!r}: {argument}={shown(url)!r}; give a {kind} queue's URL, beginning with https://{end}"
        )


class Consumer(pulumi.ComponentResource):
    """Consumer of a queue, made by `App.consumer`. Its function is made once all queues in `uses` have a consumer; read
    `function`, `alarms` and `links` after that."""

    queue: pulumi.Output[str]
    """The queue's URL."""
    dead_letters: pulumi.Output[str]
    """The dead-letter queue's URL."""
    resource: pulumi.Output[str]
    """The queue's ARN."""
    function: pulumi.Output[str]
    """The function's name."""
    identity: pulumi.Output[str]
    """The ARN of the function's role."""
    store: pulumi.Output[str]
    alarms: Mapping[str, pulumi.Output[str]]
    """The alarms' ARNs, by name."""
    links: pulumi.Output[Mapping[str, str]]
    """Pages of the console."""
    environment: Mapping[str, pulumi.Output[str]]
    """Environment variables for a producer's process."""

    def __init__(self, shared: Shared, args: ConsumerArgs, *, opts: pulumi.ResourceOptions) -> None:
        self._shared, self._args = shared, args
        self._prefix = f"{shared.app}-{args.queue.name}"
        super().__init__("peeklock:aws:Consumer", self._prefix, None, opts)
        retry_warnings.warn(args.queue, "sqs", args.settings.span, self)
        self._tags = {**shared.tags, **args.tags, "consumer": args.queue.name, "fingerprint": args.queue.fingerprint}
        self._queues = queues.make_queues(
            shared,
            args.queue,
            args.settings,
            self,
            tags=self._tags,
            queue_url=checked_url(args.queue, "queue_url", args.queue_url),
            dead_letters_url=checked_url(args.queue, "dead_letters_url", args.dead_letters_url),
        )
        self._role = functions.role(shared, self._prefix, self._tags, args.role, self)
        self._logs = functions.log_group(shared, self._prefix, self._tags, args.log_group, self)
        self._started = self._completed = False
        self._sources: list[tuple[str, pulumi.Input[str]]] = []
        self.queue, self.dead_letters = self._queues.queue.id, self._queues.dead_letters.id
        self.resource = self._queues.queue.arn
        self.identity = self._role.arn
        self.store = shared.table.name.apply(store_address)
        self.environment = {args.queue.variable("URL"): self.queue}

    def start(self, consumers: Mapping[str, Consumer]) -> None:
        """Make the function, once all the queues that it uses have a consumer."""
        if self._started or self.missing(consumers):
            return
        self._started = True
        args = self._args
        used = {queue: consumers[queue.name] for queue in own(args.uses)}
        secrets = self._secrets()
        sends = [
            *(consumer.resource for consumer in used.values()),
            *(other.output("resource") for other in deployed(args.uses)),
        ]
        policy = self._policy(sends, list(secrets.values()))
        function = self._function(used, secrets, policy)
        self._mapping = functions.mapping(
            self._prefix,
            args.settings,
            self,
            queue_arn=self.resource,
            function_name=functions.alias(self._prefix, function, args.settings, self).arn,
            consuming=args.consuming,
            only=args.only,
            tags=self._tags,
            after=policy,
        )
        self._make_alarms(function)
        self.register_outputs(outputs(self))

    def missing(self, consumers: Mapping[str, Consumer]) -> list[str]:
        """Return the queues in `uses` that have no consumer."""
        return [queue.name for queue in own(self._args.uses) if queue.name not in consumers]

    def accept(self, service: str, arn: pulumi.Input[str]) -> None:
        """Let another service send to the queue: `sns` (a topic's ARN), `eventbridge` (a rule's) or `s3` (a bucket's). Make the
        subscription, target or notification in the program; docs/infra-aws.md shows each. Call it before `app.all()`.

        Raises ConfigError, during the update for an output, for a source that cannot send to the queue.
        """
        queue = self._args.queue
        if self._args.queue_url is not None:
            raise ConfigError(
                f"queue {queue.name!r} exists already, and keeps its policy: let {service} send to it there"
            )
        identity.check_service(queue, service)
        if self._completed:
            raise ConfigError(f"queue {queue.name!r}: call accept() before app.all()")
        self._sources.append((service, checked(arn, lambda resolved: identity.check_source(queue, service, resolved))))

    def complete(self) -> None:
        """Make the queue's policy, once all sources are accepted."""
        self._completed = True
        if self._args.queue_url is None:
            queues.queue_policy(self._prefix, self._queues.queue, self._sources, self)

    def _secrets(self) -> dict[str, pulumi.Input[str]]:
        def reference(name: str, arn: pulumi.Input[str]) -> pulumi.Input[str]:
            return checked(arn, lambda resolved: identity.check_secret(f"secrets[{name!r}]", resolved))

        return {name: reference(name, arn) for name, arn in self._args.variables.secrets.items()}

    def _policy(self, sends: Sequence[Any], secrets: Sequence[Any]) -> list[Any]:
        """Return the role's policy, or nothing for an existing role, whose owner grants its permissions."""
        if self._args.role is not None:
            return []
        return [
            functions.role_policy(
                self._shared,
                self._prefix,
                self._role,
                self._queues,
                self._logs,
                self,
                sends=sends,
                secrets=secrets,
                grants=self._args.grants,
            )
        ]

    def _function(
        self, used: Mapping[Queue, Consumer], secrets: Mapping[str, pulumi.Input[str]], after: Sequence[Any]
    ) -> Any:
        args, shared = self._args, self._shared
        values = {
            "url": self.queue,
            "dead_letters": self.dead_letters,
            "table": shared.table.name,
            "uses": {
                **{queue.variable("URL"): consumer.queue for queue, consumer in used.items()},
                **{other.queue.variable("URL"): _url_of(other) for other in deployed(args.uses)},
            },
            "variables": dict(args.variables.plain),
            "secrets": dict(secrets),
        }
        variables = pulumi.Output.from_input(values).apply(
            lambda resolved: environment(shared.app, args.queue, parallel=args.settings.parallel, **resolved)
        )
        return functions.function(
            shared,
            self._prefix,
            args.settings,
            self,
            handler=args.handler,
            role_arn=self._role.arn,
            environment=variables,
            logs=self._logs,
            layers=args.layers,
            tags=self._tags,
            after=after,
        )

    def alarm_rows(self, names: Names) -> tuple[Alarm[Signal], ...]:
        """Return the alarms as data."""
        return alarms(self._args.queue, self._args.settings, self._shared.stage.thresholds, names)

    def _make_alarms(self, function: Any) -> None:
        """Make the alarms, and set the outputs that need the function."""
        self.names = {
            "app": self._shared.app,
            "queue": self._queues.queue.name,
            "dead_letters": self._queues.dead_letters.name,
            "function": function.name,
        }
        resources = alarm_resources.make_alarms(
            self._shared, self._prefix, self.alarm_rows, self.names, self._tags, self
        )
        self.function = function.name
        self.alarms = {name: alarm.arn for name, alarm in resources.items()}
        pages = {
            "queue": self.queue,
            "dead_letters": self.dead_letters,
            "function": function.name,
            "logs": self._logs.name,
        }
        self.links = pulumi.Output.all(arn=self.resource, **pages).apply(
            lambda resolved: links(region_of(resolved["arn"]), **{page: resolved[page] for page in pages})
        )

    def grant_send(self, name: str, role: pulumi.Input[str]) -> Any:
        """Let a producer's role send to the queue. `name`: the producer's, unique for this consumer; `role`: the role's name."""
        policy = pulumi.Output.all(self.resource, self._shared.existing.key).apply(
            lambda arns: identity.document(identity.send_grants(*arns))
        )
        return self._grant(f"send-from-{name}", role, policy)

    def grant_redrive(self, name: str, role: pulumi.Input[str]) -> Any:
        """Let an operator's role redrive dead letters. The arguments are those of `grant_send`."""
        policy = pulumi.Output.all(self.resource, self._queues.dead_letters.arn, self._shared.existing.key).apply(
            lambda arns: identity.document(identity.redrive_grants(*arns))
        )
        return self._grant(f"redrive-by-{name}", role, policy)

    def _grant(self, name: str, role: pulumi.Input[str], policy: Any) -> Any:
        opts = pulumi.ResourceOptions(parent=self)
        return iam.RolePolicy(f"{self._prefix}-{name}", role=role, policy=policy, opts=opts)
