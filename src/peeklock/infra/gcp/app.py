"""`App`: what the consumers share, and the consumers."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pulumi
from pulumi_gcp import monitoring

from peeklock.errors import ConfigError
from peeklock.infra import bundles
from peeklock.infra.ending import expect_end
from peeklock.infra.gcp import dashboard, functions, queues
from peeklock.infra.gcp.consumer import Consumer, Given
from peeklock.infra.gcp.naming import Place
from peeklock.infra.gcp.shared import Own, shared
from peeklock.infra.keeping import keep_whole
from peeklock.infra.options import Capacity, Stage, check_variables
from peeklock.infra.settings import gcp as settings
from peeklock.queue import Queue

Transform = Callable[[pulumi.ResourceTransformationArgs], pulumi.ResourceTransformationResult | None]


class App(pulumi.ComponentResource):
    """Consumers and what they share, in the project and region of the stack's `gcp:project` and `gcp:region`.

    - `bundle`: the zip file of `peeklock bundle gcp`, from the program's folder.
    - `stage`: else read from the stack's configuration, `stage: {...}`.
    - `store` (a collection group), `key` (a KMS key, for dead letters and store), `subnet`, `channels` (notification channels by
      severity): bring your own, by whole names such as `projects/shop/databases/keys/collectionGroups/leases`; read, never
      modified.
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
        subnet: str | None = None,
        channels: Mapping[str, str] | None = None,
        transform: Transform | None = None,
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        last = pulumi.ResourceOptions(transformations=[] if transform is None else [transform])
        super().__init__("peeklock:gcp:App", name, None, pulumi.ResourceOptions.merge(opts, last))
        expect_end(name)
        self.stage = stage or Stage.of(pulumi.Config().get_object("stage") or {})
        place = Place(project=_configured("project"), region=_configured("region"), app=name, stack=pulumi.get_stack())
        own = Own(store=store, key=key, subnet=subnet, channels=channels or {})
        self.bundle = bundles.find(bundle, "gcp")
        self.shared = shared(self, place, self.stage, own, self.bundle)
        self.consumers: dict[str, Consumer] = {}

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
        """A queue, its dead letters, and the function that consumes it.

        - `handler`: the entry point in the bundle, as `main.charge_http`.
        - `capacity`: else read from the stack's configuration, `capacity: {<queue>: {...}}`.
        - `consuming`: False pauses the queue, which goes on taking tasks.
        - `uses`: queues that the handler sends to, each with a consumer in this app, before or after this one.
        - `queue_name`, `dead_letters_names` (topic and subscription), `identity` (a service account's address): bring your
          own, by whole names.
        - `suffix`: ends the queue's name at Cloud Tasks, such as "2". Give another one to make a queue again whose name is
          not free yet: up to 3 days after a queue is deleted, one of the same name may seem to be made, and is not.
          https://cloud.google.com/tasks/docs/reference/rest/v2/projects.locations.queues/delete

        Raises ConfigError, with the number to change, for what cannot work.
        """
        if queue.name in self.consumers:
            raise ConfigError(f"queue {queue.name!r} has a consumer in app {self._name!r} already; give each queue one")
        bundles.check(self.bundle, "gcp", queue, handler)
        check_variables([*self.consumers, queue.name, *(one.name for one in uses)])
        numbers = capacity or Capacity.of((pulumi.Config().get_object("capacity") or {}).get(queue.name, {}))
        given = Given(
            queue=queue,
            entry=functions.entry_point(handler),
            settings=settings.of(queue, numbers),
            consuming=consuming,
            uses=tuple(uses),
            own_queue=None if queue_name is None else queues.check_queue(queue_name),
            own_dead_letters=None if dead_letters_names is None else queues.check_dead_letters(*dead_letters_names),
            identity=identity,
            suffix=suffix,
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
        place = self.shared.place
        rows = {name: one.alarms_now() for name, one in self.consumers.items()}
        body = dashboard.document(f"{place.app} ({place.stack})", rows)
        made = monitoring.Dashboard(
            f"{place.app}-dashboard",
            project=place.project,
            dashboard_json=json.dumps(body, sort_keys=True),
            opts=self.shared.after_apis(self),
        )
        page = "https://console.cloud.google.com/monitoring/dashboards/builder/"
        return made.id.apply(lambda id_: f"{page}{id_.rpartition('/')[2]}?project={place.project}")


def _configured(name: str) -> str:
    value = pulumi.Config("gcp").get(name)
    if not value:
        raise ConfigError(f"the stack has no gcp:{name}; set it: pulumi config set gcp:{name} <{name}>")
    return value
