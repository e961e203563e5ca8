"""AWS from the same declaration: SQS, Lambda, DynamoDB, CloudWatch, SNS."""

from __future__ import annotations

from typing import TYPE_CHECKING

from peeklock.infra.lazy_names import lazy_names

if TYPE_CHECKING:
    from peeklock.infra.aws.app import App
    from peeklock.infra.aws.consumer import Consumer
    from peeklock.infra.aws.identity import Grant
    from peeklock.infra.deployed import Deployed

__all__ = ["App", "Consumer", "Deployed", "Grant"]

__getattr__ = lazy_names(
    __name__,
    {
        "App": "aws.app",
        "Consumer": "aws.consumer",
        "Deployed": "deployed",
        "Grant": "aws.identity",
    },
)
