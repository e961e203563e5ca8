"""Client of Firestore."""

from __future__ import annotations

from typing import Any

from peeklock.concurrency.per_process import per_process
from peeklock.registry import missing

EMULATOR = "FIRESTORE_EMULATOR_HOST"
"""Variable with an emulator's address, the same as for Google's own client."""

CHANNEL = {"grpc.keepalive_time_ms": 30_000, "grpc.max_reconnect_backoff_ms": 5_000}
"""Keepalive as in Google's own client: a Cloud Run instance is frozen between requests, and its connection may be gone when
it continues. After a long outage the store is reached again within 5 seconds, instead of up to 2 minutes.
https://grpc.github.io/grpc/core/group__grpc__arg__keys.html"""


@per_process
def client(emulator: str | None) -> Any:
    """Return the process's client: Google's generated one, since the layer above it cannot replace a document conditionally.

    Raises ConfigError where it is not installed.
    """
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
