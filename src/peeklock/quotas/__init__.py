"""Limits of the clouds, which change. Each is stated once, with its page and the month in which it was read.

tests/infra/test_quotas.py compares those that an SDK's model states with the installed SDK, so that an upgrade reports a change.
"""
