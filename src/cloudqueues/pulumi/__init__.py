"""The real Pulumi engine on this machine: stand-ins for its language host and for the providers of three clouds.

Never in a function's bundle, and never in reach of a cloud.
"""
