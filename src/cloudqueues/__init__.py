"""Local stand-ins that the real SDK clients talk to. They bind loopback only unless told otherwise, and keep nothing."""
