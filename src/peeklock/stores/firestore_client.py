"""The client of Firestore."""

from __future__ import annotations

from typing import Any

from peeklock.concurrency.per_process import per_process
from peeklock.registry import missing

EMULATOR = "FIRESTORE_EMULATOR_HOST"
"""As for Google's own client: where an emulator listens."""


CHANNEL = {"grpc.keepalive_time_ms": 30_000, "grpc.max_reconnect_backoff_ms": 5_000}
"""Alive is what Google's own client keeps its channel by, too: an instance of Cloud Run without a request stands still,
and the connection may be gone when it wakes up. A store that was down for long is found again within 5 seconds, and not
after up to 2 minutes. https://grpc.github.io/grpc/core/group__grpc__arg__keys.html"""


@per_process
def client(emulator: str | None) -> Any:
    """The process's client: Google's generated one, as the layer above it replaces no document on condition. Raises
    ConfigError where it is missing."""
    try:
        import grpc
        from google.cloud.firestore_v1.services.firestore import FirestoreClient
        from google.cloud.firestore_v1.services.firestore.transports import FirestoreGrpcTransport
    except ImportError as exc:
        raise missing(exc, "firestore") from exc
    options = list(CHANNEL.items())
    if emulator:
        channel = grpc.insecure_channel(emulator, options=options)
    else:
        channel = FirestoreGrpcTransport.create_channel(options=options)
    return FirestoreClient(transport=FirestoreGrpcTransport(channel=channel))
