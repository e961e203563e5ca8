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
from peeklock.infra.aws.environment import RESERVED, check_names, dashboard_link, region_of
from peeklock.infra.aws.identity import Grant
from peeklock.infra.aws.shared import existing_resources, make_shared
from peeklock.infra.deployed import Used
from peeklock.infra.options import Capacity, Stage, checked_tags
from peeklock.infra.registry import Registry, Transform
from peeklock.infra.settings import aws as settings
from peeklock.infra.variables import checked_variables
from peeklock.keywords import strict
from peeklock.queue import Queue


class App(pulumi.ComponentResource):
    """Consumers and the resources that they share.

    - `bundle`: the zip file of `peeklock bundle aws`, relative to the program's folder.
    - `stage`: read from the stack's configuration, `stage: {...}`, if left out.
    - `store` (a table's name), `key` (a KMS key's ARN, for all that is stored), `subnets` and `security_groups` (ids),
      `topics` (ARNs by severity), `permissions_boundary` (a policy's ARN, for the roles): existing resources to use; read, never
      modified. Each may be an output of another resource or of a stack reference.
    - `tags`: on every resource that has tags, beside `app` and `stack`.
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
        store: pulumi.Input[str] | None = None,
        key: pulumi.Input[str] | None = None,
        subnets: pulumi.Input[Sequence[pulumi.Input[str]]] = (),
        security_groups: pulumi.Input[Sequence[pulumi.Input[str]]] = (),
        topics: Mapping[str, pulumi.Input[str]] | None = None,
        permissions_boundary: pulumi.Input[str] | None = None,
        tags: Mapping[str, str] | None = None,
        transform: Transform | None = None,
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        last = pulumi.ResourceOptions(transformations=[] if transform is None else [transform])
        super().__init__("peeklock:aws:App", name, None, pulumi.ResourceOptions.merge(opts, last))
        self._registry = Registry[Consumer](self, name, stage)
        self.consumers = self._registry.consumers
        self.stage = self._registry.stage
        self.tags = {**checked_tags(tags), "app": name, "stack": pulumi.get_stack()}
        existing = existing_resources(
            store=store,
            key=key,
            subnets=subnets,
            security_groups=security_groups,
            topics=topics or {},
            permissions_boundary=permissions_boundary,
        )
        self.bundle = bundles.find(bundle, "aws")
        self.shared = make_shared(self, name, self.stage, self.tags, existing, self.bundle)

    @strict()
    def consumer(  # noqa: PLR0913 - keywords, each optional and on its own
        self,
        queue: Queue,
        *,
        handler: str,
        capacity: Capacity | None = None,
        consuming: bool = True,
        window: int | None = None,
        only: Sequence[Mapping[str, Any]] = (),
        uses: Sequence[Used] = (),
        variables: Mapping[str, pulumi.Input[str]] | None = None,
        secrets: Mapping[str, pulumi.Input[str]] | None = None,
        plain: bool = False,
        grants: Sequence[Grant] = (),
        layers: Sequence[pulumi.Input[str]] = (),
        queue_url: pulumi.Input[str] | None = None,
        dead_letters_url: pulumi.Input[str] | None = None,
        role: pulumi.Input[str] | None = None,
        log_group: pulumi.Input[str] | None = None,
        tags: Mapping[str, str] | None = None,
        opts: pulumi.ResourceOptions | None = None,
    ) -> Consumer:
        """Add a queue, its dead-letter queue, and the function that consumes it.

        - `handler`: the entry point in the bundle, such as `handlers.aws_sqs.handler.handler`.
        - `capacity`: read from the stack's configuration, `capacity: {<queue>: {...}}`, if left out.
        - `consuming`: False disables the event source mapping; the queue still accepts messages.
        - `window`: seconds that an event may wait to be filled; as short as the batch allows if left out.
        - `only`: patterns of the messages to consume. Lambda *deletes* messages that match none of them, without a dead letter.
          https://docs.aws.amazon.com/lambda/latest/dg/with-sqs-filtering.html
        - `uses`: queues that the handler sends to: each with a consumer in this app, before or after this one, or a `Deployed`
          queue of another app.
        - `variables`: the handler's own environment variables. One that sounds like a secret is refused, unless `plain` is True.
        - `secrets`: ARNs of secrets in Secrets Manager or of parameters in Parameter Store, by the name that the handler passes to
          `peeklock.secret`. The role may read them.
        - `grants`: what else the handler may do, such as
          `Grant(name="Invoices", actions=["s3:GetObject"], on=[bucket.arn.apply(lambda arn: f"{arn}/*")])`.
        - `layers`: ARNs of layers, such as an agent's extension.
        - `queue_url`, `dead_letters_url`, `role` (its name), `log_group` (its name): existing resources to use. The owner of a
          role grants its permissions.
        - `tags`: on this consumer's resources.

        Arguments may be outputs of other resources or of stack references.

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
            variables=checked_variables(variables or {}, secrets or {}, plain=plain, reserved=RESERVED),
            grants=tuple(grants),
            layers=tuple(layers),
            queue_url=queue_url,
            dead_letters_url=dead_letters_url,
            role=role,
            log_group=log_group,
            tags=checked_tags(tags),
        )
        return self._registry.add(queue, Consumer(self.shared, args, opts=self._registry.options(opts)))

    def all(self, *, export: bool = True) -> Mapping[str, Any]:
        """Make the dashboard, and return the app's outputs: an object for each consumer, and `environment` for producers. They
        are the stack's outputs too, unless `export` is False: a program with several apps exports them itself, as in
        `pulumi.export("shop", shop.all(export=False))`.

        Raises ConfigError where a consumer sends to a queue that has no consumer in the app, and for a queue in the stack's
        `capacity` that has no consumer in any app that was declared before the last `all()`.
        """
        for consumer in self.consumers.values():
            consumer.complete()
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
