"""`App`: what the consumers share, and the consumers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import pulumi
from pulumi_azure_native import portal

from peeklock.errors import ConfigError
from peeklock.infra import bundles
from peeklock.infra.azure import dashboard
from peeklock.infra.azure.consumer import Consumer, Given
from peeklock.infra.azure.shared import Own, shared
from peeklock.infra.ending import expect_end
from peeklock.infra.keeping import keep_whole
from peeklock.infra.options import Capacity, Stage, check_variables
from peeklock.infra.settings import azure as settings
from peeklock.queue import Queue

Transform = Callable[[pulumi.ResourceTransformationArgs], pulumi.ResourceTransformationResult | None]


class App(pulumi.ComponentResource):
    """Consumers and what they share.

    - `bundle`: the zip file of `peeklock bundle azure`, from the program's folder.
    - `stage`: else read from the stack's configuration, `stage: {...}`.
    - `resource_group` (a name), `namespace`, `store` (a table), `subnet` (ids): bring your own; read, never modified.
    - `transform`: sees every resource before it is registered, and may change it: the last resort.
    """

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
        expect_end(name)
        self.bundle = bundles.find(bundle, "azure")
        self.stage = stage or Stage.of(pulumi.Config().get_object("stage") or {})
        self.tags = {"app": name, "stack": pulumi.get_stack()}
        own = Own(resource_group=resource_group, namespace=namespace, store=store, subnet=subnet)
        self.shared = shared(self, name, self.stage, self.tags, own)
        self.consumers: dict[str, Consumer] = {}
        self._topics: dict[str, Any] = {}

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
        """A queue, its dead letters, and the function app that consumes it.

        - `handler`: the consumer in the bundle, as `handlers.orders.charge.charge`; its trigger is rendered.
        - `capacity`: else read from the stack's configuration, `capacity: {<queue>: {...}}`.
        - `consuming`: False disables the function; the queue goes on taking messages.
        - `options`: a mapping in the bundle, as `handlers.orders.azure.OPTIONS`: further arguments of `servicebus.bind`, such
          as observer= and unwrap=.
        - `topic`: a topic (a name to make it, or its id) whose messages a subscription forwards to the queue.
        - `uses`: queues that the handler sends to, each with a consumer in this app, before or after this one.
        - `queue_id`, `dead_letters_id`, `identity`: bring your own, by id; queue and dead letters of the app's namespace.

        Raises ConfigError, with the number to change, for what cannot work.
        """
        if queue.name in self.consumers:
            raise ConfigError(f"queue {queue.name!r} has a consumer in app {self._name!r} already; give each queue one")
        bundles.check(self.bundle, "azure", queue, handler)
        check_variables([*self.consumers, queue.name, *(one.name for one in uses)])
        numbers = capacity or Capacity.of((pulumi.Config().get_object("capacity") or {}).get(queue.name, {}))
        given = Given(
            queue=queue,
            handler=handler,
            options=options,
            settings=settings.of(queue, numbers),
            consuming=consuming,
            uses=tuple(uses),
            topic=topic,
            queue_id=queue_id,
            dead_letters_id=dead_letters_id,
            identity=identity,
        )
        merged = pulumi.ResourceOptions.merge(pulumi.ResourceOptions(parent=self), opts)
        made = Consumer(self.shared, given, bundle=self.bundle, topics=self._topics, opts=merged)
        self.consumers[queue.name] = made
        for one in self.consumers.values():
            one.grant_sends(self.consumers)
        return made

    def all(self) -> None:
        """The dashboard, and the stack's outputs: an object for each consumer, and `environment` for producers. Raises
        ConfigError where a consumer sends to a queue that the app does not have."""
        for one in self.consumers.values():
            one.check_sends()
        dashboard_url = self._dashboard()
        environment: dict[str, Any] = {}
        for name, one in self.consumers.items():
            pulumi.export(name, one.told())
            keep_whole(f"{self._name}-{name}", one, self.stage, self)
            environment |= one.environment
        pulumi.export("environment", environment)
        pulumi.export("dashboard", dashboard_url)
        self.register_outputs({})

    def _dashboard(self) -> Any:
        """Its page."""
        rows = [(name, one.dead_letters_name) for name, one in self.consumers.items()]
        names = [name for row in rows for name in row]
        tiles = pulumi.Output.all(self.shared.namespace.id, *names).apply(
            lambda known: dashboard.parts(self._name, known[0], list(zip(known[1::2], known[2::2], strict=True)))
        )
        made = portal.Dashboard(
            f"{self._name}-dashboard",
            resource_group_name=self.shared.group,
            properties={"lenses": [{"order": 0, "parts": tiles}]},
            tags={**self.tags, "hidden-title": f"{self._name} {pulumi.get_stack()}"},
            opts=pulumi.ResourceOptions(parent=self),
        )
        return made.id.apply(lambda id_: f"https://portal.azure.com/#@/dashboard/arm{id_}")
