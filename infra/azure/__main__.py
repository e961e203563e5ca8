"""Orders and receipts on Azure. Build the bundle first: `peeklock bundle azure`."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))  # the repository: the declarations are the code's own

from handlers.orders.queue import ORDERS, RECEIPTS
from peeklock.infra.azure import App

app = App("shop", bundle="../../build/bundle/azure.zip")
app.consumer(ORDERS, handler="handlers.orders.charge.charge", uses=[RECEIPTS])
app.consumer(RECEIPTS, handler="handlers.orders.receipts.write_receipts")
app.all()
