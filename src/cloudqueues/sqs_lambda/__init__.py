"""SQS to Lambda on this machine: AWS' runtime interface client runs the handler, and any local SQS holds the queue."""

from cloudqueues.faults import NO_FAULTS, Faults
from cloudqueues.sqs_lambda.emulator import SqsLambda
from cloudqueues.sqs_lambda.mapping import Invocation

__all__ = ["NO_FAULTS", "Faults", "Invocation", "SqsLambda"]
