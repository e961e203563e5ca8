"""`@consumer` and what it declares: decoding, keys, hooks and results."""
