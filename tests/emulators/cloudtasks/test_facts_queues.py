"""Recorded: settings of a queue, their defaults and limits, and the reuse of its name."""

from __future__ import annotations

import math
from typing import Any

import pytest
from google.cloud import tasks_v2 as v2

from cloudqueues.cloudtasks import CloudTasksEmulator
from tests.emulators.cloudtasks.support import (
    CONFIGURED,
    DEFAULT_RATE,
    DEFAULT_RETRY,
    HERE,
    NO_QUEUE,
    queue_of,
    rate_of,
    refusal,
    retry_of,
)


@pytest.mark.parametrize(
    "settings", [{}, {"rate_limits": {}, "retry_config": {"max_attempts": 0, "min_backoff": {}, "max_backoff": {}}}]
)
def test_defaults(client: Any, settings: Any) -> None:
    queue = queue_of(client, **settings)
    assert (rate_of(queue), retry_of(queue)) == (DEFAULT_RATE, DEFAULT_RETRY)
    assert queue.state.name == "RUNNING"
    assert not {"http_target", "purge_time", "stackdriver_logging_config"} & {
        f.name for f, _ in v2.Queue.pb(queue).ListFields()
    }


def test_settings_are_returned(client: Any) -> None:
    queue = queue_of(client, **CONFIGURED)
    assert (rate_of(queue), retry_of(queue)) == ((10.0, 10, 5), (5, 60.0, 1.0, 10.0, 3))
    assert client.get_queue(name=queue.name) == queue


def test_unlimited_attempts(client: Any) -> None:
    assert retry_of(queue_of(client, retry_config={"max_attempts": -1}))[0] == -1


def test_back_offs_keep_their_nanoseconds(client: Any) -> None:
    back_offs = {"min_backoff": {"seconds": 1, "nanos": 234567891}, "max_backoff": {"seconds": 10, "nanos": 987654321}}
    retry = v2.Queue.pb(queue_of(client, retry_config=back_offs)).retry_config
    assert (retry.min_backoff.nanos, retry.max_backoff.nanos) == (234567891, 987654321)


@pytest.mark.parametrize(("rate", "burst"), [(0.5, 10), (54, 10), (77, 15), (333, 66), (500, 100)])
def test_burst_follows_from_the_rate(client: Any, rate: Any, burst: Any) -> None:
    assert queue_of(client, rate_limits={"max_dispatches_per_second": rate}).rate_limits.max_burst_size == burst


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        (
            {"rate_limits": {"max_dispatches_per_second": 501}},
            "RateLimits.maxDispatchesPerSecond must be less than or equal to 500.",
        ),
        ({"rate_limits": {"max_dispatches_per_second": -1}}, "RateLimits.maxDispatchesPerSecond cannot be negative."),
        (
            {"rate_limits": {"max_concurrent_dispatches": 5001}},
            "RateLimits.maxConcurrentDispatches must be less than or equal to 5000.",
        ),
        ({"rate_limits": {"max_concurrent_dispatches": -1}}, "RateLimits.maxConcurrentDispatches cannot be negative."),
        ({"retry_config": {"max_attempts": -2}}, "RetryConfig.maxAttempts must be greater or equal to -1."),
        ({"retry_config": {"max_doublings": -1}}, "RetryConfig.maxDoublings cannot be negative."),
        ({"retry_config": {"min_backoff": {"seconds": -1}}}, "RetryConfig.minBackoff cannot be negative."),
        ({"retry_config": {"min_backoff": {"nanos": -5}}}, "RetryConfig.minBackoff cannot be negative."),
        ({"retry_config": {"max_backoff": {"seconds": -1}}}, "RetryConfig.maxBackoff cannot be negative."),
        (
            {"retry_config": {"max_retry_duration": {"seconds": -1}}},
            "RetryConfig.max_retry_duration.seconds cannot be negative.",
        ),
        (
            {"retry_config": {"max_retry_duration": {"seconds": 30, "nanos": 900000000}}},
            "RetryConfig.max_retry_duration.nanos cannot be set.",
        ),
        (
            {"retry_config": {"min_backoff": {"seconds": 2}, "max_backoff": {"seconds": 1}}},
            "RetryConfig.minBackoff must be less than or equal to RetryConfig.maxBackoff.",
        ),
        ({"stackdriver_logging_config": {"sampling_ratio": 1.5}}, "sampling_ratio must be between 0.0 and 1.0."),
        ({"stackdriver_logging_config": {"sampling_ratio": -0.5}}, "sampling_ratio must be between 0.0 and 1.0."),
        ({"stackdriver_logging_config": {"sampling_ratio": math.nan}}, "sampling_ratio must be between 0.0 and 1.0."),
    ],
)
def test_settings_that_are_refused(client: Any, settings: Any, said: Any) -> None:
    assert refusal(lambda: queue_of(client, **settings)) == f"INVALID_ARGUMENT: {said}"


@pytest.mark.parametrize(("ratio", "kept"), [(0, None), (0.25, 0.25), (1, 1.0)])
def test_sampling_ratio(client: Any, ratio: Any, kept: Any) -> None:
    queue = queue_of(client, stackdriver_logging_config={"sampling_ratio": ratio})
    assert (queue.stackdriver_logging_config.sampling_ratio if "stackdriver_logging_config" in queue else None) == kept


def test_names_that_are_taken(client: Any) -> None:
    queue = queue_of(client)
    assert refusal(lambda: client.create_queue(parent=HERE, queue=queue)) == "ALREADY_EXISTS: Queue already exists"


def test_a_deleted_queue_blocks_its_name_for_three_days(emulator: CloudTasksEmulator) -> None:
    client = emulator.client()
    queue = queue_of(client)
    assert client.delete_queue(name=queue.name) is None
    existed = "FAILED_PRECONDITION: The queue cannot be created because a queue with this name existed too recently."
    assert refusal(lambda: client.create_queue(parent=HERE, queue=queue)) == existed
    assert refusal(lambda: client.update_queue(queue=queue)) == existed
    assert refusal(lambda: client.get_queue(name=queue.name)) == f"NOT_FOUND: {NO_QUEUE}"
    assert refusal(lambda: client.delete_queue(name=queue.name)) == "NOT_FOUND: Requested entity was not found."
    assert list(client.list_queues(parent=HERE)) == []
    emulator.advance(3 * 86400 - 60)
    assert refusal(lambda: client.create_queue(parent=HERE, queue=queue)) == existed
    emulator.advance(61)
    assert client.create_queue(parent=HERE, queue=queue).name == queue.name


def test_pause_and_resume_may_be_repeated(client: Any) -> None:
    name = queue_of(client).name
    states = [call(name=name).state.name for call in [client.pause_queue] * 2 + [client.resume_queue] * 2]
    assert states == ["PAUSED", "PAUSED", "RUNNING", "RUNNING"]


def test_purge_keeps_the_state_and_says_when(client: Any) -> None:
    name = queue_of(client).name
    client.pause_queue(name=name)
    assert client.purge_queue(name=name).state.name == "PAUSED"
    assert client.get_queue(name=name).purge_time.timestamp() > 0
