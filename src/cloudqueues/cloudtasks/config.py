"""Settings of a queue: checks, defaults and updates."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

from cloudqueues.cloudtasks import dispatch_policy as limits
from cloudqueues.cloudtasks import targets
from cloudqueues.cloudtasks.dispatch_policy import RetryPolicy
from cloudqueues.cloudtasks.errors import invalid
from cloudqueues.cloudtasks.sdk import kind, seconds_of

_OUTPUT_ONLY = ("name", "state", "purge_time", "rate_limits.max_burst_size")
_ITEMS = "http_target.header_overrides."  # a list is changed as a whole
_SETTINGS = (
    "app_engine_routing_override",
    "http_target",
    "rate_limits",
    "retry_config",
    "stackdriver_logging_config",
)


def check(queue: Any) -> None:
    """Raise Refused for a setting that the service refuses."""
    _check_rate(queue.rate_limits)
    check_retry(queue.retry_config)
    ratio = queue.stackdriver_logging_config.sampling_ratio
    if math.isnan(ratio) or not 0 <= ratio <= 1:
        raise invalid("sampling_ratio must be between 0.0 and 1.0.")
    if queue.HasField("http_target"):
        targets.check(queue.http_target)


def _check_rate(rate: Any) -> None:
    for name, value, most in (
        ("maxDispatchesPerSecond", rate.max_dispatches_per_second, int(limits.MAX_RATE)),
        ("maxConcurrentDispatches", rate.max_concurrent_dispatches, limits.MAX_CONCURRENT),
    ):
        if value < 0:
            raise invalid(f"RateLimits.{name} cannot be negative.")
        if value > most:
            raise invalid(f"RateLimits.{name} must be less than or equal to {most}.")


def check_retry(retry: Any) -> None:
    """Raise Refused for invalid retry settings of a queue or a task."""
    if retry.max_attempts < limits.UNLIMITED:
        raise invalid("RetryConfig.maxAttempts must be greater or equal to -1.")
    if retry.max_doublings < 0:
        raise invalid("RetryConfig.maxDoublings cannot be negative.")
    if seconds_of(retry.min_backoff) < 0:
        raise invalid("RetryConfig.minBackoff cannot be negative.")
    if seconds_of(retry.max_backoff) < 0:
        raise invalid("RetryConfig.maxBackoff cannot be negative.")
    if retry.max_retry_duration.seconds < 0:
        raise invalid("RetryConfig.max_retry_duration.seconds cannot be negative.")
    if retry.max_retry_duration.nanos:
        raise invalid("RetryConfig.max_retry_duration.nanos cannot be set.")


def fill(queue: Any) -> None:
    """Fill unset numbers with the service's defaults. Raises Refused when they contradict each other."""
    rate = queue.rate_limits
    rate.max_dispatches_per_second = rate.max_dispatches_per_second or limits.MAX_RATE
    rate.max_concurrent_dispatches = rate.max_concurrent_dispatches or limits.DEFAULT_CONCURRENT
    rate.max_burst_size = limits.burst_of(rate.max_dispatches_per_second)
    fill_retry(queue.retry_config)
    if not queue.stackdriver_logging_config.sampling_ratio:
        queue.ClearField("stackdriver_logging_config")
    if queue.HasField("http_target"):
        targets.tidy(queue.http_target)


def fill_retry(retry: Any) -> None:
    """Fill unset retry settings, as `fill` does."""
    retry.max_attempts = retry.max_attempts or limits.DEFAULT_ATTEMPTS
    retry.max_doublings = retry.max_doublings or limits.DEFAULT_DOUBLINGS
    if not seconds_of(retry.min_backoff):
        retry.min_backoff.FromMilliseconds(int(limits.DEFAULT_MIN_BACKOFF * 1000))
    if not seconds_of(retry.max_backoff):
        retry.max_backoff.FromSeconds(int(limits.DEFAULT_MAX_BACKOFF))
    if not seconds_of(retry.max_retry_duration):
        retry.ClearField("max_retry_duration")
    if seconds_of(retry.min_backoff) > seconds_of(retry.max_backoff):
        raise invalid("RetryConfig.minBackoff must be less than or equal to RetryConfig.maxBackoff.")


def retry_of(message: Any) -> RetryPolicy:
    """Return the retry policy of a retry_config that was filled."""
    return RetryPolicy(
        max_attempts=message.max_attempts,
        max_duration=seconds_of(message.max_retry_duration),
        min_backoff=seconds_of(message.min_backoff),
        max_backoff=seconds_of(message.max_backoff),
        max_doublings=message.max_doublings,
    )


def paths_of(request: Any) -> list[str]:
    """Return the fields that an update changes; all settings where it has no mask. Raises Refused for an unknown field."""
    if not request.HasField("update_mask"):
        return list(_SETTINGS)
    for path in request.update_mask.paths:
        if not _is_field(path):
            raise invalid(f"Invalid mask: {path}")
    return [path for path in request.update_mask.paths if path not in _OUTPUT_ONLY]


def _is_field(path: str) -> bool:
    if path.startswith(_ITEMS):
        return False
    descriptor = kind("Queue").DESCRIPTOR
    for name in path.split("."):
        if descriptor is None or name not in descriptor.fields_by_name:
            return False
        descriptor = descriptor.fields_by_name[name].message_type
    return True


def apply(queue: Any, update: Any, paths: list[str]) -> None:
    """Copy these fields. Raises Refused when the result has a target that the service refuses."""
    for path in paths:
        *outer, name = path.split(".")
        _copy(*_descend(queue, update, iter(outer)), name)
    fill(queue)


def _descend(queue: Any, update: Any, outer: Iterator[str]) -> tuple[Any, Any]:
    for name in outer:
        queue, update = getattr(queue, name), getattr(update, name)
        queue.SetInParent()
    return queue, update


def _copy(queue: Any, update: Any, name: str) -> None:
    """Copy a field by merging: that distinguishes an unset field from one that is set to its default."""
    part = type(update)()
    part.CopyFrom(update)
    for other in part.DESCRIPTOR.fields_by_name:
        if other != name:
            part.ClearField(other)
    queue.ClearField(name)
    queue.MergeFrom(part)
