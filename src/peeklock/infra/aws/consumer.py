"""`Consumer`: one queue, its dead letters, the function that works on it, and what tells of trouble."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pulumi
from pulumi_aws import iam

from peeklock.errors import ConfigError
from peeklock.infra import outages
from peeklock.infra.aws import alerts, functions, identity, queues
from peeklock.infra.aws.alarms import Alarm, Names, alarms
from peeklock.infra.aws.environment import environment, links, region_of, store_address
from peeklock.infra.aws.shared import Shared
from peeklock.infra.settings.aws import Settings
from peeklock.queue import Queue
from peeklock.redaction import shown


@dataclass(frozen=True, slots=True, kw_only=True)
class Given:
    """What `App.consumer` was told."""

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
        for what, url in (("queue_url", self.queue_url), ("dead_letters_url", self.dead_letters_url)):
            if url is not None and (url.endswith(".fifo") != self.queue.fifo or not url.startswith("https://")):
                kind, end = ("FIFO", " and ending in .fifo") if self.queue.fifo else ("standard", "")
                raise ConfigError(
                    f"queue {self.queue.name!r}: {what}={shown(url)!r}; give a {kind} queue's URL, beginning with https://{end}"
                )
        if self.handler.count(".") == 0:
            raise ConfigError(
                f"handler={self.handler!r}: name it as Lambda does, by module and function, such as"
                " handlers.aws_sqs.handler.handler"
            )


class Consumer(pulumi.ComponentResource):
    """Made by `App.consumer`. Its function is made once all queues in `uses` have a consumer; what is known then only
    (`function`, `alarms`, `links`) is asked for after that."""

    queue: pulumi.Output[str]
    """The queue's URL."""
    dead_letters: pulumi.Output[str]
    """The dead letters' URL."""
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
    """What a producer's process needs."""

    def __init__(self, shared: Shared, given: Given, *, opts: pulumi.ResourceOptions) -> None:
        self._shared, self._given = shared, given
        self._named = f"{shared.app}-{given.queue.name}"
        super().__init__("peeklock:aws:Consumer", self._named, None, opts)
        outages.warn(given.queue, "sqs", given.settings.span, self)
        self._tags = {**shared.tags, "consumer": given.queue.name, "fingerprint": given.queue.fingerprint}
        self._pair = queues.pair(
            shared,
            given.queue,
            given.settings,
            self,
            tags=self._tags,
            queue_url=given.queue_url,
            dead_letters_url=given.dead_letters_url,
        )
        self._role = functions.role(shared, self._named, self._tags, given.role, self)
        self._logs = functions.log_group(shared, self._named, self._tags, self)
        self._started = False
        self.queue, self.dead_letters = self._pair.queue.id, self._pair.dead_letters.id
        self.identity = self._role.arn
        self.store = shared.table.name.apply(store_address)
        self.environment = {given.queue.variable("URL"): self.queue}

    @property
    def arn(self) -> Any:
        """The queue's."""
        return self._pair.queue.arn

    def start(self, consumers: Mapping[str, Consumer]) -> None:
        """Make the function, where all the queues that it uses are there and it is not made yet."""
        if self._started or self._missing(consumers):
            return
        self._started = True
        others = {one.name: consumers[one.name] for one in self._given.uses}
        policy = self._permit([one.arn for one in others.values()])
        made = self._function(others, policy)
        self._mapping = functions.mapping(
            self._named,
            self._given.settings,
            self,
            queue_arn=self.arn,
            function_name=made.name,
            consuming=self._given.consuming,
            only=self._given.only,
            tags=self._tags,
            after=policy,
        )
        self._tell(made)
        self.register_outputs(self.told())

    def check_started(self, consumers: Mapping[str, Consumer]) -> None:
        """Raises ConfigError where a queue in `uses` has no consumer in the app."""
        for name in self._missing(consumers):
            raise ConfigError(
                f"consumer {self._given.queue.name!r} uses queue {name!r}, which has no consumer in this app; declare one with"
                " app.consumer, or take it out of uses= and grant it where the queue is made, with grant_send"
            )

    def _missing(self, consumers: Mapping[str, Consumer]) -> list[str]:
        return [one.name for one in self._given.uses if one.name not in consumers]

    def _permit(self, sends: Sequence[Any]) -> list[Any]:
        """Nothing for a role that was brought along: whoever made it says what it may do."""
        if self._given.role is not None:
            return []
        return [functions.permitted(self._shared, self._named, self._role, self._pair, self._logs, sends, self)]

    def _function(self, others: Mapping[str, Consumer], after: Sequence[Any]) -> Any:
        given, shared = self._given, self._shared
        uses = {one.variable("URL"): others[one.name].queue for one in given.uses}
        known = {"url": self.queue, "dead_letters": self.dead_letters, "table": shared.table.name}
        variables = pulumi.Output.all(**known, uses=pulumi.Output.from_input(uses)).apply(
            lambda at: environment(shared.app, given.queue, parallel=given.settings.parallel, **at)
        )
        return functions.function(
            shared,
            self._named,
            given.settings,
            self,
            handler=given.handler,
            role_arn=self._role.arn,
            environment=variables,
            logs=self._logs,
            tags=self._tags,
            after=after,
        )

    def alarms_of(self, names: Names) -> tuple[Alarm, ...]:
        """The alarms as data."""
        given = self._given
        return alarms(given.queue, given.settings, self._shared.stage.thresholds, names)

    def _tell(self, made: Any) -> None:
        """The alarms, and the outputs."""
        self.names = {
            "app": self._shared.app,
            "queue": self._pair.queue.name,
            "dead_letters": self._pair.dead_letters.name,
            "function": made.name,
        }
        rung = alerts.alerts(self._shared, self._named, self.alarms_of, self.names, self._tags, self)
        self.function = made.name
        self.alarms = {name: one.arn for name, one in rung.items()}
        pages = {"queue": self.queue, "dead_letters": self.dead_letters, "function": made.name, "logs": self._logs.name}
        self.links = pulumi.Output.all(arn=self.arn, **pages).apply(
            lambda at: links(region_of(at["arn"]), **{key: at[key] for key in pages})
        )

    def grant_send(self, name: str, role: pulumi.Input[str]) -> Any:
        """Let a producer's role send to the queue. `name`: of the producer, unique for this consumer; `role`: its name."""
        key = self._shared.own.key
        policy = self.arn.apply(lambda arn: identity.document(identity.send_grants(arn, key)))
        return self._grant(f"send-from-{name}", role, policy)

    def grant_redrive(self, name: str, role: pulumi.Input[str]) -> Any:
        """Let an operator's role put dead letters back. Arguments as of `grant_send`."""
        key = self._shared.own.key
        policy = pulumi.Output.all(self.arn, self._pair.dead_letters.arn).apply(
            lambda arns: identity.document(identity.redrive_grants(arns[0], arns[1], key))
        )
        return self._grant(f"redrive-by-{name}", role, policy)

    def _grant(self, name: str, role: pulumi.Input[str], policy: Any) -> Any:
        opts = pulumi.ResourceOptions(parent=self)
        return iam.RolePolicy(f"{self._named}-{name}", role=role, policy=policy, opts=opts)

    def told(self) -> dict[str, Any]:
        """The consumer's outputs, for the stack's."""
        names = ("queue", "dead_letters", "function", "identity", "store", "alarms", "links", "environment")
        return {name: getattr(self, name) for name in names}
