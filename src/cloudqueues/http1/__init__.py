"""HTTP/1.1: messages on streams, and the server that all emulators share."""
