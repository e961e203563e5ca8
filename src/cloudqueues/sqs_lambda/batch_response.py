"""Partial batch responses: the messages of a batch that a function reports as failed.

https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-errorhandling.html#services-sqs-batchfailurereporting
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from cloudqueues.sqs_lambda.json_types import is_array, is_object


class BadResponseError(ValueError):
    """Raised for a malformed response, for which the whole batch counts as failed."""


def failed_ids(answer: bytes, ids: Sequence[str]) -> set[str]:
    """Return the ids of the messages that the function reports as failed.

    An empty response, and a missing or empty list, mean that all succeeded. Raises BadResponseError for a response that is
    not a JSON object, for a malformed list, and for an identifier that is missing, empty or not of this batch.
    """
    try:
        value = json.loads(answer) if answer.strip() else None
    except (ValueError, RecursionError) as exc:
        raise BadResponseError(f"the answer is not JSON: {exc}") from exc
    if value is None:
        return set()
    if not is_object(value):
        raise BadResponseError(f"the answer is not an object but of type {type(value).__name__}")
    listed = value.get("batchItemFailures")
    if listed is not None and not is_array(listed):
        raise BadResponseError("batchItemFailures is not a list")
    return {_identifier(entry, ids) for entry in listed or ()}


def _identifier(entry: Any, ids: Sequence[str]) -> str:
    identifier = entry.get("itemIdentifier") if is_object(entry) else None
    if not isinstance(identifier, str) or identifier not in ids:
        raise BadResponseError("an itemIdentifier in batchItemFailures is missing, or is of no message of this batch")
    return identifier
