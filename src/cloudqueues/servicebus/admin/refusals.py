"""Refusals of requests, with the service's statuses and sub-codes.

https://learn.microsoft.com/azure/service-bus-messaging/service-bus-resource-manager-exceptions
"""

from __future__ import annotations

from http import HTTPStatus

MORE = "To know more visit https://aka.ms/sbResourceMgrExceptions."
"""Last sentence of the service's texts that have a sub-code."""


class Rejected(Exception):
    """Request that is refused and has changed nothing. `phrase` replaces the standard phrase of the status line."""

    def __init__(self, status: HTTPStatus, text: str, phrase: str = "") -> None:
        super().__init__(text)
        self.status = status
        self.text = text
        self.phrase = phrase or status.phrase


def invalid(text: str) -> Rejected:
    """Return the refusal of an invalid name, value or body."""
    return _coded(HTTPStatus.BAD_REQUEST, 40000, text)


def bad_format(name: str) -> Rejected:
    """Return the refusal of a forwarding destination that is not an address. It has a code of its own and no sub-code."""
    text = f"BR0012The specified value is in an invalid format.\nParameter name: {name}."
    return Rejected(HTTPStatus.BAD_REQUEST, text)


def no_destination() -> Rejected:
    """Return the refusal of an entity whose forwarding destination does not exist."""
    return _coded(HTTPStatus.BAD_REQUEST, 40400, "The auto forwarding destination entity does not exist.")


def taken() -> Rejected:
    """Return the refusal of a second queue or topic with the same name."""
    text = "Conflict. You're requesting an operation that isn't allowed in the resource's current state."
    return _coded(HTTPStatus.CONFLICT, 40900, text)


def exists(path: str) -> Rejected:
    """Return the refusal of a second subscription or rule with the same name."""
    return Rejected(HTTPStatus.CONFLICT, f"The messaging entity '{path}' already exists.")


def missing(path: str) -> Rejected:
    return Rejected(HTTPStatus.NOT_FOUND, f"Entity '{path}' was not found.")


def _coded(status: HTTPStatus, code: int, text: str) -> Rejected:
    return Rejected(status, f"SubCode={code}. {text} {MORE}")
