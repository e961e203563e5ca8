"""Rules of AWS."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

from cloudqueues.pulumi.rules import aws_alarms
from cloudqueues.pulumi.rules.checks import (
    Rule,
    Values,
    Violations,
    absent,
    first,
    matches,
    only_if,
    rule,
    where,
    within,
)
from peeklock.quotas import aws as quotas

QUEUE = "https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_CreateQueue.html"
FIFO = "https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/high-throughput-fifo.html"
DEAD_LETTERS = "https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-dead-letter-queues.html"
FUNCTION = "https://docs.aws.amazon.com/lambda/latest/api/API_CreateFunction.html"
MAPPING = "https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-parameters.html"
SCALING = "https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-scaling.html"
IAM = "https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_iam-quotas.html"


def _fifo(inputs: Values) -> bool:
    return bool(inputs.get("fifoQueue"))


def _standard(inputs: Values) -> bool:
    return not _fifo(inputs)


def _throughput(inputs: Values) -> Violations:
    if inputs.get("fifoThroughputLimit") == "perMessageGroupId" and inputs.get("deduplicationScope") != "messageGroup":
        yield "fifoThroughputLimit", inputs["fifoThroughputLimit"]


def _dead_letters(inputs: Values) -> Violations:
    """Compare both kinds. A resource of its own names the queue by URL, the queue itself by name."""
    text = inputs.get("redrivePolicy")
    arn = str(_read(text).get("deadLetterTargetArn", ""))
    queue = str(inputs.get("queueUrl") or inputs.get("name") or "")
    if arn.startswith("arn:") and queue and arn.endswith(".fifo") != queue.endswith(".fifo"):
        yield "redrivePolicy", text


def _receives(inputs: Values) -> Violations:
    text = inputs.get("redrivePolicy")
    if not 1 <= int(_read(text).get("maxReceiveCount", 1)) <= quotas.RECEIVES:
        yield "redrivePolicy", text


def _read(text: Any) -> Values:
    """Read a document; an empty one while it is not known."""
    return json.loads(text) if isinstance(text, str) and text.startswith("{") else {}


def _from(end: str) -> Callable[[Values], bool]:
    """Return a test whether a mapping's source is a queue of SQS whose name ends so."""

    def holds(inputs: Values) -> bool:
        source = str(inputs.get("eventSourceArn", ""))
        return ":sqs:" in source and source.endswith(end)

    return holds


def _large_batch(inputs: Values) -> Violations:
    if inputs.get("batchSize", 0) > quotas.BATCH_AT_ONCE and not inputs.get("maximumBatchingWindowInSeconds"):
        yield "maximumBatchingWindowInSeconds", inputs.get("maximumBatchingWindowInSeconds", 0)


def _both_scalings(inputs: Values) -> Violations:
    if first(inputs, "scalingConfig.maximumConcurrency") and inputs.get("provisionedPollerConfig"):
        yield "provisionedPollerConfig", inputs["provisionedPollerConfig"]


def _own_capacity(inputs: Values) -> bool:
    """Return whether a function runs on Lambda Managed Instances."""
    return bool(inputs.get("capacityProviderConfig"))


def _shared_capacity(inputs: Values) -> bool:
    return not _own_capacity(inputs)


def _name_rule(most: int, letters: str, source: str, *, least: int = 1) -> Rule:
    """A name, with what the engine has added to it."""
    return Rule(
        words=f"a name has {least} to {most} characters of {letters}, what the engine adds included",
        source=source,
        check=matches("name", rf"[{letters}]{{{least},{most}}}"),
    )


REDRIVES = (
    rule(
        "dead letters of a FIFO queue go to a FIFO queue, and those of a standard one do not",
        DEAD_LETTERS,
        _dead_letters,
        "queueUrl",
        "name",
    ),
    rule(f"maxReceiveCount is 1 to {quotas.RECEIVES:,}", DEAD_LETTERS, _receives),
)

RULES: Mapping[str, tuple[Rule, ...]] = {
    "sqs/queue:Queue": (
        rule(
            f"a standard queue's name has 1 to {quotas.QUEUE_NAME} letters, digits, hyphens and underscores, what the engine adds included",
            QUEUE,
            only_if(_standard, matches("name", rf"[A-Za-z0-9_-]{{1,{quotas.QUEUE_NAME}}}")),
            "fifoQueue",
        ),
        rule(
            f"a FIFO queue's name ends with .fifo, and has 1 to {quotas.QUEUE_NAME} characters with it, what the engine adds included",
            QUEUE,
            only_if(_fifo, matches("name", rf"[A-Za-z0-9_-]{{1,{quotas.QUEUE_NAME - len('.fifo')}}}\.fifo")),
            "fifoQueue",
        ),
        rule(
            "only a FIFO queue deduplicates by content",
            QUEUE,
            only_if(_standard, where("contentBasedDeduplication", lambda value: not value)),
            "fifoQueue",
        ),
        rule(
            "only a FIFO queue has a deduplication scope",
            FIFO,
            only_if(_standard, absent("deduplicationScope")),
            "fifoQueue",
        ),
        rule(
            "only a FIFO queue has a throughput limit",
            FIFO,
            only_if(_standard, absent("fifoThroughputLimit")),
            "fifoQueue",
        ),
        rule(
            "perMessageGroupId needs the deduplication scope messageGroup",
            FIFO,
            _throughput,
            "fifoThroughputLimit",
            "deduplicationScope",
        ),
        rule(
            f"a visibility timeout is 0 to {quotas.VISIBILITY_SECONDS:,} s",
            QUEUE,
            within("visibilityTimeoutSeconds", 0, quotas.VISIBILITY_SECONDS),
        ),
        rule(
            f"messages are retained for {quotas.LEAST_RETENTION_SECONDS} to {quotas.RETENTION_SECONDS:,} s",
            QUEUE,
            within("messageRetentionSeconds", quotas.LEAST_RETENTION_SECONDS, quotas.RETENTION_SECONDS),
        ),
        rule(
            f"a poll waits 0 to {quotas.POLL_SECONDS} s",
            QUEUE,
            within("receiveWaitTimeSeconds", 0, quotas.POLL_SECONDS),
        ),
        rule(
            f"a queue delays by 0 to {quotas.DELAY_SECONDS} s", QUEUE, within("delaySeconds", 0, quotas.DELAY_SECONDS)
        ),
        rule(
            f"a message's limit is {quotas.LEAST_MESSAGE_BYTES:,} to {quotas.MESSAGE_BYTES:,} bytes",
            QUEUE,
            within("maxMessageSize", quotas.LEAST_MESSAGE_BYTES, quotas.MESSAGE_BYTES),
        ),
        *REDRIVES,
    ),
    "sqs/redrivePolicy:RedrivePolicy": REDRIVES,
    "lambda/function:Function": (
        _name_rule(quotas.FUNCTION_NAME, "A-Za-z0-9_-", FUNCTION),
        rule(
            f"a function runs for 1 to {quotas.FUNCTION_SECONDS:,} s",
            FUNCTION,
            only_if(_shared_capacity, within("timeout", 1, quotas.FUNCTION_SECONDS)),
        ),
        rule(
            f"on managed instances it runs for 1 to {quotas.MANAGED_FUNCTION_SECONDS:,} s",
            FUNCTION,
            only_if(_own_capacity, within("timeout", 1, quotas.MANAGED_FUNCTION_SECONDS)),
        ),
        rule(
            f"a function has {quotas.LEAST_FUNCTION_MEGABYTES} to {quotas.FUNCTION_MEGABYTES:,} MB",
            FUNCTION,
            only_if(_shared_capacity, within("memorySize", quotas.LEAST_FUNCTION_MEGABYTES, quotas.FUNCTION_MEGABYTES)),
        ),
    ),
    "lambda/eventSourceMapping:EventSourceMapping": (
        rule(
            "a FIFO queue has no batching window",
            MAPPING,
            only_if(_from(".fifo"), within("maximumBatchingWindowInSeconds", 0, 0)),
        ),
        rule(
            f"a FIFO queue gives up to {quotas.BATCH_OF_FIFO} messages an event",
            MAPPING,
            only_if(_from(".fifo"), within("batchSize", 1, quotas.BATCH_OF_FIFO)),
        ),
        rule(
            f"more than {quotas.BATCH_AT_ONCE} messages an event need a window of a second",
            MAPPING,
            only_if(_from(""), _large_batch),
            "batchSize",
            "maximumBatchingWindowInSeconds",
        ),
        rule(
            f"a window is 0 to {quotas.WINDOW_SECONDS} s",
            MAPPING,
            within("maximumBatchingWindowInSeconds", 0, quotas.WINDOW_SECONDS),
        ),
        rule(
            f"a maximum concurrency is {quotas.LEAST_CONCURRENCY} to {quotas.CONCURRENCY:,}",
            SCALING,
            within("scalingConfig.maximumConcurrency", quotas.LEAST_CONCURRENCY, quotas.CONCURRENCY),
        ),
        rule(
            "provisioned pollers and a maximum concurrency exclude each other",
            SCALING,
            _both_scalings,
            "scalingConfig",
            "provisionedPollerConfig",
        ),
        rule(
            f"a queue's provisioned pollers are {quotas.LEAST_POLLERS} to {quotas.MINIMUM_POLLERS} at least",
            SCALING,
            only_if(
                _from(""),
                within("provisionedPollerConfig.minimumPollers", quotas.LEAST_POLLERS, quotas.MINIMUM_POLLERS),
            ),
        ),
        rule(
            f"a queue's provisioned pollers are {quotas.LEAST_POLLERS} to {quotas.POLLERS:,} at most",
            SCALING,
            only_if(_from(""), within("provisionedPollerConfig.maximumPollers", quotas.LEAST_POLLERS, quotas.POLLERS)),
        ),
    ),
    "iam/role:Role": (_name_rule(quotas.ROLE_NAME, r"\w+=,.@-", IAM),),
    "iam/rolePolicy:RolePolicy": (_name_rule(quotas.ROLE_POLICY_NAME, r"\w+=,.@-", IAM),),
    "dynamodb/table:Table": (
        _name_rule(
            quotas.TABLE_NAME,
            r"\w.-",
            "https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Constraints.html",
            least=quotas.LEAST_TABLE_NAME,
        ),
    ),
    **aws_alarms.RULES,
}
