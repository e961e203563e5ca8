"""What a function's answer says of the messages of its batch.

https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-errorhandling.html#services-sqs-batchfailurereporting
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from cloudqueues.sqs_lambda.json_types import is_array, is_object


class BadResponseError(ValueError):
    """The answer says nothing that can be relied on, so the whole batch counts as failed."""


def failed_ids(answer: bytes, ids: Sequence[str]) -> set[str]:
    """The messages that the function reports as failed.

    No answer, an empty one, and no list or an empty one mean that all went well. Raises BadAnswerError for what is not
    a JSON object, for a list of anything else, and for an identifier that is missing, empty or of no message here.
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
    return {_identifier(one, ids) for one in listed or ()}


def _identifier(one: Any, ids: Sequence[str]) -> str:
    identifier = one.get("itemIdentifier") if is_object(one) else None
    if not isinstance(identifier, str) or identifier not in ids:
        raise BadResponseError("an itemIdentifier in batchItemFailures is missing, or is of no message of this batch")
    return identifier
