"""`send`, outgoing messages, and the queues of a laptop and of tests."""
