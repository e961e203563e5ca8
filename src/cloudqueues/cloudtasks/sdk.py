"""Google's own types and gRPC, loaded with their first use: nobody pays for them who starts no emulator."""

from __future__ import annotations

import functools
import importlib
from typing import Any

from cloudqueues.errors import missing

SERVICE = "google.cloud.tasks.v2.CloudTasks"
OPERATIONS = "google.longrunning.Operations"
LOCATIONS = "google.cloud.location.Locations"
LAST_SECOND = 253_402_300_799
"""Of the year 9999: a timestamp reaches no further."""
_SHARED = (
    "google.cloud.location.locations_pb2",
    "google.iam.v1.iam_policy_pb2",
    "google.iam.v1.policy_pb2",
    "google.longrunning.operations_pb2",
    "google.protobuf.empty_pb2",
    "google.protobuf.timestamp_pb2",
    "google.rpc.error_details_pb2",
    "google.rpc.status_pb2",
)


@functools.cache
def tasks_v2() -> Any:
    """Raises ConfigError when the client is not installed."""
    try:
        from google.cloud import tasks_v2
    except ImportError as exc:
        raise missing(exc) from exc
    return tasks_v2


@functools.cache
def grpc() -> Any:
    """Raises ConfigError when it is not installed."""
    try:
        import grpc
    except ImportError as exc:
        raise missing(exc) from exc
    return grpc


def client_of(address: str) -> Any:
    """Google's own client, unchanged, on a channel without TLS."""
    from google.cloud.tasks_v2.services.cloud_tasks.transports import CloudTasksGrpcTransport

    return tasks_v2().CloudTasksClient(transport=CloudTasksGrpcTransport(channel=grpc().insecure_channel(address)))


def rest_client_of(url: str) -> Any:
    """Google's own client over REST, without a credential."""
    from google.auth.credentials import AnonymousCredentials
    from google.cloud.tasks_v2.services.cloud_tasks.transports.rest import CloudTasksRestTransport

    anonymous = AnonymousCredentials()  # type: ignore[no-untyped-call] # google-auth's
    return tasks_v2().CloudTasksClient(transport=CloudTasksRestTransport(host=url, credentials=anonymous))


@functools.cache
def kind(name: str) -> Any:
    """The protobuf class under the client's class of this name: the same bytes, and a tenth of the time."""
    return getattr(tasks_v2(), name).pb()


def new(name: str, /, **fields: Any) -> Any:
    """A message of this name."""
    return kind(name)(**fields)


@functools.cache
def shared() -> dict[str, Any]:
    """Types that several Google services share, by their name without its package."""
    modules = [importlib.import_module(name) for name in _SHARED]
    return {name: getattr(module, name) for module in modules for name in module.DESCRIPTOR.message_types_by_name}


def as_json(message: Any, *, integers: bool = False) -> dict[str, Any]:
    """A message as REST shows it; integers: with enums as numbers."""
    json_format: Any = importlib.import_module("google.protobuf.json_format")
    shown: dict[str, Any] = _plain(json_format.MessageToDict(message, use_integers_for_enums=integers))
    return shown


def _plain(value: Any) -> Any:
    """JSON whose whole numbers have no fraction, as recorded."""
    if isinstance(value, dict):
        return {name: _plain(inner) for name, inner in value.items()}
    if isinstance(value, list):
        return [_plain(inner) for inner in value]
    return int(value) if isinstance(value, float) and value.is_integer() else value


def stamp(seconds: float) -> Any:
    """A timestamp in microseconds, of seconds since 1970; the last that there is for what is later."""
    whole, micros = divmod(round(min(seconds, LAST_SECOND) * 1_000_000), 1_000_000)
    return shared()["Timestamp"](seconds=whole, nanos=micros * 1_000)


def seconds_of(value: Any) -> float:
    """Of a timestamp or a duration."""
    return float(value.seconds) + float(value.nanos) / 1e9
