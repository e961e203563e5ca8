"""Entries as users write them, for `--handler`."""

from handlers.orders.charge import charge
from peeklock import sqs
from peeklock.unwrap import sns

handler = sqs.bind(charge)
unwrapping = sqs.bind(charge, unwrap=sns)
