"""Google Cloud Tasks calling an HTTP function."""
