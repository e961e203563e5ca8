"""`send`, fitting messages into a queue's limits, and the senders for local use and tests."""
