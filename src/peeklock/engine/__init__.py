"""Processing of one event, from its messages to their outcomes."""
