"""AWS from the same declaration: SQS, Lambda, DynamoDB, CloudWatch, SNS."""

from peeklock.infra.aws.app import App
from peeklock.infra.aws.consumer import Consumer
from peeklock.infra.aws.identity import Grant
from peeklock.infra.deployed import Deployed

__all__ = ["App", "Consumer", "Deployed", "Grant"]
