"""AWS from the same declaration: SQS, Lambda, DynamoDB, CloudWatch, SNS."""

from peeklock.infra.aws.app import App
from peeklock.infra.aws.consumer import Consumer

__all__ = ["App", "Consumer"]
