"""Limits of the clouds, which change. Each is stated once, with its page and the month in which it was read.

The limits that an SDK's model states are compared with the installed SDK by tests/infra/test_quotas.py of the repository.
"""
