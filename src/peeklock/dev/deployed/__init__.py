"""Applying a Pulumi program on this machine, and running its functions in the runtimes of their platforms."""
