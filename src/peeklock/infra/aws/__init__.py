"""AWS from the same declaration: SQS, Lambda, DynamoDB, CloudWatch, SNS."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from peeklock.infra.aws.app import App
    from peeklock.infra.aws.consumer import Consumer
    from peeklock.infra.aws.identity import Grant
    from peeklock.infra.deployed import Deployed

_HOMES = {
    "App": "aws.app",
    "Consumer": "aws.consumer",
    "Deployed": "deployed",
    "Grant": "aws.identity",
}
"""Module that defines each name, loaded on first use: settings, alarms and permissions are pure, and work without Pulumi's SDK."""

__all__ = ["App", "Consumer", "Deployed", "Grant"]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"peeklock.infra.{_HOMES[name]}"), name)
