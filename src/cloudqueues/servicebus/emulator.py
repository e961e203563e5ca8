"""Public emulator: runs the broker in a background thread, with entities, a movable clock and fault injection."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from ssl import SSLContext
from typing import Any, Literal, Self, TypeVar

from cloudqueues.background import Background, BackgroundEmulator
from cloudqueues.durations import Seconds, seconds
from cloudqueues.errors import ConfigError
from cloudqueues.faults import NO_FAULTS, Faults
from cloudqueues.quotas.azure import DUPLICATES_SECONDS, LEAST_DUPLICATES_SECONDS
from cloudqueues.servicebus.amqp.connection import IDLE
from cloudqueues.servicebus.broker import Broker
from cloudqueues.servicebus.certificate import Certificate
from cloudqueues.servicebus.config import read
from cloudqueues.servicebus.entities import Entities
from cloudqueues.servicebus.errors import Refused
from cloudqueues.servicebus.message import StoredMessage
from cloudqueues.servicebus.policies import Policies, Policy
from cloudqueues.servicebus.rules import EVERYTHING, Rule
from cloudqueues.servicebus.service import Service
from cloudqueues.servicebus.settings import Settings
from cloudqueues.servicebus.tiers import TIERS

T = TypeVar("T")

ANY_KEY: Mapping[str, Policy] = {"RootManageSharedAccessKey": Policy("SAS_KEY_VALUE")}
"""Key of an emulator that does not check tokens."""


class ServiceBusEmulator(BackgroundEmulator):
    """Service Bus namespace for the unmodified SDKs, between `start` and `stop` or within a `with`.

    Add entities before the start or at any time after it. Messages are lost at the stop. A `port` of 0 chooses a free
    port, which is kept for the next start.

    `config`: initial entities, in the format of the config.json of Microsoft's emulator; an error in it raises
    ConfigError with its location. `tls`: require TLS; clients must trust `certificate`. `tier`: limits on message size.
    `policies`: keys that may sign tokens, by name, with their rights; None accepts any token.
    """

    name = "Service Bus emulator"

    def __init__(
        self,
        *,
        config: Mapping[str, Any] | Path | None = None,
        host: str = "127.0.0.1",
        port: int = 0,
        faults: Faults = NO_FAULTS,
        idle_timeout: float = IDLE,
        tls: bool = False,
        tier: Literal["standard", "premium"] = "standard",
        policies: Mapping[str, Policy] | None = None,
        http_port: int = 0,
    ) -> None:
        if tier not in TIERS:
            raise ConfigError(f"tier={tier!r} is not one of {', '.join(TIERS)}")
        if policies is not None and not policies:
            raise ConfigError(
                "policies={} would refuse all clients: give at least one policy, or None to accept any token"
            )
        self._tier = TIERS[tier]
        self._policies = ANY_KEY if policies is None else policies
        self._host = host
        self._certificate = Certificate(host)
        self._tls = tls
        self._port = port
        self._http_port = http_port
        self._faults = faults
        self._idle = idle_timeout
        self._adds: list[Callable[[Broker], None]] = [] if config is None else read(config)
        self._running: tuple[Background, Service] | None = None

    # -- start and stop

    def start(self) -> Self:
        """Start the emulator. Raises OSError when the port is taken, ConfigError when the entities are inconsistent."""
        return super().start()

    def _open(self, background: Background) -> None:
        service = background.call(Service, self._faults, self._idle, self._tier, self._checks())
        self._running = background, service
        for add in self._adds:
            background.call(add, service.broker)
        self._port = background.run(service.listen(self._host, self._port, self._context()))
        http = service.listen_http(self._host, self._http_port, self._certificate.context)
        self._http_port = background.run(http)

    def _close(self, background: Background) -> None:
        running, self._running = self._running, None
        if running is not None:
            background.run(running[1].close())
        self._certificate.withdraw()

    def _checks(self) -> Policies | None:
        return None if self._policies is ANY_KEY else Policies(self._policies)

    def _context(self) -> SSLContext | None:
        if not self._tls:
            return None
        self._certificate.publish()
        return self._certificate.context()

    @property
    def port(self) -> int:
        return self._port

    @property
    def http_port(self) -> int:
        """Port of the management API."""
        return self._http_port

    @property
    def connection_string(self) -> str:
        """Connection string with the first policy, or with a placeholder key where any token is accepted."""
        return self.connection_string_of(next(iter(self._policies)))

    def connection_string_of(self, policy: str) -> str:
        """Return the connection string with a policy. SDKs use TLS unless it says that the server is an emulator.

        Raises ConfigError for a policy that does not exist.
        """
        return self._address(self._port, policy, "" if self._tls else "UseDevelopmentEmulator=true;")

    @property
    def admin_connection_string(self) -> str:
        """Connection string for the SDKs' administration clients, with the port of the management API, as in
        Microsoft's emulator.

        Most clients use TLS nevertheless: they must trust `certificate`.
        """
        return self.admin_connection_string_of(next(iter(self._policies)))

    def admin_connection_string_of(self, policy: str) -> str:
        """Return the administration connection string with a policy. Raises ConfigError for a policy that does not
        exist."""
        return self._address(self._http_port, policy, "UseDevelopmentEmulator=true;")

    def _address(self, port: int, policy: str, more: str) -> str:
        if policy not in self._policies:
            raise ConfigError(f"there is no policy {policy!r}: there are {', '.join(self._policies)}")
        return (
            f"Endpoint=sb://{self._host}:{port};SharedAccessKeyName={policy};"
            f"SharedAccessKey={self._policies[policy].key};{more}"
        )

    @property
    def certificate(self) -> Path:
        """Path of the certificate that clients of TLS and of the management API must trust.

        While the emulator runs, the file exists from the first access to this path, and with `tls=True` from the start.
        Raises ConfigError where the package `cryptography` is missing.
        """
        if self._running is not None:
            self._certificate.publish()
        return self._certificate.path

    def _call(self, act: Callable[[Service], T]) -> T:
        """Call a function in the emulator's thread."""
        if self._running is None:
            raise ConfigError("the Service Bus emulator is not running: call start(), or use it in a with statement")
        background, service = self._running
        try:
            return background.call(act, service)
        except Refused as refused:
            raise ConfigError(refused.text) from refused

    def _in_broker(self, act: Callable[[Broker], T]) -> T:
        return self._call(lambda service: act(service.broker))

    # -- entities

    @property
    def entities(self) -> Entities:
        """Entities of the running emulator."""
        return Entities(self._in_broker)

    def add_queue(
        self,
        name: str,
        *,
        lock_duration: Seconds = 60,
        max_delivery_count: int = 10,
        requires_session: bool = False,
        default_ttl: Seconds | None = None,
        dead_letter_expired: bool = False,
        duplicate_window: Seconds | None = None,
        forward_to: str | None = None,
        forward_dead_lettered_to: str | None = None,
    ) -> None:
        """Add a queue. None means unlimited, and for `duplicate_window` no detection. Raises ConfigError for a name
        that is taken, and for limits that the service refuses."""
        settings = Settings(
            lock_duration=_seconds(lock_duration, "lock_duration"),
            max_delivery_count=max_delivery_count,
            requires_session=requires_session,
            default_ttl=_limit(default_ttl),
            dead_letter_expired=dead_letter_expired,
            duplicate_window=_window(duplicate_window),
            forward_to=forward_to,
            forward_dead_letters_to=forward_dead_lettered_to,
        )
        self._add(lambda broker: broker.add_queue(name, settings))

    def add_topic(
        self, name: str, *, default_ttl: Seconds | None = None, duplicate_window: Seconds | None = None
    ) -> None:
        """Add a topic. None means unlimited, and for `duplicate_window` no detection. Raises ConfigError for a name
        that is taken, and for limits that the service refuses."""
        settings = Settings(default_ttl=_limit(default_ttl), duplicate_window=_window(duplicate_window))
        self._add(lambda broker: broker.add_topic(name, settings))

    def add_subscription(
        self,
        topic: str,
        name: str,
        *,
        rules: Iterable[Rule] = (EVERYTHING,),
        lock_duration: Seconds = 60,
        max_delivery_count: int = 10,
        requires_session: bool = False,
        default_ttl: Seconds | None = None,
        dead_letter_expired: bool = False,
        dead_letter_filter_errors: bool = True,
        forward_to: str | None = None,
        forward_dead_lettered_to: str | None = None,
    ) -> None:
        """Add a subscription to an existing topic. The default rule matches every message. Raises ConfigError for a
        name that is taken, and for limits that the service refuses."""
        settings = Settings(
            lock_duration=_seconds(lock_duration, "lock_duration"),
            max_delivery_count=max_delivery_count,
            requires_session=requires_session,
            default_ttl=_limit(default_ttl),
            dead_letter_expired=dead_letter_expired,
            dead_letter_filter_errors=dead_letter_filter_errors,
            forward_to=forward_to,
            forward_dead_letters_to=forward_dead_lettered_to,
        )
        chosen = list(rules)
        self._add(lambda broker: broker.add_subscription(topic, name, settings, chosen))

    def _add(self, add: Callable[[Broker], None]) -> None:
        if self._running is not None:
            self._in_broker(add)
        self._adds.append(add)

    # -- for tests

    def messages(self, path: str) -> list[StoredMessage]:
        """Return the messages of a queue, `topic/Subscriptions/name` or `.../$DeadLetterQueue`, by sequence number."""
        return self._call(lambda service: service.stored(path))

    def advance(self, seconds: float) -> None:
        """Move the clock forward. Clients keep real time, so locks, times to live and schedules come that much nearer
        to their ends."""
        self._call(lambda service: service.advance(seconds))

    def connections(self) -> int:
        """Return the number of open connections."""
        return self._call(Service.connected)

    @property
    def faults(self) -> Faults:
        return self._faults

    @faults.setter
    def faults(self, faults: Faults) -> None:
        """Replace the faults, from the next draw on."""
        self._faults = faults
        if self._running is not None:
            self._running[1].context.faults = faults


def _seconds(value: Seconds, what: str) -> float:
    return seconds(value, what).total_seconds()


def _window(window: Seconds | None) -> float:
    """Return the seconds of duplicate detection, 0 for none. Raises ConfigError for a time that the service refuses.

    https://learn.microsoft.com/azure/service-bus-messaging/duplicate-detection
    """
    if not window:
        return 0.0
    length = _seconds(window, "duplicate_window")
    if not LEAST_DUPLICATES_SECONDS <= length <= DUPLICATES_SECONDS:
        raise ConfigError(
            f"duplicate_window must be {LEAST_DUPLICATES_SECONDS} to {DUPLICATES_SECONDS} seconds, not {length:g}"
        )
    return length


def _limit(ttl: Seconds | None) -> float:
    return math.inf if ttl is None else _seconds(ttl, "default_ttl")
