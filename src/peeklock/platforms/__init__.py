"""Platforms, one package each. None imports another."""
