"""Capacity, thresholds and stage, from a stack's configuration."""

from __future__ import annotations

from datetime import timedelta

import pytest

from peeklock import ConfigError
from peeklock.infra.options import (
    Capacity,
    Stage,
    Thresholds,
    check_capacity_queues,
    check_keys,
    check_variables,
    whole_seconds,
)


def test_from_configuration():
    """An option that is left out has its default."""
    assert Capacity.from_mapping({"batch": 5}) == Capacity(batch=5, parallel=1, instances=10, memory=512)
    stage = Stage.from_mapping({"protect": False, "thresholds": {"latency": 5}, "notify": {"high": "a@example.com"}})
    assert stage.thresholds == Thresholds(latency=5)
    assert (stage.protect, stage.log_days) == (False, 30)
    assert Stage.from_mapping({}).thresholds == Thresholds()


@pytest.mark.parametrize(
    ("wrong", "fix"),
    [
        (lambda: Capacity(batch=0), "batch=0: use a whole number of at least 1"),
        (lambda: Capacity(parallel=True), "parallel=True"),
        (lambda: Capacity.from_mapping({"instances": "many"}), "instances='many'"),
        (
            lambda: Capacity.from_mapping({"batches": 1}),
            "'batches' is unknown; did you mean 'batch'?",
        ),
        (
            lambda: Thresholds.from_mapping({"depth": 1}),
            "'depth' is unknown; known are age, failures, latency, length, outage, utilisation",
        ),
        (lambda: Stage(log_days=0), "log_days=0"),
        (lambda: Stage.from_mapping({"protect": "no"}), "protect='no': use true or false, without quotes"),
        (lambda: Stage(protect=1), "protect=1: use true or false"),
        (lambda: Stage.from_mapping({"thresholds": 5}), r"thresholds=5: use a mapping, such as \{length: ...\}"),
        (lambda: Capacity.from_mapping([1]), r"capacity=\[1\]: use a mapping"),
        (lambda: Stage(notify={"urgent": "x"}), "severities are high, medium and low"),
    ],
)
def test_what_is_wrong_is_named(wrong, fix):
    """With what there is."""
    with pytest.raises(ConfigError, match=fix):
        wrong()


@pytest.mark.parametrize(("seconds", "whole"), [(0, 0), (0.001, 1), (1, 1), (1.5, 2), (30, 30)])
def test_seconds_are_rounded_up(seconds, whole):
    """A lock must cover what it is for."""
    assert whole_seconds(timedelta(seconds=seconds)) == whole


def test_queues_that_would_share_their_variables():
    """Letters of another case and other signs are the same in a variable's name."""
    check_variables(["orders", "receipts", "orders"])
    check_variables([])
    with pytest.raises(ConfigError, match="queues 'my-orders' and 'my_orders' would share PEEKLOCK_MY_ORDERS_URL"):
        check_variables(["my_orders", "receipts", "my-orders"])


@pytest.mark.parametrize(
    ("configured", "fix"),
    [
        (["order"], r"capacity has queue 'order', which has no consumer in this app; did you mean 'orders'\?"),
        (["orders", "x"], "capacity has queue 'x', .* its queues are orders, receipts"),
    ],
)
def test_a_misspelt_queue_of_the_capacity(configured, fix):
    """Is refused with the nearest name, or with all of them."""
    with pytest.raises(ConfigError, match=fix):
        check_capacity_queues(configured, ["receipts", "orders"])


def test_every_queue_of_the_capacity_has_a_consumer():
    """Not every consumer has a capacity."""
    check_capacity_queues(["orders"], ["receipts", "orders"])
    check_capacity_queues([], [])
    with pytest.raises(ConfigError, match="its queues are none yet"):
        check_capacity_queues(["orders"], [])


@pytest.mark.parametrize(("key", "near"), [("stge", "stage"), ("Stage", "stage"), ("capacities", "capacity")])
def test_a_misspelt_key_of_the_configuration(key, near):
    with pytest.raises(ConfigError, match=f"configuration has '{key}', which is not read; did you mean '{near}'"):
        check_keys([key, "region"], ["stage", "capacity"])


@pytest.mark.parametrize("configured", [[], ["stage", "capacity"], ["stage", "stages"], ["bucket", "region"]])
def test_other_keys_are_the_programs_own(configured):
    """Also one that resembles a key that is set."""
    check_keys(configured, ["stage", "capacity"])
