"""`App`: consumers and the resources that they share."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pulumi
from pulumi_azure_native import portal

from peeklock.infra import bundles
from peeklock.infra.azure import dashboard
from peeklock.infra.azure.consumer import Consumer, ConsumerArgs
from peeklock.infra.azure.shared import Existing, make_shared
from peeklock.infra.options import Capacity, Stage
from peeklock.infra.registry import Registry, Transform
from peeklock.infra.settings import azure as settings
from peeklock.keywords import strict
from peeklock.queue import Queue


class App(pulumi.ComponentResource):
    """Consumers and the resources that they share.

    - `bundle`: the zip file of `peeklock bundle azure`, relative to the program's folder.
    - `stage`: read from the stack's configuration, `stage: {...}`, if left out.
    - `resource_group` (a name), `namespace`, `store` (a table), `subnet` (ids): existing resources to use; read, never
      modified.
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
        resource_group: str | None = None,
        namespace: str | None = None,
        store: str | None = None,
        subnet: str | None = None,
        transform: Transform | None = None,
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        last = pulumi.ResourceOptions(transformations=[] if transform is None else [transform])
        super().__init__("peeklock:azure:App", name, None, pulumi.ResourceOptions.merge(opts, last))
        self._registry = Registry[Consumer](self, name, stage)
        self.consumers = self._registry.consumers
        self.stage = self._registry.stage
        self.bundle = bundles.find(bundle, "azure")
        self.tags = {"app": name, "stack": pulumi.get_stack()}
        existing = Existing(resource_group=resource_group, namespace=namespace, store=store, subnet=subnet)
        self.shared = make_shared(self, name, self.stage, self.tags, existing)
        self._topics: dict[str, Any] = {}

    @strict()
    def consumer(
        self,
        queue: Queue,
        *,
        handler: str,
        capacity: Capacity | None = None,
        consuming: bool = True,
        options: str | None = None,
        topic: str | None = None,
        uses: Sequence[Queue] = (),
        queue_id: str | None = None,
        dead_letters_id: str | None = None,
        identity: str | None = None,
        opts: pulumi.ResourceOptions | None = None,
    ) -> Consumer:
        """Add a queue, its dead-letter queue, and the function app that consumes it.

        - `handler`: the consumer in the bundle, such as `handlers.orders.charge.charge`; its trigger is rendered.
        - `capacity`: read from the stack's configuration, `capacity: {<queue>: {...}}`, if left out.
        - `consuming`: False disables the function; the queue still accepts messages.
        - `options`: a mapping in the bundle, such as `handlers.orders.azure.OPTIONS`: further arguments of `servicebus.bind`,
          such as observer= and unwrap=.
        - `topic`: a topic (a name to make it, or its id) whose messages a subscription forwards to the queue.
        - `uses`: queues that the handler sends to, each with a consumer in this app, before or after this one.
        - `queue_id`, `dead_letters_id`, `identity`: existing resources to use, by id; the queues are in the app's namespace.

        Raises ConfigError, with the number to change, for options that cannot work.
        """
        self._registry.check(queue, uses)
        bundles.check(self.bundle, "azure", queue, handler)
        args = ConsumerArgs(
            queue=queue,
            handler=handler,
            options=options,
            settings=settings.compute(queue, self._registry.capacity(queue, capacity)),
            consuming=consuming,
            uses=tuple(uses),
            topic=topic,
            queue_id=queue_id,
            dead_letters_id=dead_letters_id,
            identity=identity,
        )
        merged = self._registry.options(opts)
        return self._registry.add(
            queue, Consumer(self.shared, args, bundle=self.bundle, topics=self._topics, opts=merged)
        )

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
        rows = [(queue, consumer.dead_letters_name) for queue, consumer in self.consumers.items()]
        names = [name for row in rows for name in row]
        tiles = pulumi.Output.all(self.shared.namespace.id, *names).apply(
            lambda ids: dashboard.parts(self._name, ids[0], list(zip(ids[1::2], ids[2::2], strict=True)))
        )
        resource = portal.Dashboard(
            f"{self._name}-dashboard",
            resource_group_name=self.shared.group,
            properties={"lenses": [{"order": 0, "parts": tiles}]},
            tags={**self.tags, "hidden-title": f"{self._name} {pulumi.get_stack()}"},
            opts=pulumi.ResourceOptions(parent=self),
        )
        return resource.id.apply(lambda id_: f"https://portal.azure.com/#@/dashboard/arm{id_}")
