"""The `@consumer` decorator and its options: decoding, keys, hooks and results."""
