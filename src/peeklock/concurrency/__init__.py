"""Threads, the event loop, and calls with a time limit."""
