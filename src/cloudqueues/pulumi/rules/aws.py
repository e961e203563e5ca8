"""Rules of SQS, SNS, IAM and DynamoDB."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from cloudqueues.pulumi.rules import aws_alarms, aws_lambda
from cloudqueues.pulumi.rules.aws_lambda import name_rule
from cloudqueues.pulumi.rules.checks import (
    Rule,
    Values,
    Violations,
    absent,
    json_object,
    matches,
    only_if,
    rule,
    where,
    within,
)
from cloudqueues.quotas import aws as quotas

QUEUE = "https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_CreateQueue.html"
ATTRIBUTES = "https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_SetQueueAttributes.html"
FIFO = "https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/high-throughput-fifo.html"
DEAD_LETTERS = "https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-dead-letter-queues.html"
IAM = "https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_iam-quotas.html"
TRUST = "https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_grammar.html"


def _fifo(inputs: Values) -> bool:
    return bool(inputs.get("fifoQueue"))


def _standard(inputs: Values) -> bool:
    return not _fifo(inputs)


def _throughput(inputs: Values) -> Violations:
    if inputs.get("fifoThroughputLimit") == "perMessageGroupId" and inputs.get("deduplicationScope") != "messageGroup":
        yield "fifoThroughputLimit", inputs["fifoThroughputLimit"]


def _malformed(inputs: Values) -> Violations:
    text = inputs.get("redrivePolicy")
    policy = json_object(text)
    if text and (policy is None or not {"deadLetterTargetArn", "maxReceiveCount"} <= set(policy)):
        yield "redrivePolicy", text


def _kinds(inputs: Values) -> Violations:
    """Compare the kinds of both queues. A RedrivePolicy names its queue by URL, a Queue is named itself."""
    text = inputs.get("redrivePolicy")
    arn = str((json_object(text) or {}).get("deadLetterTargetArn", ""))
    queue = str(inputs.get("queueUrl") or inputs.get("name") or "")
    if arn.startswith("arn:") and queue and arn.endswith(".fifo") != queue.endswith(".fifo"):
        yield "redrivePolicy", text


def _receives(inputs: Values) -> Violations:
    text = inputs.get("redrivePolicy")
    count = str((json_object(text) or {}).get("maxReceiveCount", 1))
    if not (count.isascii() and count.isdigit() and 1 <= int(count) <= quotas.RECEIVES):
        yield "redrivePolicy", text


def _trust(inputs: Values) -> Violations:
    text = inputs.get("assumeRolePolicy")
    policy = json_object(text)
    if text and (policy is None or policy.get("Version", VERSIONS[0]) not in VERSIONS or not _statements(policy)):
        yield "assumeRolePolicy", text


VERSIONS = ("2012-10-17", "2008-10-17")


def _statements(policy: Values) -> bool:
    """Return whether the statements of a trust policy have all that IAM requires. A single one needs no list."""
    statements = policy.get("Statement")
    if isinstance(statements, dict):
        statements = [statements]
    return isinstance(statements, list) and all(
        isinstance(statement, dict)
        and statement.get("Effect") in {"Allow", "Deny"}
        and ("Action" in statement or "NotAction" in statement)
        and ("Principal" in statement or "NotPrincipal" in statement)
        and "Resource" not in statement
        for statement in statements
    )


def _is_document(text: Any) -> bool:
    return text == "" or isinstance(text, Mapping) or json_object(text) is not None


def _document_rule(path: str) -> Rule:
    return rule(f"{path} is a JSON object", ATTRIBUTES, where(path, _is_document))


def _mailed(inputs: Values) -> bool:
    return inputs.get("protocol") in {"email", "email-json"}


REDRIVES = (
    rule(
        "a redrive policy is a JSON object with deadLetterTargetArn and maxReceiveCount",
        DEAD_LETTERS,
        _malformed,
        "redrivePolicy",
    ),
    rule(
        "the dead-letter queue of a FIFO queue is a FIFO queue, and that of a standard queue a standard queue",
        DEAD_LETTERS,
        _kinds,
        "redrivePolicy",
        "queueUrl",
        "name",
    ),
    rule(f"maxReceiveCount is 1 to {quotas.RECEIVES:,}", DEAD_LETTERS, _receives, "redrivePolicy"),
)

RULES: Mapping[str, tuple[Rule, ...]] = {
    "sqs/queue:Queue": (
        rule(
            f"a standard queue's name has 1 to {quotas.QUEUE_NAME} letters, digits, hyphens and underscores, including what automatic naming adds",
            QUEUE,
            only_if(_standard, matches("name", rf"[A-Za-z0-9_-]{{1,{quotas.QUEUE_NAME}}}")),
            "fifoQueue",
        ),
        rule(
            f"a FIFO queue's name ends with .fifo, and has 1 to {quotas.QUEUE_NAME} characters with it, including what automatic naming adds",
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
        rule(
            f"a data key is used for {quotas.LEAST_DATA_KEY_SECONDS} to {quotas.DATA_KEY_SECONDS:,} s",
            QUEUE,
            within("kmsDataKeyReusePeriodSeconds", quotas.LEAST_DATA_KEY_SECONDS, quotas.DATA_KEY_SECONDS),
        ),
        _document_rule("policy"),
        _document_rule("redriveAllowPolicy"),
        *REDRIVES,
    ),
    "sqs/queuePolicy:QueuePolicy": (_document_rule("policy"),),
    "sqs/redriveAllowPolicy:RedriveAllowPolicy": (_document_rule("redriveAllowPolicy"),),
    "sqs/redrivePolicy:RedrivePolicy": REDRIVES,
    "iam/role:Role": (
        name_rule(quotas.ROLE_NAME, r"\w+=,.@-", IAM),
        rule(
            "MalformedPolicyDocument: a trust policy is a JSON object whose Version is 2012-10-17 or 2008-10-17, and whose"
            " statements each have Effect, Action and Principal, and no Resource",
            TRUST,
            _trust,
            "assumeRolePolicy",
        ),
    ),
    "iam/rolePolicy:RolePolicy": (
        name_rule(quotas.ROLE_POLICY_NAME, r"\w+=,.@-", IAM),
        rule("a policy is a JSON object", TRUST, where("policy", _is_document)),
    ),
    "dynamodb/table:Table": (
        name_rule(
            quotas.TABLE_NAME,
            r"\w.-",
            "https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Constraints.html",
            least=quotas.LEAST_TABLE_NAME,
        ),
    ),
    "sns/topicSubscription:TopicSubscription": (
        rule(
            "an e-mail subscription's endpoint is an e-mail address",
            "https://docs.aws.amazon.com/sns/latest/api/API_Subscribe.html",
            only_if(_mailed, matches("endpoint", r"[^@\s]+@[^@\s]+\.[^@\s.]+")),
            "protocol",
        ),
    ),
    **aws_lambda.RULES,
    **aws_alarms.RULES,
}
