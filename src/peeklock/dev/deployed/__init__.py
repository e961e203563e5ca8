"""What a Pulumi program made on this machine, and its functions in the runtimes of their platforms."""
