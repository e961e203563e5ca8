"""The platforms, one package each. None imports another."""
