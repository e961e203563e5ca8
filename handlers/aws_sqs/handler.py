"""AWS Lambda, triggered by SQS. The function's handler is `handlers.aws_sqs.handler.handler`."""

from aws_lambda_powertools import Logger, Metrics, Tracer

from handlers.orders.charge import charge
from handlers.orders.receipts import write_receipts
from peeklock import sqs
from peeklock.observability.powertools import PowertoolsObserver

# The service's name comes from the environment; the alarms of infra/aws watch this namespace.
observer = PowertoolsObserver(logger=Logger(), metrics=Metrics(namespace="Peeklock"), tracer=Tracer())

handler = sqs.bind(charge, observer=observer)
receipts_handler = sqs.bind(write_receipts, observer=observer)
