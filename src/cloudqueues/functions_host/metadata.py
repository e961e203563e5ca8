"""Trigger metadata of Service Bus messages, as the host's extension builds it.

The columns and their quirks are those of `ServiceBusTriggerBindingStrategy`:
https://github.com/Azure/azure-sdk-for-net/blob/main/sdk/servicebus/Microsoft.Azure.WebJobs.Extensions.ServiceBus/src/Triggers/ServiceBusTriggerBindingStrategy.cs
"""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from cloudqueues.functions_host import typed_data
from cloudqueues.functions_host.typed_data import TypedData

TRANSACTION_KEY = b"x-opt-via-partition-key"
DEAD_LETTER_SOURCE = b"x-opt-deadletter-source"

TEXTS = frozenset(
    {
        "DeadLetterSource",
        "LockToken",
        "MessageId",
        "ContentType",
        "ReplyTo",
        "To",
        "Subject",
        "Label",
        "CorrelationId",
        "SessionId",
        "ReplyToSessionId",
        "PartitionKey",
        "TransactionPartitionKey",
    }
)


@dataclass(frozen=True, slots=True, kw_only=True)
class InvocationContext:
    """Function, namespace and session lock that the metadata describe besides the messages."""

    function: str
    namespace: str
    """Host name of the Service Bus."""
    locked_until: datetime | None = None
    """End of the session's lock, where there is a session."""


def message_metadata(message: Any, invocation_context: InvocationContext) -> dict[str, TypedData]:
    """Return the metadata of a single message, without null values."""
    row = columns(message)
    values = {
        name: typed_data.text(value) if name in TEXTS else typed_data.as_json(value)
        for name, value in row.items()
        if value is not None
    }
    return {**_objects(invocation_context), **values, "sys": _system(invocation_context)}


def batch_metadata(messages: Sequence[Any], invocation_context: InvocationContext) -> dict[str, TypedData]:
    """Return the metadata of a batch: arrays, of which those of strings have no empty entries."""
    rows = [columns(message) for message in messages]
    arrays = {f"{name}Array": _array(name, [row[name] for row in rows]) for name in rows[0]}
    arrays["TransactionPartitionKeyArray"] = arrays["PartitionKeyArray"]  # a bug of the extension
    return {**_objects(invocation_context), **arrays, "sys": _system(invocation_context)}


def columns(message: Any) -> dict[str, Any]:
    """Return the values of an `azure.servicebus.ServiceBusReceivedMessage` by the extension's names."""
    expires, enqueued = _expiry(message), message.enqueued_time_utc
    annotations: dict[Any, Any] = message.raw_amqp_message.annotations or {}
    return {
        "DeliveryCount": delivery_count(message),
        "DeadLetterSource": _text(annotations.get(DEAD_LETTER_SOURCE)),
        "LockToken": str(message.lock_token),
        "ExpiresAtUtc": typed_data.moment(expires, zone=False),
        "ExpiresAt": typed_data.moment(expires, zone=True),
        "EnqueuedTimeUtc": typed_data.moment(enqueued, zone=False),
        "EnqueuedTime": typed_data.moment(enqueued, zone=True),
        "MessageId": _text(message.message_id),
        "ContentType": _text(message.content_type),
        "ReplyTo": _text(message.reply_to),
        "SequenceNumber": message.sequence_number,
        "To": _text(message.to),
        "Subject": _text(message.subject),
        "Label": _text(message.subject),
        "CorrelationId": _text(message.correlation_id),
        "ApplicationProperties": message.application_properties or {},
        "UserProperties": message.application_properties or {},
        "SessionId": _text(message.session_id),
        "ReplyToSessionId": _text(message.reply_to_session_id),
        "PartitionKey": _text(message.partition_key),
        "TransactionPartitionKey": _text(annotations.get(TRANSACTION_KEY)),
    }


def delivery_count(message: Any) -> int:
    """Return the 1-based count of .NET; the Python SDK has the header's count of earlier failures."""
    return int(message.delivery_count or 0) + 1


def _expiry(message: Any) -> datetime | None:
    """Return the time when a message expires; None where it never does."""
    live, enqueued = message.time_to_live, message.enqueued_time_utc
    if not live or enqueued is None:
        return None
    try:
        expiry: datetime = enqueued + live
    except OverflowError:
        return None
    return expiry


def _array(name: str, values: Sequence[Any]) -> TypedData:
    if name in TEXTS:
        return typed_data.texts(values)
    return typed_data.longs(values) if name == "SequenceNumber" else typed_data.as_json(values)


def _text(value: object) -> str | None:
    return None if value is None else typed_data.decoded(value)


def _objects(invocation_context: InvocationContext) -> dict[str, TypedData]:
    """Return the extension's own objects, which reach a worker as JSON of their public properties."""
    until = invocation_context.locked_until
    actions = typed_data.as_json({} if until is None else {"SessionLockedUntil": typed_data.moment(until, zone=True)})
    client = {
        "FullyQualifiedNamespace": invocation_context.namespace,
        "IsClosed": False,
        "TransportType": 0,
        "Identifier": f"{invocation_context.namespace}-{uuid.UUID(int=0)}",
    }
    names = ("MessageReceiver", "MessageSession", "MessageActions", "SessionActions")
    return {
        **dict.fromkeys(names, actions),
        "ReceiveActions": typed_data.as_json({}),
        "Client": typed_data.as_json(client),
    }


def _system(invocation_context: InvocationContext) -> TypedData:
    now = typed_data.moment(datetime.now(UTC), zone=False) + "Z"
    return typed_data.as_json({"MethodName": invocation_context.function, "UtcNow": now, "RandGuid": str(uuid.uuid4())})
