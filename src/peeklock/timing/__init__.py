"""Durations, delays and clocks."""
