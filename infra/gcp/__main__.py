"""Orders and receipts on Google Cloud. Build the bundle first: `peeklock bundle gcp`."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))  # the repository: the declarations are the code's own

from handlers.orders.queue import ORDERS, RECEIPTS
from peeklock.infra.gcp import App

app = App("shop", bundle="../../build/bundle/gcp.zip")
app.consumer(ORDERS, handler="main.charge_http", uses=[RECEIPTS])
app.consumer(RECEIPTS, handler="main.receipts_http")
app.all()
