"""Write receipts, many at a time."""

from collections.abc import Mapping

from handlers.orders.charge import Receipt
from handlers.orders.queue import RECEIPTS
from peeklock import Batch, consumer

ledger: dict[str, str] = {}


@consumer(RECEIPTS, key="order_id")
def write_receipts(receipts: Batch[Receipt]) -> Mapping[str, Exception]:
    """Write each receipt as one line; report those that are already there with another amount."""
    failed: dict[str, Exception] = {}
    for message, receipt in receipts.pairs():
        line = f"{receipt.receipt} {receipt.cents / 100:.2f} {receipt.currency} for {receipt.customer}"
        if ledger.setdefault(receipt.order_id, line) != line:
            failed[message.id] = ValueError("a different receipt is already written")
    return failed
