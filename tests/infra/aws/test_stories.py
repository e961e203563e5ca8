"""Alarms as registered, over the stories, by CloudWatch's own semantics."""

from __future__ import annotations

import pytest

from peeklock.infra.settings.aws.compute import DEAD_LETTERS_RETENTION
from tests.infra.alarm_evaluator import cloudwatch
from tests.infra.alarm_evaluator.stories import STORIES
from tests.infra.running import program

EXPIRING = DEAD_LETTERS_RETENTION - 86_400 - 1800

FACTS = {
    ("ApproximateNumberOfMessagesVisible", False): "waiting",
    ("ApproximateNumberOfMessagesVisible", True): "dead",
    ("ApproximateNumberOfMessagesNotVisible", True): "dead_hidden",
    ("NumberOfMessagesSent", True): "dead_sent",
    ("ApproximateAgeOfOldestMessage", True): "dead_age",
    ("Settled", False): "settled",
    ("Failed", False): "failed",
    ("Invocations", False): "invocations",
    ("Errors", False): "errors",
    ("Throttles", False): "throttles",
}
"""Facts by metric, and by whether its queue is that of the dead letters."""

RINGS = {
    "quiet": {},
    "busy": {},
    "one crash an hour": {},
    "burst": {},
    "empty dead letters, one of them in flight": {},
    "an event comes back after half an hour and is lost again": {"errors": [42, 73, 104, 135, 166]},
    "a dead letter at 03:00 and another at 09:00": {"dead-letters": [181], "new-dead-letters": [181, 541]},
    "everything fails": {"failures": [66], "outage": [63]},
    "a tenth fails": {"failures": [68]},
    "throttled": {"throttling": [71]},
    "throttled for a minute": {},
    "dead letters near the end of retention": {"dead-letters": [1], "expiring": [32]},
    "no function": {"idle": [25]},
}
"""Minutes in which each alarm rings. The other alarms do not."""


@pytest.fixture(scope="module")
def alarms(tmp_path_factory):
    recorded = program("aws", tmp_path_factory.mktemp("staging"), "staging")
    prefix = "shop-orders-alarm-"
    registered = recorded.of("aws:cloudwatch/metricAlarm:MetricAlarm")
    return {alarm.name.removeprefix(prefix): alarm.inputs for alarm in registered if alarm.name.startswith(prefix)}


def source(facts):
    def values(metric, dimensions):
        dead = dimensions.get("QueueName", "").endswith("-dead-letters")
        series = facts.get(FACTS.get((metric, dead)), {})
        return {minute: value + EXPIRING for minute, value in series.items()} if metric.endswith("Message") else series

    return values


@pytest.mark.parametrize("story", STORIES)
def test_a_story(alarms, story):
    """Each alarm rings in its stories, in time, and in no other."""
    chosen = STORIES[story]
    rung = {name: cloudwatch.rings(inputs, source(chosen.facts), chosen.minutes) for name, inputs in alarms.items()}
    assert {name: minutes for name, minutes in rung.items() if minutes} == RINGS[story]


@pytest.mark.parametrize(
    ("points", "state"), [([None, None, 0], False), ([None, 9, 9], True), ([9, None, None, None, 9], True)]
)
def test_missing_data(points, state):
    """Earlier data of the range stands in for it; else it is not breaching."""
    inputs = {
        "metricName": "m",
        "dimensions": {},
        "statistic": "Sum",
        "period": 60,
        "threshold": 5,
        "comparisonOperator": "GreaterThanThreshold",
        "treatMissingData": "notBreaching",
        "evaluationPeriods": 3,
        "datapointsToAlarm": 2,
    }
    values = {minute: point for minute, point in enumerate(points) if point is not None}
    assert bool(cloudwatch.rings(inputs, lambda *_: values, len(points))) is state
