"""Alarms as registered, over the stories, by Azure Monitor's own semantics."""

from __future__ import annotations

import pytest

from tests.infra.alarm_evaluator import azure_monitor
from tests.infra.alarm_evaluator.stories import STORIES
from tests.infra.running import program

FACTS = {
    ("ActiveMessages", "orders"): "waiting",
    ("Messages", "orders"): "waiting",
    ("ActiveMessages", "orders-dead-letters"): "dead",
    ("ThrottledRequests", "orders"): "throttles",
    ("Size", "orders"): "bytes",
}
"""Facts by metric and entity."""

NO_SIGNAL = {"latency", "utilisation"}
"""Alarms whose queries the stories have no facts for."""

RINGS = {
    "quiet": {},
    "busy": {},
    "one crash an hour": {},
    "burst": {},
    "empty dead letters, one of them in flight": {},
    "an event comes back after half an hour and is lost again": {},
    "a dead letter at 03:00 and another at 09:00": {"dead-letters": [181], "new-dead-letters": [185, 545]},
    "everything fails": {"failures": [70], "outage": [65]},
    "a tenth fails": {"failures": [70]},
    "throttled": {"throttling": [65]},
    "throttled for a minute": {"throttling": [65]},
    "dead letters near the end of retention": {"dead-letters": [1]},
    "no function": {"age": [70]},
}
"""Minutes in which each alarm rings. The other alarms do not."""


@pytest.fixture(scope="module")
def alarms(tmp_path_factory):
    recorded = program("azure", tmp_path_factory.mktemp("staging"), "staging")
    prefix = "shop-orders-alarm-"
    return {
        alarm.name.removeprefix(prefix): alarm
        for alarm in recorded.registrations
        if alarm.name.startswith(prefix) and alarm.name.removeprefix(prefix) not in NO_SIGNAL
    }


def rings(alarm, story):
    if alarm.type.endswith(":MetricAlert"):
        return azure_monitor.metric_alert(
            alarm.inputs, lambda metric, entity: story.facts.get(FACTS[metric, entity], {}), story.minutes
        )
    return azure_monitor.query_rule(alarm.inputs, story.facts, story.minutes)


@pytest.mark.parametrize("story", STORIES)
def test_a_story(alarms, story):
    """Each alarm rings in its stories, in time, and in no other."""
    rung = {name: rings(alarm, STORIES[story]) for name, alarm in alarms.items()}
    assert {name: minutes for name, minutes in rung.items() if minutes} == RINGS[story]
