"""The real Pulumi engine on this machine, with stand-ins for its language host and for the providers of three clouds.

Never part of a function's bundle. No cloud can be reached from it.
"""
