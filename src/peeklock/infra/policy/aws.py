"""Rules for SQS, Lambda, IAM, DynamoDB and CloudWatch."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from peeklock.infra.policy.rules import FEWEST_DELIVERIES, Found, Resource, Rule, Stack
from peeklock.quotas.aws import RECEIVES

QUEUE, REDRIVE = "aws:sqs/queue:Queue", "aws:sqs/redrivePolicy:RedrivePolicy"
ALIAS = "aws:lambda/alias:Alias"
QUEUE_POLICY, MAPPING = "aws:sqs/queuePolicy:QueuePolicy", "aws:lambda/eventSourceMapping:EventSourceMapping"
FUNCTION, LOGS = "aws:lambda/function:Function", "aws:cloudwatch/logGroup:LogGroup"
ALARM = "aws:cloudwatch/metricAlarm:MetricAlarm"
POLICIES = ("aws:iam/rolePolicy:RolePolicy", "aws:iam/policy:Policy", "aws:iam/userPolicy:UserPolicy")

ANYWHERE = frozenset(
    {
        "ec2:AssignPrivateIpAddresses",
        "ec2:CreateNetworkInterface",
        "ec2:DeleteNetworkInterface",
        "ec2:DescribeNetworkInterfaces",
        "ec2:DescribeSubnets",
        "ec2:UnassignPrivateIpAddresses",
        "xray:PutTelemetryRecords",
        "xray:PutTraceSegments",
    }
)
"""Actions whose services have no resource to name, as far as a queue's function needs them.
https://docs.aws.amazon.com/service-authorization/latest/reference/list_awsx-ray.html"""

VISIBILITY, RETENTION, TIMEOUT, TIMES = 30, 345_600, 3, 6
"""AWS's defaults in seconds, and how many time-outs of the function a message is locked for.
https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_SetQueueAttributes.html"""


def _dead_letter_queues(stack: Stack) -> set[str]:
    """Return the URNs of queues that are the dead-letter queue of another queue."""
    return {urn for resource in stack.of(QUEUE, REDRIVE) for urn in resource.refs.get("redrivePolicy", ())}


def _dead_letters(stack: Stack) -> Found:
    dead_letters = _dead_letter_queues(stack)
    for queue in stack.of(QUEUE):
        own = "redrivePolicy" in queue.props or "redrivePolicy" in queue.refs
        if queue.urn not in dead_letters and not own and not stack.made_of(queue, REDRIVE, "queueUrl"):
            yield queue, "it has no dead-letter queue: give it a redrivePolicy"


def _wildcards(stack: Stack) -> Found:
    for policy in stack.of(*POLICIES):
        for statement in _statements(policy, "Allow"):
            actions, places = _listed(statement.get("Action")), _listed(statement.get("Resource"))
            if wide := [action for action in actions if "*" in action]:
                yield policy, f"it allows {', '.join(wide)}: list the actions"
            elif "*" in places and (beyond := sorted(set(actions) - ANYWHERE)):
                yield policy, f"it allows {', '.join(beyond)} on *: name the resource"


def _statements(resource: Resource, effect: str) -> Iterator[Mapping[str, Any]]:
    """Yield the statements of a policy; a single statement may stand without a list."""
    document = resource.document("policy")
    statements = document.get("Statement", []) if isinstance(document, Mapping) else []
    for statement in statements if isinstance(statements, list) else [statements]:
        if statement.get("Effect") == effect:
            yield statement


def _listed(value: Any) -> list[str]:
    return [value] if isinstance(value, str) else list(value or ())


def _encrypted(stack: Stack) -> Found:
    for queue in stack.of(QUEUE):
        if queue.props.get("sqsManagedSseEnabled") is False and not queue.props.get("kmsMasterKeyId"):
            yield queue, "its messages are not encrypted: leave sqsManagedSseEnabled=False out, or give it a key"


def _tls(stack: Stack) -> Found:
    for queue in stack.of(QUEUE):
        policies = [*stack.made_of(queue, QUEUE_POLICY, "queueUrl"), *([queue] if "policy" in queue.props else [])]
        if not any("policy" in policy.unknown or _denies_plain(policy) for policy in policies):
            yield queue, "it answers without TLS: deny sqs:* in its policy where aws:SecureTransport is false"


def _denies_plain(policy: Resource) -> bool:
    return any(
        str(statement.get("Condition", {}).get("Bool", {}).get("aws:SecureTransport")).lower() == "false"
        for statement in _statements(policy, "Deny")
    )


def _retention(stack: Stack) -> Found:
    for logs in stack.of(LOGS):
        if not logs.props.get("retentionInDays"):
            yield logs, "it keeps logs for ever: set retentionInDays"
    for redrive in stack.of(QUEUE, REDRIVE):
        for queue, dead_letters in _pairs(stack, redrive):
            kept, longer = (
                resource.props.get("messageRetentionSeconds", RETENTION) for resource in (queue, dead_letters)
            )
            if longer <= kept:
                yield (
                    dead_letters,
                    f"it keeps dead letters for {longer:g} s and its queue messages for {kept:g} s, counted from the same moment: raise it",
                )


def _redriven(stack: Stack, redrive: Resource) -> list[Resource]:
    """Return the queue with the redrive policy: the resource itself, or the one that a separate policy resource names."""
    return (
        [redrive]
        if redrive.type == QUEUE
        else [queue for queue in stack.of(QUEUE) if redrive.is_made_of(queue, "queueUrl")]
    )


def _pairs(stack: Stack, redrive: Resource) -> Iterator[tuple[Resource, Resource]]:
    for queue in _redriven(stack, redrive):
        for dead_letters in stack.of(QUEUE):
            if redrive.is_made_of(dead_letters, "redrivePolicy") and dead_letters.urn != queue.urn:
                yield queue, dead_letters


def _alarms(stack: Stack) -> Found:
    consumed = {queue.urn for queue in stack.of(QUEUE) if stack.made_of(queue, MAPPING, "eventSourceArn")}
    urgent = consumed | _dead_letter_queues(stack)
    for queue in stack.of(QUEUE):
        if queue.urn in urgent and not any(_watches(alarm, queue) for alarm in stack.of(ALARM)):
            yield queue, "no alarm watches it: make a MetricAlarm of its length or of its oldest message"


def _watches(alarm: Resource, queue: Resource) -> bool:
    """Return whether the alarm watches the queue: by the queue's name or, while that is unknown, by the alarm's references."""
    name = queue.props.get("name")
    return alarm.mentions(name) if name and not alarm.unknown else alarm.is_made_of(queue)


def _timeouts(stack: Stack) -> Found:
    for mapping in stack.of(MAPPING):
        window = mapping.props.get("maximumBatchingWindowInSeconds") or 0
        for queue in (queue for queue in stack.of(QUEUE) if mapping.is_made_of(queue, "eventSourceArn")):
            for function in _invoked(stack, mapping):
                least = TIMES * function.props.get("timeout", TIMEOUT) + window
                if queue.props.get("visibilityTimeoutSeconds", VISIBILITY) < least:
                    yield (
                        queue,
                        f"its messages come back while {function.name} may still try: raise visibilityTimeoutSeconds to {least}",
                    )


def _invoked(stack: Stack, mapping: Resource) -> list[Resource]:
    """Return the functions that a mapping names, by themselves or by an alias."""
    names = [mapping, *(alias for alias in stack.of(ALIAS) if mapping.is_made_of(alias, "functionName"))]
    return [
        function for function in stack.of(FUNCTION) if any(name.is_made_of(function, "functionName") for name in names)
    ]


def _deliveries(stack: Stack) -> Found:
    for redrive in stack.of(QUEUE, REDRIVE):
        document = redrive.document("redrivePolicy")
        most = document.get("maxReceiveCount") if isinstance(document, Mapping) else None
        if most is not None and int(most) < FEWEST_DELIVERIES and _is_consumed(stack, redrive):
            yield redrive, f"SQS gives a message up after {most} receives: raise maxReceiveCount to {RECEIVES}"


def _is_consumed(stack: Stack, redrive: Resource) -> bool:
    """Return whether a function consumes the queue that has the redrive policy."""
    return any(stack.made_of(queue, MAPPING, "eventSourceArn") for queue in _redriven(stack, redrive))


def _partial(stack: Stack) -> Found:
    for mapping in stack.of(MAPPING):
        polls = any(mapping.is_made_of(queue, "eventSourceArn") for queue in stack.of(QUEUE))
        if polls and "ReportBatchItemFailures" not in (mapping.props.get("functionResponseTypes") or ()):
            yield (
                mapping,
                "one failure brings its whole batch back: add ReportBatchItemFailures to functionResponseTypes",
            )


SQS = "https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide"
LAMBDA = "https://docs.aws.amazon.com/lambda/latest/dg"

RULES = (
    Rule(
        name="aws-dead-letters",
        cloud="aws",
        why="without a dead-letter queue, a message that always fails comes back until it expires and is lost",
        source=f"{SQS}/sqs-dead-letter-queues.html",
        check=_dead_letters,
    ),
    Rule(
        name="aws-no-wildcards",
        cloud="aws",
        why="an identity has only the permissions of its consumer, on the resources that it uses",
        source="https://docs.aws.amazon.com/IAM/latest/UserGuide/best-practices.html#grant-least-privilege",
        check=_wildcards,
    ),
    Rule(
        name="aws-encrypted",
        cloud="aws",
        why="messages are encrypted at rest, free of charge",
        source=f"{SQS}/sqs-configure-sqs-sse-queue.html",
        check=_encrypted,
    ),
    Rule(
        name="aws-tls-only",
        cloud="aws",
        why="SQS accepts plain HTTP unless the queue's policy denies it",
        source=f"{SQS}/sqs-security-best-practices.html",
        check=_tls,
    ),
    Rule(
        name="aws-retention",
        cloud="aws",
        why="a dead letter expires by the time at which its message was first sent; logs are kept forever by default",
        source=f"{SQS}/sqs-dead-letter-queues.html",
        check=_retention,
        judges=frozenset({"retentionInDays", "messageRetentionSeconds"}),
    ),
    Rule(
        name="aws-alarms",
        cloud="aws",
        why="without alarms nobody notices a stalled queue or a dead letter",
        source=f"{SQS}/sqs-monitoring-using-cloudwatch.html",
        check=_alarms,
    ),
    Rule(
        name="aws-timeouts",
        cloud="aws",
        why="a throttled event is retried while its messages are locked, so the lock has to last six function time-outs plus the batching window",
        source=f"{LAMBDA}/services-sqs-configure.html",
        check=_timeouts,
        judges=frozenset({"visibilityTimeoutSeconds"}),
    ),
    Rule(
        name="aws-deliveries",
        cloud="aws",
        why="SQS also counts deliveries that never ran a handler, and polls, and dead-letters without a reason",
        source=f"{SQS}/sqs-dead-letter-queues.html",
        check=_deliveries,
    ),
    Rule(
        name="aws-partial-failures",
        cloud="aws",
        why="without partial failures, a batch with one failed message comes back whole",
        source=f"{LAMBDA}/services-sqs-errorhandling.html",
        check=_partial,
        judges=frozenset({"functionResponseTypes"}),
    ),
)
