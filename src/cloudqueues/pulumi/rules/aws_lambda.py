"""Rules of Lambda: functions and event source mappings."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

from cloudqueues.pulumi.rules.checks import (
    Rule,
    Values,
    Violations,
    absent,
    first,
    json_object,
    matches,
    only_if,
    ordered,
    rule,
    where,
    within,
)
from cloudqueues.quotas import aws as quotas

FUNCTION = "https://docs.aws.amazon.com/lambda/latest/api/API_CreateFunction.html"
MAPPING = "https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-parameters.html"
SCALING = "https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-scaling.html"
STREAMS = "https://docs.aws.amazon.com/lambda/latest/api/API_CreateEventSourceMapping.html"
FILTERS = "https://docs.aws.amazon.com/lambda/latest/dg/invocation-eventfiltering.html"
VARIABLES = "https://docs.aws.amazon.com/lambda/latest/dg/configuration-envvars.html"

RESERVED = frozenset(
    {
        "AWS_ACCESS_KEY",
        "AWS_ACCESS_KEY_ID",
        "AWS_DEFAULT_REGION",
        "AWS_EXECUTION_ENV",
        "AWS_LAMBDA_FUNCTION_MEMORY_SIZE",
        "AWS_LAMBDA_FUNCTION_NAME",
        "AWS_LAMBDA_FUNCTION_VERSION",
        "AWS_LAMBDA_INITIALIZATION_TYPE",
        "AWS_LAMBDA_LOG_GROUP_NAME",
        "AWS_LAMBDA_LOG_STREAM_NAME",
        "AWS_LAMBDA_RUNTIME_API",
        "AWS_REGION",
        "AWS_SECRET_ACCESS_KEY",
        "AWS_SESSION_TOKEN",
        "LAMBDA_RUNTIME_DIR",
        "LAMBDA_TASK_ROOT",
        "_HANDLER",
        "_X_AMZN_TRACE_ID",
    }
)
"""Variables that Lambda sets itself. See VARIABLES."""

OF_STREAMS = (
    "bisectBatchOnFunctionError",
    "maximumRecordAgeInSeconds",
    "maximumRetryAttempts",
    "parallelizationFactor",
    "startingPosition",
    "startingPositionTimestamp",
    "tumblingWindowInSeconds",
)
"""Properties of a mapping for Kinesis, DynamoDB streams or Kafka. See STREAMS."""


def name_rule(most: int, characters: str, source: str, *, least: int = 1) -> Rule:
    """Return a rule of a physical name, with the suffix of automatic naming."""
    return Rule(
        words=f"a name has {least} to {most} characters of {characters}, including what automatic naming adds",
        source=source,
        check=matches("name", rf"[{characters}]{{{least},{most}}}"),
    )


def _variables(inputs: Values) -> Violations:
    """Yield the names of a function's variables, with their places."""
    variables = first(inputs, "environment.variables")
    for name in variables if isinstance(variables, Mapping) else ():
        yield f"environment.variables.{name}", name


def _without_code(inputs: Values) -> Violations:
    sources = ("imageUri",) if inputs.get("packageType") == "Image" else ("code", "filename", "s3Bucket")
    if not any(inputs.get(name) for name in sources):
        yield sources[0], None


def _large_environment(inputs: Values) -> Violations:
    variables = first(inputs, "environment.variables") or {}
    size = sum(len(f"{name}{value}".encode()) for name, value in variables.items())
    if size > quotas.VARIABLES_BYTES:
        yield "environment.variables", f"{size} bytes"


def _sqs(suffix: str = "") -> Callable[[Values], bool]:
    """Return a test whether a mapping's source is an SQS queue whose name has this suffix."""

    def holds(inputs: Values) -> bool:
        source = str(inputs.get("eventSourceArn", ""))
        return ":sqs:" in source and source.endswith(suffix)

    return holds


def _large_batch(inputs: Values) -> Violations:
    if inputs.get("batchSize", 0) > quotas.BATCH_AT_ONCE and not inputs.get("maximumBatchingWindowInSeconds"):
        yield "maximumBatchingWindowInSeconds", inputs.get("maximumBatchingWindowInSeconds", 0)


def _both_scalings(inputs: Values) -> Violations:
    if first(inputs, "scalingConfig.maximumConcurrency") and inputs.get("provisionedPollerConfig"):
        yield "provisionedPollerConfig", inputs["provisionedPollerConfig"]


def _many_filters(inputs: Values) -> Violations:
    filters = first(inputs, "filterCriteria.filters")
    if isinstance(filters, list) and len(filters) > quotas.FILTERS:
        yield "filterCriteria.filters", f"{len(filters)} filters"


def _own_capacity(inputs: Values) -> bool:
    """Return whether a function runs on Lambda Managed Instances."""
    return bool(inputs.get("capacityProviderConfig"))


def _shared_capacity(inputs: Values) -> bool:
    return not _own_capacity(inputs)


RULES: Mapping[str, tuple[Rule, ...]] = {
    "lambda/function:Function": (
        name_rule(quotas.FUNCTION_NAME, "A-Za-z0-9_-", FUNCTION),
        rule(
            "a function has code: one of code, s3Bucket and filename, or imageUri for a package of type Image",
            FUNCTION,
            _without_code,
            "packageType",
        ),
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
        rule(
            "Lambda reserves this name",
            VARIABLES,
            lambda inputs: ((place, name) for place, name in _variables(inputs) if name in RESERVED),
        ),
        rule(
            "a variable's name begins with a letter and has two or more letters, digits and underscores",
            VARIABLES,
            lambda inputs: (
                (place, name)
                for place, name in _variables(inputs)
                if not re.fullmatch(r"[a-zA-Z]([a-zA-Z0-9_])+", name)
            ),
        ),
        rule(
            f"a function's variables have up to {quotas.VARIABLES_BYTES:,} bytes together",
            VARIABLES,
            _large_environment,
            "environment",
        ),
    ),
    "lambda/eventSourceMapping:EventSourceMapping": (
        rule(
            "a FIFO queue has no batching window",
            MAPPING,
            only_if(_sqs(".fifo"), within("maximumBatchingWindowInSeconds", 0, 0)),
        ),
        rule(
            f"a FIFO queue gives up to {quotas.BATCH_OF_FIFO} messages an event",
            MAPPING,
            only_if(_sqs(".fifo"), within("batchSize", 1, quotas.BATCH_OF_FIFO)),
        ),
        rule(
            f"more than {quotas.BATCH_AT_ONCE} messages an event need a window of a second",
            MAPPING,
            only_if(_sqs(), _large_batch),
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
                _sqs(),
                within("provisionedPollerConfig.minimumPollers", quotas.LEAST_POLLERS, quotas.MINIMUM_POLLERS),
            ),
        ),
        rule(
            f"a queue's provisioned pollers are {quotas.LEAST_POLLERS} to {quotas.POLLERS:,} at most",
            SCALING,
            only_if(_sqs(), within("provisionedPollerConfig.maximumPollers", quotas.LEAST_POLLERS, quotas.POLLERS)),
        ),
        rule(
            f"a queue gives 1 to {quotas.BATCH:,} messages an event",
            MAPPING,
            only_if(_sqs(), within("batchSize", 1, quotas.BATCH)),
            "eventSourceArn",
        ),
        rule(
            "no more pollers at least than at most",
            SCALING,
            ordered("provisionedPollerConfig", "minimumPollers", "maximumPollers"),
            "provisionedPollerConfig",
        ),
        *(
            rule(f"{name} is for streams, and not for SQS", STREAMS, only_if(_sqs(), absent(name)), "eventSourceArn")
            for name in OF_STREAMS
        ),
        rule(f"a mapping has up to {quotas.FILTERS} filters", FILTERS, _many_filters),
        rule(
            f"a filter's pattern is a JSON object of up to {quotas.FILTER_CHARACTERS:,} characters",
            FILTERS,
            where(
                "filterCriteria.filters.pattern",
                lambda text: json_object(text) is not None and len(text) <= quotas.FILTER_CHARACTERS,
            ),
        ),
    ),
}
