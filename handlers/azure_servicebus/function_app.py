"""Azure Functions, triggered by Service Bus (Python v2 model)."""

import azure.functions as func

from handlers.orders.charge import charge
from handlers.orders.receipts import write_receipts
from peeklock import servicebus

app = func.FunctionApp()

servicebus.bind(charge, app=app)
servicebus.bind(write_receipts, app=app, batch=True)
