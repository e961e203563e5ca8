"""Limits of the clouds, which move. Each is here once, with its page and the month in which it was read.

tests/infra/test_quotas.py holds those that an SDK's model states to the installed SDK: where an upgrade moves one, it says so.
"""
