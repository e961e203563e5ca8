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
from peeklock.infra.aws.shared import Shared
from peeklock.infra.registry import outputs
from peeklock.infra.settings.aws import Settings
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
    uses: tuple[Queue, ...]
    queue_url: str | None
    dead_letters_url: str | None
    role: str | None

    def __post_init__(self) -> None:
        for name, url in (("queue_url", self.queue_url), ("dead_letters_url", self.dead_letters_url)):
            if url is not None and (url.endswith(".fifo") != self.queue.fifo or not url.startswith("https://")):
                kind, end = ("FIFO", " and ending in .fifo") if self.queue.fifo else ("standard", "")
                raise ConfigError(
                    f"queue {self.queue.name!r}: {name}={shown(url)!r}; give a {kind} queue's URL, beginning with https://{end}"
                )
        if self.handler.count(".") == 0:
            raise ConfigError(
                f"handler={self.handler!r}: name it as Lambda does, by module and function, such as"
                " handlers.aws_sqs.handler.handler"
            )


class Consumer(pulumi.ComponentResource):
    """Consumer of a queue, made by `App.consumer`. Its function is made once all queues in `uses` have a consumer; read
    `function`, `alarms` and `links` after that."""

    queue: pulumi.Output[str]
    """The queue's URL."""
    dead_letters: pulumi.Output[str]
    """The dead-letter queue's URL."""
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
        self._tags = {**shared.tags, "consumer": args.queue.name, "fingerprint": args.queue.fingerprint}
        self._queues = queues.make_queues(
            shared,
            args.queue,
            args.settings,
            self,
            tags=self._tags,
            queue_url=args.queue_url,
            dead_letters_url=args.dead_letters_url,
        )
        self._role = functions.role(shared, self._prefix, self._tags, args.role, self)
        self._logs = functions.log_group(shared, self._prefix, self._tags, self)
        self._started = False
        self.queue, self.dead_letters = self._queues.queue.id, self._queues.dead_letters.id
        self.identity = self._role.arn
        self.store = shared.table.name.apply(store_address)
        self.environment = {args.queue.variable("URL"): self.queue}

    @property
    def arn(self) -> Any:
        """The queue's ARN."""
        return self._queues.queue.arn

    def start(self, consumers: Mapping[str, Consumer]) -> None:
        """Make the function, once all the queues that it uses have a consumer."""
        if self._started or self.missing(consumers):
            return
        self._started = True
        used = {queue.name: consumers[queue.name] for queue in self._args.uses}
        policy = self._policy([consumer.arn for consumer in used.values()])
        function = self._function(used, policy)
        self._mapping = functions.mapping(
            self._prefix,
            self._args.settings,
            self,
            queue_arn=self.arn,
            function_name=function.name,
            consuming=self._args.consuming,
            only=self._args.only,
            tags=self._tags,
            after=policy,
        )
        self._make_alarms(function)
        self.register_outputs(outputs(self))

    def missing(self, consumers: Mapping[str, Consumer]) -> list[str]:
        """Return the queues in `uses` that have no consumer."""
        return [queue.name for queue in self._args.uses if queue.name not in consumers]

    def _policy(self, sends: Sequence[Any]) -> list[Any]:
        """Return the role's policy, or nothing for an existing role, whose owner grants its permissions."""
        if self._args.role is not None:
            return []
        return [functions.role_policy(self._shared, self._prefix, self._role, self._queues, self._logs, sends, self)]

    def _function(self, used: Mapping[str, Consumer], after: Sequence[Any]) -> Any:
        args, shared = self._args, self._shared
        uses = {queue.variable("URL"): used[queue.name].queue for queue in args.uses}
        values = {"url": self.queue, "dead_letters": self.dead_letters, "table": shared.table.name}
        variables = pulumi.Output.all(**values, uses=pulumi.Output.from_input(uses)).apply(
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
        self.links = pulumi.Output.all(arn=self.arn, **pages).apply(
            lambda resolved: links(region_of(resolved["arn"]), **{page: resolved[page] for page in pages})
        )

    def grant_send(self, name: str, role: pulumi.Input[str]) -> Any:
        """Let a producer's role send to the queue. `name`: the producer's, unique for this consumer; `role`: the role's name."""
        key = self._shared.existing.key
        policy = self.arn.apply(lambda arn: identity.document(identity.send_grants(arn, key)))
        return self._grant(f"send-from-{name}", role, policy)

    def grant_redrive(self, name: str, role: pulumi.Input[str]) -> Any:
        """Let an operator's role redrive dead letters. The arguments are those of `grant_send`."""
        key = self._shared.existing.key
        policy = pulumi.Output.all(self.arn, self._queues.dead_letters.arn).apply(
            lambda arns: identity.document(identity.redrive_grants(arns[0], arns[1], key))
        )
        return self._grant(f"redrive-by-{name}", role, policy)

    def _grant(self, name: str, role: pulumi.Input[str], policy: Any) -> Any:
        opts = pulumi.ResourceOptions(parent=self)
        return iam.RolePolicy(f"{self._prefix}-{name}", role=role, policy=policy, opts=opts)
