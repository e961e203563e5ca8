"""`App`: consumers and the resources that they share."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pulumi
from pulumi_azure_native import portal

from peeklock.infra import bundles
from peeklock.infra.azure import dashboard
from peeklock.infra.azure.consumer import Consumer, ConsumerArgs
from peeklock.infra.azure.environment import RESERVED
from peeklock.infra.azure.identity import Grant
from peeklock.infra.azure.shared import existing_resources, make_shared
from peeklock.infra.deployed import Used
from peeklock.infra.options import Capacity, Stage, checked_tags
from peeklock.infra.registry import Registry, Transform
from peeklock.infra.settings import azure as settings
from peeklock.infra.variables import checked_variables
from peeklock.keywords import strict
from peeklock.queue import Queue


class App(pulumi.ComponentResource):
    """Consumers and the resources that they share.

    - `bundle`: the zip file of `peeklock bundle azure`, relative to the program's folder.
    - `stage`: read from the stack's configuration, `stage: {...}`, if left out.
    - `resource_group` (a name), `namespace`, `store` (a table), `subnet`, `workspace` (Log Analytics), `vault` (Key Vault),
      `action_groups` (by severity): existing resources to use, by resource id; read, never modified. Each may be an output of
      another resource or of a stack reference.
    - `redundancy`: of the storage accounts; `Standard_LRS` in a region without zones.
    - `tags`: on every resource that has tags, beside `app` and `stack`.
    - `transform`: called with the `pulumi.ResourceTransformationArgs` of every resource before it is registered; returns a
      `pulumi.ResourceTransformationResult` that replaces its properties and options, or None to leave it: the last resort.
    """

    @strict()
    def __init__(  # noqa: PLR0913 - keywords, each optional and on its own
        self,
        name: str,
        *,
        bundle: str,
        stage: Stage | None = None,
        resource_group: pulumi.Input[str] | None = None,
        namespace: pulumi.Input[str] | None = None,
        store: pulumi.Input[str] | None = None,
        subnet: pulumi.Input[str] | None = None,
        workspace: pulumi.Input[str] | None = None,
        vault: pulumi.Input[str] | None = None,
        action_groups: Mapping[str, pulumi.Input[str]] | None = None,
        redundancy: str = "Standard_ZRS",
        tags: Mapping[str, str] | None = None,
        transform: Transform | None = None,
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        last = pulumi.ResourceOptions(transformations=[] if transform is None else [transform])
        super().__init__("peeklock:azure:App", name, None, pulumi.ResourceOptions.merge(opts, last))
        self._registry = Registry[Consumer](self, name, stage)
        self.consumers = self._registry.consumers
        self.stage = self._registry.stage
        self.bundle = bundles.find(bundle, "azure")
        self.tags = {**checked_tags(tags), "app": name, "stack": pulumi.get_stack()}
        existing = existing_resources(
            resource_group=resource_group,
            action_groups=action_groups or {},
            namespace=namespace,
            store=store,
            subnet=subnet,
            workspace=workspace,
            vault=vault,
        )
        self.shared = make_shared(self, name, self.stage, self.tags, existing, redundancy)
        self._topics: dict[Any, Any] = {}

    @strict()
    def consumer(  # noqa: PLR0913 - keywords, each optional and on its own
        self,
        queue: Queue,
        *,
        handler: str,
        capacity: Capacity | None = None,
        consuming: bool = True,
        options: str | None = None,
        topic: pulumi.Input[str] | None = None,
        uses: Sequence[Used] = (),
        variables: Mapping[str, pulumi.Input[str]] | None = None,
        secrets: Mapping[str, pulumi.Input[str]] | None = None,
        plain: bool = False,
        grants: Sequence[Grant] = (),
        queue_id: pulumi.Input[str] | None = None,
        dead_letters_id: pulumi.Input[str] | None = None,
        identity: pulumi.Input[str] | None = None,
        tags: Mapping[str, str] | None = None,
        opts: pulumi.ResourceOptions | None = None,
    ) -> Consumer:
        """Add a queue, its dead-letter queue, and the function app that consumes it.

        - `handler`: the consumer in the bundle, such as `handlers.orders.charge.charge`; its trigger is rendered.
        - `capacity`: read from the stack's configuration, `capacity: {<queue>: {...}}`, if left out.
        - `consuming`: False disables the function; the queue still accepts messages.
        - `options`: a mapping in the bundle, such as `handlers.orders.azure.OPTIONS`: further arguments of `servicebus.bind`,
          such as observer= and unwrap=.
        - `topic`: a topic (a name to make it, or its id) whose messages a subscription forwards to the queue.
        - `uses`: queues that the handler sends to: each with a consumer in this app, before or after this one, or a `Deployed`
          queue of another app in the same namespace.
        - `variables`: the handler's own app settings. One that sounds like a secret is refused, unless `plain` is True.
        - `secrets`: URIs of secrets in Key Vault, by the name that the handler passes to `peeklock.secret`. The identity may read
          them where `App(vault=...)` says which vault keeps them; else its owner, or `grants`, lets it.
        - `grants`: what else the handler may do, such as
          `Grant(name="invoices", role="Storage Blob Data Reader", on=container.id)`.
        - `queue_id`, `dead_letters_id`, `identity`: existing resources to use, by id; the queues are in the app's namespace. The
          owner of an identity grants its roles.
        - `tags`: on this consumer's resources.

        Arguments may be outputs of other resources or of stack references.

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
            variables=checked_variables(variables or {}, secrets or {}, plain=plain, reserved=RESERVED),
            grants=tuple(grants),
            topic=topic,
            queue_id=queue_id,
            dead_letters_id=dead_letters_id,
            identity=identity,
            tags=checked_tags(tags),
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
