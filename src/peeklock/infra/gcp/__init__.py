"""Google Cloud from the same declaration: Cloud Tasks, Cloud Run functions, Pub/Sub for dead letters, Firestore."""

from __future__ import annotations

from typing import TYPE_CHECKING

from peeklock.infra.lazy_names import lazy_names

if TYPE_CHECKING:
    from peeklock.infra.deployed import Deployed
    from peeklock.infra.gcp.app import App
    from peeklock.infra.gcp.consumer import Consumer
    from peeklock.infra.gcp.extra_grants import Grant

__all__ = ["App", "Consumer", "Deployed", "Grant"]

__getattr__ = lazy_names(
    __name__,
    {
        "App": "gcp.app",
        "Consumer": "gcp.consumer",
        "Deployed": "deployed",
        "Grant": "gcp.extra_grants",
    },
)
