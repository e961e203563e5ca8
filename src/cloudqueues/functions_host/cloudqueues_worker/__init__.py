"""Worker process: Azure Functions' own worker library, and the messages of its host.

It is imported under this name alone and imports nothing else of cloudqueues, so that an app sees what it sees on Azure.
"""
