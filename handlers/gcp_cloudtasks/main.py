"""Google Cloud Tasks, pushing to functions-framework: `functions-framework --source main.py --target charge_http`."""

from handlers.orders.charge import charge
from handlers.orders.receipts import write_receipts
from peeklock import cloudtasks

charge_http = cloudtasks.bind(charge)
receipts_http = cloudtasks.bind(write_receipts)
