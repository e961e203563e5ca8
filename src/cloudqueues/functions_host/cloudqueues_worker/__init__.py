"""The worker's process: the real worker library of Azure Functions, and the messages of its host.

It is imported by this name alone and imports nothing of peeklock, so that an app finds in it what it finds at Azure.
"""
