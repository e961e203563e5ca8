"""Google Cloud from the same declaration: Cloud Tasks, Cloud Run functions, Pub/Sub for dead letters, Firestore."""

from peeklock.infra.gcp.app import App
from peeklock.infra.gcp.consumer import Consumer

__all__ = ["App", "Consumer"]
