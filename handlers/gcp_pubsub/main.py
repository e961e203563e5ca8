"""Google Pub/Sub, pushing to functions-framework: `functions-framework --source main.py --target charge_push`."""

from handlers.orders.charge import charge
from peeklock import pubsub

charge_push = pubsub.bind(charge)
