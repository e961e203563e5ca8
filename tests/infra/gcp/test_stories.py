"""Alarms as registered, over the stories, by Cloud Monitoring's own semantics."""

from __future__ import annotations

import pytest

from peeklock.infra.settings.gcp.compute import DEAD_LETTERS_LIFE
from tests.infra.alarm_evaluator import cloud_monitoring, promql
from tests.infra.alarm_evaluator.stories import STORIES
from tests.infra.running import program

EXPIRING = DEAD_LETTERS_LIFE - 86_400 - 1800

FACTS = {
    "subscription/oldest_unacked_message_age": "dead_age",
    "num_undelivered_messages": "dead",
    "queue/depth": "waiting",
    "queue_depth": "waiting",
    "response_code!~": "errors",
    "queue_task_attempt_count": "settled",
    'response_code="429"': "throttles",
    "user_peeklock_": "failed",
}
"""Facts by a part of a filter or of a selector; the first one counts."""

RINGS = {
    "quiet": {},
    "busy": {},
    "one crash an hour": {},
    "burst": {},
    "empty dead letters, one of them in flight": {},
    "an event comes back after half an hour and is lost again": {},
    "a dead letter at 03:00 and another at 09:00": {"dead-letters": [182], "new-dead-letters": [181, 541]},
    "everything fails": {"failures": [66], "outage": [63]},
    "a tenth fails": {"failures": [68]},
    "throttled": {"throttling": [76]},
    "throttled for a minute": {},
    "dead letters near the end of retention": {"dead-letters": [2], "expiring": [33]},
    "no function": {"age": [90]},
}
"""Minutes in which each alarm rings. The other alarms do not."""


@pytest.fixture(scope="module")
def alarms(tmp_path_factory):
    recorded = program("gcp", tmp_path_factory.mktemp("staging"), "staging")
    prefix = "shop-orders-alarm-"
    registered = recorded.of("gcp:monitoring/alertPolicy:AlertPolicy")
    return {alarm.name.removeprefix(prefix): alarm.inputs for alarm in registered if alarm.name.startswith(prefix)}


def source(facts):
    def values(selector):
        fact = next((fact for part, fact in FACTS.items() if part in selector), "")
        series = facts.get(fact, {})
        return {minute: value + EXPIRING for minute, value in series.items()} if fact == "dead_age" else series

    return values


@pytest.mark.parametrize("story", STORIES)
def test_a_story(alarms, story):
    """Each alarm rings in its stories, in time, and in no other."""
    chosen = STORIES[story]
    rung = {
        name: cloud_monitoring.rings(inputs, source(chosen.facts), chosen.minutes) for name, inputs in alarms.items()
    }
    assert {name: minutes for name, minutes in rung.items() if minutes} == RINGS[story]


@pytest.mark.parametrize(
    ("query", "value"),
    [
        ("1 + 2 * 3", 7),
        ("a{} > 5", None),
        ("a{} >= 4", 4),
        ("sum(increase(a{}[180s])) / 2", 4.5),
        ("a{} - a{} offset 60s", 1),
        ("b{} or a{} unless b{}", 4),
        ("a{} and b{} > 0 or 9", 9),
    ],
)
def test_the_language(query, value):
    """Precedence, empty vectors, ranges and offsets."""
    assert promql.evaluate(query, lambda selector: {1: 2, 2: 3, 3: 4} if selector == "a{}" else {}, 4) == value
