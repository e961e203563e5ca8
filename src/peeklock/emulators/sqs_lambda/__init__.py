"""SQS to Lambda on this machine: the real runtime interface client runs the handler, an SQS of your choice the queue."""

from peeklock.emulators.faults import NO_FAULTS, Faults
from peeklock.emulators.sqs_lambda.emulator import SqsLambda
from peeklock.emulators.sqs_lambda.mapping import Invocation

__all__ = ["NO_FAULTS", "Faults", "Invocation", "SqsLambda"]
