"""HTTP endpoint, headers and tokens of the platforms that push each message as a request."""
