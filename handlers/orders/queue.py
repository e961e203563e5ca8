"""The queues' contracts. Standard library and peeklock only: the infrastructure imports this too."""

from peeklock import Queue

ORDERS = Queue("orders", timeout=30, max_delay=900)
RECEIPTS = Queue("receipts", max_attempts=10, timeout=10, first_delay=5, max_delay=3600)
