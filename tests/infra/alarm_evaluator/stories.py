"""Stories of a queue as facts by the minute, and the alarms that ring in each."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

Facts = Mapping[str, Mapping[int, float]]
"""Values by minute, by fact. A minute without a value has no data point."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Story:
    """Story of `minutes`.

    Facts: `waiting` messages, `dead` letters in the dead-letter queue and `dead_hidden` in flight there, `dead_sent` to it,
    `dead_age` of the oldest in seconds, `settled` deliveries and `failed` ones among them, `invocations`, `errors` and
    `throttles` of the function.
    """

    minutes: int
    facts: Facts


def steady(value: float, minutes: Iterable[int]) -> dict[int, float]:
    """Return the same value for each minute."""
    return dict.fromkeys(minutes, value)


HOURS_3 = range(180)
WORKING = {"waiting": steady(0, HOURS_3), "settled": steady(20, HOURS_3), "invocations": steady(20, HOURS_3)}

STORIES: Mapping[str, Story] = {
    "quiet": Story(minutes=60, facts={}),
    "busy": Story(minutes=180, facts={**WORKING, "failed": steady(0.2, HOURS_3), "errors": steady(0, HOURS_3)}),
    "one crash an hour": Story(
        minutes=240, facts={"invocations": steady(1, range(0, 240, 60)), "errors": steady(1, range(0, 240, 60))}
    ),
    "burst": Story(
        minutes=180,
        facts={
            "waiting": {**steady(0, HOURS_3), **steady(5000, range(60, 80))},
            "settled": {**steady(1, HOURS_3), **steady(250, range(60, 80))},
            "invocations": {**steady(1, HOURS_3), **steady(250, range(60, 80))},
        },
    ),
    "empty dead letters, one of them in flight": Story(
        minutes=60, facts={"dead": steady(0, range(60)), "dead_hidden": {**steady(0, range(60)), 30: 1}}
    ),
    "an event comes back after half an hour and is lost again": Story(
        minutes=180, facts={"invocations": steady(1, range(10, 180, 31)), "errors": steady(1, range(10, 180, 31))}
    ),
    "a dead letter at 03:00 and another at 09:00": Story(
        minutes=720,
        facts={
            "dead": {**steady(0, range(180)), **steady(1, range(180, 540)), **steady(2, range(540, 720))},
            "dead_sent": {180: 1, 540: 1},
        },
    ),
    "everything fails": Story(
        minutes=120, facts={**WORKING, "failed": {**steady(0, range(60)), **steady(20, range(60, 120))}}
    ),
    "a tenth fails": Story(
        minutes=180, facts={**WORKING, "failed": {**steady(0, range(60)), **steady(2, range(60, 180))}}
    ),
    "throttled": Story(
        minutes=120, facts={**WORKING, "throttles": {**steady(0, range(60)), **steady(5, range(60, 120))}}
    ),
    "throttled for a minute": Story(minutes=120, facts={**WORKING, "throttles": {**steady(0, HOURS_3), 60: 5}}),
    "dead letters near the end of retention": Story(
        minutes=60, facts={"dead": steady(1, range(60)), "dead_age": {minute: 60 * minute for minute in range(60)}}
    ),
    "no function": Story(minutes=120, facts={"waiting": {**steady(0, range(10)), **steady(3, range(10, 120))}}),
}
"""Stories by name. `dead_age` is added to the end of the retention, less a day and half an hour."""
