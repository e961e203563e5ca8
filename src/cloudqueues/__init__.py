"""Emulators of cloud queues for the clouds' own clients. They listen on loopback by default, and store nothing."""
