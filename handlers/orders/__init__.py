"""The business: orders are charged and receipts are written. No cloud in it."""
