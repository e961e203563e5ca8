"""`peeklock bundle`: what a function runs, and nothing else, the same byte for byte each time."""
