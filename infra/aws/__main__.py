"""Orders and receipts on AWS. Build the bundle first: `peeklock bundle aws`."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))  # the repository: the declarations are the code's own

from handlers.orders.queue import ORDERS, RECEIPTS
from peeklock.infra.aws import App

app = App("shop", bundle="../../build/bundle/aws.zip")
app.consumer(ORDERS, handler="handlers.aws_sqs.handler.handler", uses=[RECEIPTS])
app.consumer(RECEIPTS, handler="handlers.aws_sqs.handler.receipts_handler")
app.all()
