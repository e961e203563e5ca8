"""Google Pub/Sub pushing to an HTTP function."""
