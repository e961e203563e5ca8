"""`App`: consumers and the resources that they share."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import pulumi
from pulumi_gcp import monitoring

from peeklock.errors import ConfigError
from peeklock.infra import bundles
from peeklock.infra.gcp import dashboard, functions, queues
from peeklock.infra.gcp.consumer import Consumer, ConsumerArgs
from peeklock.infra.gcp.naming import Deployment
from peeklock.infra.gcp.shared import Existing, make_shared
from peeklock.infra.options import Capacity, Stage
from peeklock.infra.registry import Registry, Transform
from peeklock.infra.settings import gcp as settings
from peeklock.keywords import strict
from peeklock.queue import Queue


class App(pulumi.ComponentResource):
    """Consumers and the resources that they share, in the project and region of the stack's `gcp:project` and `gcp:region`.

    - `bundle`: the zip file of `peeklock bundle gcp`, relative to the program's folder.
    - `stage`: read from the stack's configuration, `stage: {...}`, if left out.
    - `store` (a collection group), `key` (a KMS key, for dead letters and store), `subnet`, `channels` (notification channels
      by severity): existing resources to use, by full names such as `projects/shop/databases/keys/collectionGroups/leases`;
      read, never modified.
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
        subnet: str | None = None,
        channels: Mapping[str, str] | None = None,
        transform: Transform | None = None,
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        last = pulumi.ResourceOptions(transformations=[] if transform is None else [transform])
        super().__init__("peeklock:gcp:App", name, None, pulumi.ResourceOptions.merge(opts, last))
        self._registry = Registry[Consumer](self, name, stage)
        self.consumers = self._registry.consumers
        self.stage = self._registry.stage
        deployment = Deployment(
            project=_configured("project"), region=_configured("region"), app=name, stack=pulumi.get_stack()
        )
        existing = Existing(store=store, key=key, subnet=subnet, channels=channels or {})
        self.bundle = bundles.find(bundle, "gcp")
        self.shared = make_shared(self, deployment, self.stage, existing, self.bundle)

    @strict()
    def consumer(
        self,
        queue: Queue,
        *,
        handler: str,
        capacity: Capacity | None = None,
        consuming: bool = True,
        uses: Sequence[Queue] = (),
        queue_name: str | None = None,
        dead_letters_names: tuple[str, str] | None = None,
        identity: str | None = None,
        suffix: str | None = None,
        opts: pulumi.ResourceOptions | None = None,
    ) -> Consumer:
        """Add a queue, its dead letters, and the function that consumes it.

        - `handler`: the entry point in the bundle, such as `main.charge_http`.
        - `capacity`: read from the stack's configuration, `capacity: {<queue>: {...}}`, if left out.
        - `consuming`: False pauses the queue, which still accepts tasks.
        - `uses`: queues that the handler sends to, each with a consumer in this app, before or after this one.
        - `queue_name`, `dead_letters_names` (topic and subscription), `identity` (a service account's address): existing
          resources to use, by full names.
        - `suffix`: end of the queue's name at Cloud Tasks, such as "2". Change it to make a queue again whose name is not
          free yet: up to 3 days after a queue is deleted, one of the same name may seem to be made, and is not.
          https://cloud.google.com/tasks/docs/reference/rest/v2/projects.locations.queues/delete

        Raises ConfigError, with the number to change, for options that cannot work.
        """
        self._registry.check(queue, uses)
        bundles.check(self.bundle, "gcp", queue, handler)
        args = ConsumerArgs(
            queue=queue,
            entry=functions.entry_point(handler),
            settings=settings.compute(queue, self._registry.capacity(queue, capacity)),
            consuming=consuming,
            uses=tuple(uses),
            existing_queue=None if queue_name is None else queues.check_queue(queue_name),
            existing_dead_letters=None
            if dead_letters_names is None
            else queues.check_dead_letters(*dead_letters_names),
            identity=identity,
            suffix=suffix,
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
        deployment = self.shared.deployment
        rows = {queue: consumer.alarm_rows() for queue, consumer in self.consumers.items()}
        body = dashboard.document(f"{deployment.app} ({deployment.stack})", rows)
        resource = monitoring.Dashboard(
            f"{deployment.app}-dashboard",
            project=deployment.project,
            dashboard_json=json.dumps(body, sort_keys=True),
            opts=self.shared.after_apis(self),
        )
        page = "https://console.cloud.google.com/monitoring/dashboards/builder/"
        return resource.id.apply(lambda id_: f"{page}{id_.rpartition('/')[2]}?project={deployment.project}")


def _configured(name: str) -> str:
    value = pulumi.Config("gcp").get(name)
    if not value:
        raise ConfigError(f"the stack has no gcp:{name}; set it: pulumi config set gcp:{name} <{name}>")
    return value
