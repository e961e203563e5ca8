"""`App`: consumers and the resources that they share."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import pulumi
from pulumi_aws import cloudwatch

from peeklock.infra import bundles
from peeklock.infra.aws import dashboard
from peeklock.infra.aws.alarms import Names
from peeklock.infra.aws.consumer import Consumer, ConsumerArgs
from peeklock.infra.aws.environment import check_names, dashboard_link, region_of
from peeklock.infra.aws.shared import Existing, make_shared
from peeklock.infra.options import Capacity, Stage
from peeklock.infra.registry import Registry, Transform
from peeklock.infra.settings import aws as settings
from peeklock.keywords import strict
from peeklock.queue import Queue


class App(pulumi.ComponentResource):
    """Consumers and the resources that they share.

    - `bundle`: the zip file of `peeklock bundle aws`, relative to the program's folder.
    - `stage`: read from the stack's configuration, `stage: {...}`, if left out.
    - `store` (a table's name), `key` (a KMS key's ARN, for the queues), `subnets` and `security_groups` (ids),
      `topics` (ARNs by severity): existing resources to use; read, never modified.
    - `transform`: called with the `pulumi.ResourceTransformationArgs` of every resource before it is registered; returns a
      `pulumi.ResourceTransformationResult` that replaces its properties and options, or None to leave it: the last resort.
    """

    @strict()
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
        self._registry = Registry[Consumer](self, name, stage)
        self.consumers = self._registry.consumers
        self.stage = self._registry.stage
        self.tags = {"app": name, "stack": pulumi.get_stack()}
        existing = Existing(store=store, key=key, subnets=subnets, security_groups=security_groups, topics=topics or {})
        self.bundle = bundles.find(bundle, "aws")
        self.shared = make_shared(self, name, self.stage, self.tags, existing, self.bundle)

    @strict()
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
        """Add a queue, its dead-letter queue, and the function that consumes it.

        - `handler`: the entry point in the bundle, such as `handlers.aws_sqs.handler.handler`.
        - `capacity`: read from the stack's configuration, `capacity: {<queue>: {...}}`, if left out.
        - `consuming`: False disables the event source mapping; the queue still accepts messages.
        - `window`: seconds that an event may wait to be filled; as short as the batch allows if left out.
        - `only`: patterns of the messages to consume. Lambda *deletes* messages that match none of them, without a dead letter.
          https://docs.aws.amazon.com/lambda/latest/dg/with-sqs-filtering.html
        - `uses`: queues that the handler sends to, each with a consumer in this app, before or after this one.
        - `queue_url`, `dead_letters_url`, `role` (its name): existing resources to use.

        Raises ConfigError, with the number to change, for options that cannot work.
        """
        self._registry.check(queue, uses)
        check_names(self._name, queue)
        bundles.check(self.bundle, "aws", queue, handler)
        args = ConsumerArgs(
            queue=queue,
            handler=handler,
            settings=settings.compute(queue, self._registry.capacity(queue, capacity), window=window),
            consuming=consuming,
            only=tuple(only),
            uses=tuple(uses),
            queue_url=queue_url,
            dead_letters_url=dead_letters_url,
            role=role,
        )
        return self._registry.add(queue, Consumer(self.shared, args, opts=self._registry.options(opts)))

    def all(self, *, export: bool = True) -> Mapping[str, Any]:
        """Make the dashboard, and return the app's outputs: an object for each consumer, and `environment` for producers. They
        are the stack's outputs too, unless `export` is False: a program with several apps exports them itself, as in
        `pulumi.export("shop", shop.all(export=False))`.

        Raises ConfigError where a consumer sends to a queue that has no consumer in the app, and for a queue in the stack's
        `capacity` that has no consumer in any app that was declared before the last `all()`.
        """
        return self._registry.complete(self._dashboard, export=export)

    def _dashboard(self) -> Any:
        """Make the dashboard and return its address."""
        name = f"{self._name}-{pulumi.get_stack()}"
        region = self.shared.table.arn.apply(region_of)
        rows = {queue: pulumi.Output.all(**consumer.names) for queue, consumer in self.consumers.items()}
        body = pulumi.Output.all(region=region, rows=pulumi.Output.from_input(rows)).apply(self._body)
        resource = cloudwatch.Dashboard(
            f"{self._name}-dashboard",
            dashboard_name=name,
            dashboard_body=body,
            opts=pulumi.ResourceOptions(parent=self),
        )
        return pulumi.Output.all(region, resource.dashboard_name).apply(lambda resolved: dashboard_link(*resolved))

    def _body(self, resolved: Mapping[str, Any]) -> str:
        rows = {queue: self.consumers[queue].alarm_rows(Names(**names)) for queue, names in resolved["rows"].items()}
        return json.dumps(dashboard.body(resolved["region"], rows), sort_keys=True)
