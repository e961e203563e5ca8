"""Observers: where settlements are told, beside the log."""
