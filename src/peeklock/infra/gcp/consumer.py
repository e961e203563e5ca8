"""`Consumer`: one queue, its dead letters, the function that works on it, and what tells of trouble."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pulumi

from peeklock.errors import ConfigError
from peeklock.infra import outages
from peeklock.infra.gcp import alerts, functions, granting, queues
from peeklock.infra.gcp.alarms import Alarm, Names, alarms
from peeklock.infra.gcp.environment import address, dead_letters_address, environment, links
from peeklock.infra.gcp.identity import TAKER, Grant, Role, grants, member, send_grants
from peeklock.infra.gcp.naming import label
from peeklock.infra.gcp.shared import Shared
from peeklock.infra.settings.gcp import Settings
from peeklock.queue import Queue


@dataclass(frozen=True, slots=True, kw_only=True)
class Given:
    """What `App.consumer` was told."""

    queue: Queue
    entry: str
    settings: Settings
    consuming: bool
    uses: tuple[Queue, ...]
    own_queue: str | None
    own_dead_letters: tuple[str, str] | None
    identity: str | None
    suffix: str | None = None

    def __post_init__(self) -> None:
        if self.own_queue is not None and not self.consuming:
            raise ConfigError(
                f"queue {self.queue.name!r} was brought along, and is never modified: pause it yourself, and leave"
                " consuming=False out"
            )


class Consumer(pulumi.ComponentResource):
    """Made by `App.consumer`. Its function is made once all queues in `uses` have a consumer; what is known then only
    (all but the service) is asked for after that. Addresses are as `peeklock.send` takes them."""

    queue: pulumi.Output[str]
    """The queue's address."""
    dead_letters: pulumi.Output[str]
    """The dead letters' address."""
    function: pulumi.Output[str]
    """The function's name."""
    identity: pulumi.Output[str]
    """The address of the service account that the function runs as."""
    store: pulumi.Output[str]
    alarms: Mapping[str, pulumi.Output[str]]
    """The alert policies' names, by the alarm's."""
    links: Mapping[str, pulumi.Output[str]]
    """Pages of the console."""
    environment: Mapping[str, pulumi.Output[str]]
    """What a producer's process needs."""

    def __init__(self, shared: Shared, given: Given, *, opts: pulumi.ResourceOptions) -> None:
        self._shared, self._given = shared, given
        super().__init__("peeklock:gcp:Consumer", self._named(), None, opts)
        outages.warn(given.queue, "cloudtasks", given.settings.span, self)
        self._labels = {
            **shared.labels,
            "consumer": label(given.queue.name),
            "fingerprint": given.queue.fingerprint,
        }
        self.service = shared.place.service(given.queue)
        self._caller = self._account("call", "Calls the function for Cloud Tasks")
        self._dead_letters = queues.dead_letters(shared, given.queue, self._labels, self, given.own_dead_letters)
        self._queue = queues.queue(
            shared,
            given.queue,
            given.settings,
            self,
            named=queues.short(self.whole_name),
            service=self.service,
            caller=self._caller.email,
            consuming=given.consuming,
            own=given.own_queue,
        )
        self._runner: Any = None if given.identity is not None else self._account("run", "Runs the function")
        self._started = False

    def _named(self, suffix: str = "") -> str:
        return f"{self._shared.place.app}-{self._given.queue.name}{suffix}"

    def _account_id(self, role: str) -> str:
        return self._shared.place.account(self._given.queue.name, role)

    def _account(self, role: str, says: str) -> Any:
        what = f"{says}: {self._shared.place.app} {self._given.queue.name}"
        return functions.account(self._shared, self._named(f"-{role}"), self._account_id(role), what, self)

    @property
    def whole_name(self) -> str:
        """The queue's."""
        return self._given.own_queue or self._shared.place.queue(self.service, self._given.suffix)

    @property
    def address(self) -> str:
        """The queue's, known before it is made."""
        place = self._shared.place
        caller = place.email(self._account_id("call"))
        return address(self.whole_name, place.url(self.service), caller, self._given.settings.deadline)

    def _who(self) -> str:
        return self._given.identity or self._shared.place.email(self._account_id("run"))

    def _grants(self) -> tuple[Grant, ...]:
        """None for an identity that was brought along: whoever made it says what it may do."""
        return () if self._given.identity is not None else grants(self._given.queue, self._given.uses)

    def start(self, consumers: Mapping[str, Consumer]) -> None:
        """Make the function, where all the queues that it uses are there and it is not made yet."""
        if self._started or self._missing(consumers):
            return
        self._started = True
        granted = [
            self._granted(
                f"may-{one.name}", one.role, self._runner.member, consumers[one.queue or self._given.queue.name]
            )
            for one in self._grants()
        ]
        made = self._function({one: consumers[one.name].address for one in self._given.uses}, granted)
        functions.callable_by(self._shared, self._named("-may-be-called"), made, self._caller.member, self)
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

    def _granted(self, name: str, role: Role, who: Any, on: Consumer) -> Any:
        """`on`: the consumer whose queue or caller it is."""
        named = self._named(f"-{name}")
        if role is Role.ENQUEUER:
            return granting.on_queue(named, on.whole_name, who, self, on._queue)
        if role is Role.ACT_AS:
            return granting.on_account(named, on._caller, who, self)
        if role is Role.PUBLISHER:
            return granting.on_topic(named, self._dead_letters.topic, who, self, self._dead_letters.made[0])
        if role is Role.SUBSCRIBER:
            return granting.on_subscription(
                named, self._dead_letters.subscription, who, self, self._dead_letters.made[1]
            )
        return granting.on_database(self._shared, named, who, self)

    def grant_send(self, name: str, identity: pulumi.Input[str]) -> tuple[Any, ...]:
        """Let a producer send to the queue. `name`: of the producer, unique for this consumer; `identity`: a service
        account's address, or a member such as `user:somebody@example.com`."""
        who = pulumi.Output.from_input(identity).apply(member)
        wanted = send_grants(f"send-from-{name}", "sends to it")
        return tuple(self._granted(f"may-{one.name}", one.role, who, self) for one in wanted)

    def grant_redrive(self, name: str, identity: pulumi.Input[str]) -> tuple[Any, ...]:
        """Let an operator take dead letters out and put them back. Arguments as of `grant_send`."""
        who = pulumi.Output.from_input(identity).apply(member)
        taken = self._granted(f"may-{TAKER.name}-by-{name}", TAKER.role, who, self)
        return (taken, *self.grant_send(f"redrive-by-{name}", identity))

    def _function(self, uses: Mapping[Queue, str], granted: list[Any]) -> Any:
        given, shared = self._given, self._shared
        variables = environment(
            given.queue,
            given.settings,
            address=self.address,
            dead_letters=dead_letters_address(self._dead_letters.topic),
            store=shared.store,
            target=shared.place.url(self.service),
            caller=shared.place.email(self._account_id("call")),
            uses={one.variable("URL"): where for one, where in uses.items()},
        )
        return functions.function(
            shared,
            self._named(),
            given.settings,
            self,
            service=self.service,
            entry=given.entry,
            identity=given.identity or self._runner.email,
            environment=variables,
            labels=self._labels,
            after=[*granted, self._queue, *self._dead_letters.made],
        )

    def alarms_now(self) -> tuple[Alarm, ...]:
        """The alarms as data."""
        given = self._given
        names = Names(
            queue=queues.short(self.whole_name),
            service=self.service,
            subscription=queues.short(self._dead_letters.subscription),
        )
        return alarms(given.queue, given.settings, self._shared.stage.thresholds, names)

    def _tell(self, made: Any) -> None:
        """The alarms, and the outputs: known texts, once what they name is there."""
        shared, place = self._shared, self._shared.place
        counted = alerts.failures(shared, self._given.queue, self.service, self)
        rung = alerts.alerts(shared, self._given.queue, self.alarms_now(), self._labels, self, counted)
        self.queue = _once(self._queue, self.address)
        self.dead_letters = _once(self._dead_letters.made[0], dead_letters_address(self._dead_letters.topic))
        self.function = made.name
        self.identity = _once(made, self._who())
        self.store = _once(shared.stored[0], shared.store)
        self.alarms = {name: one.name for name, one in rung.items()}
        pages = links(
            place.project,
            place.region,
            queue=queues.short(self.whole_name),
            service=self.service,
            subscription=queues.short(self._dead_letters.subscription),
        )
        self.links = {name: _once(made, page) for name, page in pages.items()}
        self.environment = {self._given.queue.variable("URL"): self.queue}

    def told(self) -> dict[str, Any]:
        """The consumer's outputs, for the stack's."""
        names = ("queue", "dead_letters", "function", "identity", "store", "alarms", "links", "environment")
        return {name: getattr(self, name) for name in names}


def _once(resource: Any, text: str) -> pulumi.Output[str]:
    """A known text, for others only when the resource is there."""
    told: pulumi.Output[str] = resource.id.apply(lambda _: text)
    return told
