"""One event, from its messages to their outcomes."""
