"""`App`: what the consumers share, and the consumers."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pulumi
from pulumi_aws import cloudwatch

from peeklock.errors import ConfigError
from peeklock.infra import bundles
from peeklock.infra.aws import dashboard
from peeklock.infra.aws.alarms import Names
from peeklock.infra.aws.consumer import Consumer, Given
from peeklock.infra.aws.environment import check_names, dashboard_link, region_of
from peeklock.infra.aws.shared import Own, shared
from peeklock.infra.ending import expect_end
from peeklock.infra.keeping import keep_whole
from peeklock.infra.options import Capacity, Stage, check_variables
from peeklock.infra.settings import aws as settings
from peeklock.queue import Queue

Transform = Callable[[pulumi.ResourceTransformationArgs], pulumi.ResourceTransformationResult | None]


class App(pulumi.ComponentResource):
    """Consumers and what they share.

    - `bundle`: the zip file of `peeklock bundle aws`, from the program's folder.
    - `stage`: else read from the stack's configuration, `stage: {...}`.
    - `store` (a table's name), `key` (a KMS key's ARN, for the queues), `subnets` and `security_groups` (ids),
      `topics` (ARNs by severity): bring your own; read, never modified.
    - `transform`: sees every resource before it is registered, and may change it: the last resort.
    """

    def __init__(
        self,
        name: str,
        *,
        bundle: str,
        stage: Stage | None = None,
        store: str | None = None,
        key: str | None = None,
        subnets: Sequence[str] = (),
        security_groups: Sequence[str] = (),
        topics: Mapping[str, str] | None = None,
        transform: Transform | None = None,
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        last = pulumi.ResourceOptions(transformations=[] if transform is None else [transform])
        super().__init__("peeklock:aws:App", name, None, pulumi.ResourceOptions.merge(opts, last))
        expect_end(name)
        self.stage = stage or Stage.of(pulumi.Config().get_object("stage") or {})
        self.tags = {"app": name, "stack": pulumi.get_stack()}
        own = Own(store=store, key=key, subnets=subnets, security_groups=security_groups, topics=topics or {})
        self.bundle = bundles.find(bundle, "aws")
        self.shared = shared(self, name, self.stage, self.tags, own, self.bundle)
        self.consumers: dict[str, Consumer] = {}

    def consumer(
        self,
        queue: Queue,
        *,
        handler: str,
        capacity: Capacity | None = None,
        consuming: bool = True,
        window: int | None = None,
        only: Sequence[Mapping[str, Any]] = (),
        uses: Sequence[Queue] = (),
        queue_url: str | None = None,
        dead_letters_url: str | None = None,
        role: str | None = None,
        opts: pulumi.ResourceOptions | None = None,
    ) -> Consumer:
        """A queue, its dead letters, and the function that consumes it.

        - `handler`: the entry point in the bundle, as `handlers.aws_sqs.handler.handler`.
        - `capacity`: else read from the stack's configuration, `capacity: {<queue>: {...}}`.
        - `consuming`: False stops the mapping; the queue goes on taking messages.
        - `window`: seconds that an event may wait to be filled; left out, as short as the batch allows.
        - `only`: patterns of the messages to consume. Lambda *deletes* what none of them matches, without a dead letter.
          https://docs.aws.amazon.com/lambda/latest/dg/with-sqs-filtering.html
        - `uses`: queues that the handler sends to, each with a consumer in this app, before or after this one.
        - `queue_url`, `dead_letters_url`, `role` (its name): bring your own.

        Raises ConfigError, with the number to change, for what cannot work.
        """
        if queue.name in self.consumers:
            raise ConfigError(f"queue {queue.name!r} has a consumer in app {self._name!r} already; give each queue one")
        check_names(self._name, queue)
        bundles.check(self.bundle, "aws", queue, handler)
        check_variables([*self.consumers, queue.name, *(one.name for one in uses)])
        numbers = capacity or Capacity.of((pulumi.Config().get_object("capacity") or {}).get(queue.name, {}))
        given = Given(
            queue=queue,
            handler=handler,
            settings=settings.of(queue, numbers, window=window),
            consuming=consuming,
            only=tuple(only),
            uses=tuple(uses),
            queue_url=queue_url,
            dead_letters_url=dead_letters_url,
            role=role,
        )
        options = pulumi.ResourceOptions.merge(pulumi.ResourceOptions(parent=self), opts)
        made = self.consumers[queue.name] = Consumer(self.shared, given, opts=options)
        for one in self.consumers.values():
            one.start(self.consumers)
        return made

    def all(self) -> None:
        """The dashboard, and the stack's outputs: an object for each consumer, and `environment` for producers. Raises
        ConfigError where a consumer sends to a queue that the app does not have."""
        environment: dict[str, Any] = {}
        for name, one in self.consumers.items():
            one.check_started(self.consumers)
            pulumi.export(name, one.told())
            keep_whole(f"{self._name}-{name}", one, self.stage, self)
            environment |= one.environment
        pulumi.export("environment", environment)
        pulumi.export("dashboard", self._dashboard())
        self.register_outputs({})

    def _dashboard(self) -> Any:
        """Its page."""
        name = f"{self._name}-{pulumi.get_stack()}"
        region = self.shared.table.arn.apply(region_of)
        rows = {consumer: pulumi.Output.all(**one.names) for consumer, one in self.consumers.items()}
        body = pulumi.Output.all(region=region, rows=pulumi.Output.from_input(rows)).apply(self._body)
        made = cloudwatch.Dashboard(
            f"{self._name}-dashboard",
            dashboard_name=name,
            dashboard_body=body,
            opts=pulumi.ResourceOptions(parent=self),
        )
        return pulumi.Output.all(region, made.dashboard_name).apply(lambda at: dashboard_link(*at))

    def _body(self, known: Mapping[str, Any]) -> str:
        rows = {name: self.consumers[name].alarms_of(Names(**names)) for name, names in known["rows"].items()}
        return json.dumps(dashboard.body(known["region"], rows), sort_keys=True)
