"""Logs and metrics of each settlement."""
