"""Checks of the names of entities and rules.

https://learn.microsoft.com/azure/azure-resource-manager/management/resource-name-rules#microsoftservicebus
"""

from __future__ import annotations

import re

from cloudqueues.servicebus.admin.refusals import invalid
from cloudqueues.servicebus.broker import NAME
from cloudqueues.servicebus.rules import DEFAULT, LONGEST_NAME

LONGEST_PATH = 260
"""Maximum characters of a queue's or a topic's name. Names of subscriptions and rules have at most LONGEST_NAME."""
_NAME = re.compile(r"[a-zA-Z0-9]([\w.-]*[a-zA-Z0-9])?", re.ASCII)


def check_path(name: str) -> None:
    """Raise Rejected for an invalid name of a queue or a topic."""
    _check(name, NAME, LONGEST_PATH)


def check_name(name: str) -> None:
    """Raise Rejected for an invalid name of a subscription or a rule."""
    if name != DEFAULT:
        _check(name, _NAME, LONGEST_NAME)


def _check(name: str, pattern: re.Pattern[str], longest: int) -> None:
    if not pattern.fullmatch(name):
        raise invalid(
            f"'{name}' contains character(s) that is not allowed by Service Bus. Entity segments can contain only"
            " letters, numbers, periods(.), hyphens(-), and underscores(_)."
        )
    if len(name) > longest:
        raise invalid(f"The name has {len(name)} characters; the maximum is {longest}.")
