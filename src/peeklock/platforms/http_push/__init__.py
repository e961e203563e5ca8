"""What platforms share that push each message as an HTTP request."""
