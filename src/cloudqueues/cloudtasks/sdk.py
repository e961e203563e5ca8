"""Google's own types and gRPC, imported at their first use, so that an import of this package stays cheap."""

from __future__ import annotations

import functools
import importlib
from typing import Any

from cloudqueues.errors import missing

SERVICE = "google.cloud.tasks.v2.CloudTasks"
OPERATIONS = "google.longrunning.Operations"
LOCATIONS = "google.cloud.location.Locations"
LAST_SECOND = 253_402_300_799
"""Last second of the year 9999, the largest of a timestamp."""
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
    """Import Google's client. Raises ConfigError when it is not installed."""
    try:
        from google.cloud import tasks_v2
    except ImportError as exc:
        raise missing(exc) from exc
    return tasks_v2


@functools.cache
def grpc() -> Any:
    """Import gRPC. Raises ConfigError when it is not installed."""
    try:
        import grpc
    except ImportError as exc:
        raise missing(exc) from exc
    return grpc


def client_of(address: str) -> Any:
    """Return Google's own client, unchanged, on a channel without TLS."""
    from google.cloud.tasks_v2.services.cloud_tasks.transports import CloudTasksGrpcTransport

    return tasks_v2().CloudTasksClient(transport=CloudTasksGrpcTransport(channel=grpc().insecure_channel(address)))


def rest_client_of(url: str) -> Any:
    """Return Google's own client over REST, without credentials."""
    from google.auth.credentials import AnonymousCredentials
    from google.cloud.tasks_v2.services.cloud_tasks.transports.rest import CloudTasksRestTransport

    anonymous = AnonymousCredentials()  # type: ignore[no-untyped-call] # google-auth's
    return tasks_v2().CloudTasksClient(transport=CloudTasksRestTransport(host=url, credentials=anonymous))


@functools.cache
def kind(name: str) -> Any:
    """Return the protobuf class below the client's class of this name: the same bytes in a tenth of the time."""
    return getattr(tasks_v2(), name).pb()


def new(name: str, /, **fields: Any) -> Any:
    """Create a message of this type."""
    return kind(name)(**fields)


@functools.cache
def shared() -> dict[str, Any]:
    """Return the types that several Google services share, by their names without packages."""
    modules = [importlib.import_module(name) for name in _SHARED]
    return {name: getattr(module, name) for module in modules for name in module.DESCRIPTOR.message_types_by_name}


def as_json(message: Any, *, integers: bool = False) -> dict[str, Any]:
    """Return a message in REST's JSON. `integers`: enums are numbers."""
    json_format: Any = importlib.import_module("google.protobuf.json_format")
    shown: dict[str, Any] = _plain(json_format.MessageToDict(message, use_integers_for_enums=integers))
    return shown


def _plain(value: Any) -> Any:
    """Return JSON whose whole numbers have no fraction, as recorded."""
    if isinstance(value, dict):
        return {name: _plain(inner) for name, inner in value.items()}
    if isinstance(value, list):
        return [_plain(inner) for inner in value]
    return int(value) if isinstance(value, float) and value.is_integer() else value


def stamp(seconds: float) -> Any:
    """Return the timestamp of seconds since 1970, in whole microseconds; the largest one for later times."""
    whole, micros = divmod(round(min(seconds, LAST_SECOND) * 1_000_000), 1_000_000)
    return shared()["Timestamp"](seconds=whole, nanos=micros * 1_000)


def seconds_of(value: Any) -> float:
    """Return the seconds of a timestamp or a duration."""
    return float(value.seconds) + float(value.nanos) / 1e9
