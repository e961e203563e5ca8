"""Queues of SQS and their policies, applied to moto.

moto (5.2.5) accepts a redrive-allow policy without keeping it, so its value is taken from the engine's state. And it
forgets a queue's policy whenever another attribute is set, so the policy is set again each time.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from typing import Any

from cloudqueues.pulumi.aws_api import Clients, none_if_missing
from cloudqueues.pulumi.resources import ResourceHandler, Values

ATTRIBUTES = {
    "contentBasedDeduplication": "ContentBasedDeduplication",
    "deduplicationScope": "DeduplicationScope",
    "delaySeconds": "DelaySeconds",
    "fifoQueue": "FifoQueue",
    "fifoThroughputLimit": "FifoThroughputLimit",
    "kmsDataKeyReusePeriodSeconds": "KmsDataKeyReusePeriodSeconds",
    "kmsMasterKeyId": "KmsMasterKeyId",
    "maxMessageSize": "MaximumMessageSize",
    "messageRetentionSeconds": "MessageRetentionPeriod",
    "policy": "Policy",
    "receiveWaitTimeSeconds": "ReceiveMessageWaitTimeSeconds",
    "redriveAllowPolicy": "RedriveAllowPolicy",
    "redrivePolicy": "RedrivePolicy",
    "sqsManagedSseEnabled": "SqsManagedSseEnabled",
    "visibilityTimeoutSeconds": "VisibilityTimeout",
}
"""Attributes of a queue. https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_SetQueueAttributes.html"""

_FLAGS = {"contentBasedDeduplication", "fifoQueue", "sqsManagedSseEnabled"}
_NUMBERS = {name for name in ATTRIBUTES if name.endswith("Seconds") or name == "maxMessageSize"}
_DEFAULTS = {
    "VisibilityTimeout": "30",
    "MessageRetentionPeriod": "345600",
    "DelaySeconds": "0",
    "MaximumMessageSize": "1048576",
}
_DEFAULTS |= {
    "ReceiveMessageWaitTimeSeconds": "0",
    "KmsDataKeyReusePeriodSeconds": "300",
    "SqsManagedSseEnabled": "true",
}


def handlers(aws: Clients) -> dict[str, ResourceHandler]:
    return {
        "aws:sqs/queue:Queue": ResourceHandler(
            create=lambda inputs: _create(aws["sqs"], inputs),
            read=lambda id_, _: _read(aws["sqs"], id_),
            update=lambda id_, olds, news: _update(aws["sqs"], id_, olds, news),
            delete=lambda id_, _: none_if_missing(aws["sqs"].delete_queue, QueueUrl=id_),
            replaces=frozenset({"name", "namePrefix", "fifoQueue"}),
        ),
        "aws:sqs/redrivePolicy:RedrivePolicy": _attribute(aws, "redrivePolicy"),
        "aws:sqs/redriveAllowPolicy:RedriveAllowPolicy": _attribute(aws, "redriveAllowPolicy", kept=False),
        "aws:sqs/queuePolicy:QueuePolicy": _attribute(aws, "policy"),
    }


def functions(aws: Clients) -> dict[str, Callable[[Values], Values]]:
    return {"aws:sqs/getQueue:getQueue": lambda arguments: _look_up(aws["sqs"], arguments["name"])}


def _text(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _value(name: str, text: str) -> Any:
    if name in _FLAGS:
        return text == "true"
    return int(text) if name in _NUMBERS else text


_setting = threading.Lock()


def _set(sqs: Any, url: str, changed: Mapping[str, str]) -> None:
    """Set attributes, one call at a time: several resources are attributes of the same queue."""
    with _setting:
        kept = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["Policy"]).get("Attributes", {})
        sqs.set_queue_attributes(QueueUrl=url, Attributes={**kept, **changed})


def _create(sqs: Any, inputs: Values) -> tuple[str, Values]:
    attributes = {theirs: _text(inputs[ours]) for ours, theirs in ATTRIBUTES.items() if ours in inputs}
    tags = {key: str(value) for key, value in (inputs.get("tags") or {}).items()}
    url = sqs.create_queue(QueueName=inputs["name"], Attributes=attributes, tags=tags)["QueueUrl"]
    return url, _read(sqs, url) or {}


def _read(sqs: Any, url: str) -> Values | None:
    answer = none_if_missing(sqs.get_queue_attributes, QueueUrl=url, AttributeNames=["All"])
    if answer is None:
        return None
    attributes = answer["Attributes"]
    values = {ours: _value(ours, attributes[theirs]) for ours, theirs in ATTRIBUTES.items() if theirs in attributes}
    tags = sqs.list_queue_tags(QueueUrl=url).get("Tags", {})
    return {
        **values,
        "tags": tags,
        "tagsAll": tags,
        "name": url.rsplit("/", 1)[1],
        "url": url,
        "arn": attributes["QueueArn"],
    }


def _update(sqs: Any, url: str, olds: Values, news: Values) -> Values:
    """Set the attributes and tags that differ. An attribute that is left out gets the service's default."""
    changed: dict[str, str] = {}
    for ours, theirs in ATTRIBUTES.items():
        if olds.get(ours) != news.get(ours) and ours != "fifoQueue":
            changed[theirs] = _text(news[ours]) if ours in news else _DEFAULTS.get(theirs, "")
    if changed:
        _set(sqs, url, changed)
    before, now = olds.get("tags") or {}, news.get("tags") or {}
    if gone := sorted(set(before) - set(now)):
        sqs.untag_queue(QueueUrl=url, TagKeys=gone)
    if now != before and now:
        sqs.tag_queue(QueueUrl=url, Tags=now)
    return {"tagsAll": now}


def _look_up(sqs: Any, name: str) -> Mapping[str, Any]:
    url = sqs.get_queue_url(QueueName=name)["QueueUrl"]
    queue = _read(sqs, url) or {}
    return {"id": url, "name": name, "url": url, "arn": queue["arn"], "tags": queue["tags"]}


def _attribute(aws: Clients, name: str, *, kept: bool = True) -> ResourceHandler:
    """Return the handler of a resource that is one attribute of a queue. `kept` is false where moto does not keep it."""

    def put(url: str, text: str) -> None:
        _set(aws["sqs"], url, {ATTRIBUTES[name]: text})

    def create(inputs: Values) -> tuple[str, Values]:
        put(inputs["queueUrl"], inputs[name])
        return inputs["queueUrl"], {}

    def read(url: str, state: Values) -> Values | None:
        queue = _read(aws["sqs"], url)
        if queue is None or (kept and name not in queue):
            return None
        return {"queueUrl": url, name: queue.get(name, state.get(name))}

    def update(url: str, _: Values, news: Values) -> Values:
        put(url, news[name])
        return {}

    def delete(url: str, _: Values) -> None:
        if kept and _read(aws["sqs"], url) is not None:
            put(url, "")

    return ResourceHandler(create=create, read=read, update=update, delete=delete, replaces=frozenset({"queueUrl"}))
