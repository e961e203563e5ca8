"""`App`: consumers and the resources that they share."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import pulumi
from pulumi_gcp import monitoring

from peeklock.errors import ConfigError
from peeklock.infra import bundles
from peeklock.infra.deployed import Used
from peeklock.infra.gcp import dashboard, functions
from peeklock.infra.gcp import secrets as secret_references
from peeklock.infra.gcp.alarms import Names
from peeklock.infra.gcp.consumer import Consumer, ConsumerArgs
from peeklock.infra.gcp.environment import RESERVED, RESERVED_NAMES
from peeklock.infra.gcp.extra_grants import Grant
from peeklock.infra.gcp.identity import checked_identity
from peeklock.infra.gcp.naming import Deployment, checked_labels, full_name
from peeklock.infra.gcp.shared import existing_resources, make_shared
from peeklock.infra.options import Capacity, Stage
from peeklock.infra.registry import Registry, Transform
from peeklock.infra.settings import gcp as settings
from peeklock.infra.variables import checked_variables
from peeklock.keywords import strict
from peeklock.queue import Queue


class App(pulumi.ComponentResource):
    """Consumers and the resources that they share, in the project and region of the stack's `gcp:project` and `gcp:region`.

    - `bundle`: the zip file of `peeklock bundle gcp`, relative to the program's folder.
    - `stage`: read from the stack's configuration, `stage: {...}`, if left out.
    - `store` (a collection group), `key` (a KMS key, for dead letters and store), `subnet`, `channels` (notification channels
      by severity): existing resources to use, by full names such as `projects/shop/databases/keys/collectionGroups/leases`;
      read, never modified. Each may be an output of another resource or of a stack reference.
    - `tags`: labels on every resource that has labels, beside `app` and `stack`.
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
        subnet: pulumi.Input[str] | None = None,
        channels: Mapping[str, pulumi.Input[str]] | None = None,
        tags: Mapping[str, str] | None = None,
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
        existing = existing_resources(store=store, key=key, subnet=subnet, channels=channels or {})
        self.bundle = bundles.find(bundle, "gcp")
        self.shared = make_shared(self, deployment, self.stage, checked_labels(tags), existing, self.bundle)

    @strict()
    def consumer(  # noqa: PLR0913 - keywords, each optional and on its own
        self,
        queue: Queue,
        *,
        handler: str,
        capacity: Capacity | None = None,
        consuming: bool = True,
        uses: Sequence[Used] = (),
        variables: Mapping[str, pulumi.Input[str]] | None = None,
        secrets: Mapping[str, pulumi.Input[str]] | None = None,
        plain: bool = False,
        grants: Sequence[Grant] = (),
        queue_name: pulumi.Input[str] | None = None,
        dead_letters_names: tuple[pulumi.Input[str], pulumi.Input[str]] | None = None,
        identity: pulumi.Input[str] | None = None,
        suffix: str | None = None,
        tags: Mapping[str, str] | None = None,
        opts: pulumi.ResourceOptions | None = None,
    ) -> Consumer:
        """Add a queue, its dead letters, and the function that consumes it.

        - `handler`: the entry point in the bundle, such as `main.charge_http`.
        - `capacity`: read from the stack's configuration, `capacity: {<queue>: {...}}`, if left out.
        - `consuming`: False pauses the queue, which still accepts tasks.
        - `uses`: queues that the handler sends to: each with a consumer in this app, before or after this one, or a `Deployed`
          queue of another app.
        - `variables`: the handler's own environment variables. One that sounds like a secret is refused, unless `plain` is True.
        - `secrets`: secrets of Secret Manager, such as `projects/shop/secrets/gateway`, or one of their versions, by the
          variable that holds the value; the handler calls `peeklock.secret`. The function's account may read them.
        - `grants`: what else the handler may do, such as
          `Grant(name="invoices", role="roles/storage.objectViewer", on="projects/_/buckets/invoices")`.
        - `queue_name`, `dead_letters_names` (topic and subscription), `identity` (a service account's address): existing
          resources to use, by full names. The owner of an identity grants its roles.
        - `suffix`: end of the queue's name at Cloud Tasks, such as "2". Change it to make a queue again whose name is not
          free yet: up to 3 days after a queue is deleted, one of the same name may seem to be made, and is not.
          https://cloud.google.com/tasks/docs/reference/rest/v2/projects.locations.queues/delete
        - `tags`: labels on this consumer's resources.

        Arguments may be outputs of other resources or of stack references.

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
            variables=checked_variables(
                variables or {},
                secret_references.references(secrets or {}),
                plain=plain,
                reserved=RESERVED,
                reserved_names=RESERVED_NAMES,
            ),
            grants=tuple(grants),
            existing_queue=None
            if queue_name is None
            else full_name("queue_name", queue_name, "projects", "locations", "queues"),
            existing_dead_letters=None if dead_letters_names is None else _dead_letters(*dead_letters_names),
            identity=None if identity is None else checked_identity(identity),
            tags=checked_labels(tags),
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
        names = pulumi.Output.all(**{queue: consumer.names for queue, consumer in self.consumers.items()})
        resource = monitoring.Dashboard(
            f"{deployment.app}-dashboard",
            project=deployment.project,
            dashboard_json=names.apply(self._document),
            opts=self.shared.after_apis(self),
        )
        page = "https://console.cloud.google.com/monitoring/dashboards/builder/"
        return resource.id.apply(lambda id_: f"{page}{id_.rpartition('/')[2]}?project={deployment.project}")

    def _document(self, names: Mapping[str, Names]) -> str:
        """Return the dashboard. `names`: of each consumer's resources, by its queue."""
        deployment = self.shared.deployment
        rows = {queue: consumer.alarm_rows(names[queue]) for queue, consumer in self.consumers.items()}
        return json.dumps(dashboard.document(f"{deployment.app} ({deployment.stack})", rows), sort_keys=True)


def _dead_letters(
    topic: pulumi.Input[str], subscription: pulumi.Input[str]
) -> tuple[pulumi.Input[str], pulumi.Input[str]]:
    return (
        full_name("dead_letters_names[0]", topic, "projects", "topics"),
        full_name("dead_letters_names[1]", subscription, "projects", "subscriptions"),
    )


def _configured(name: str) -> str:
    value = pulumi.Config("gcp").get(name)
    if not value:
        raise ConfigError(f"the stack has no gcp:{name}; set it: pulumi config set gcp:{name} <{name}>")
    return value
