"""A module that cannot be loaded."""

raise RuntimeError("no configuration")
