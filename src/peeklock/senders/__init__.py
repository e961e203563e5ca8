"""Senders that are no platform: where messages and letters go on a laptop and in tests."""
