"""Where sends go to a queue that another platform consumes, without a platform. (trials 3.3)"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import pytest

from peeklock import Queue
from peeklock.dev.cross_platform import notices, variables_across
from peeklock.dev.discovery import Discovery
from tests.support import environment


@dataclass(frozen=True)
class Runner:
    """One that runs nothing."""

    platform: str
    addresses: Mapping[str, str] = field(default_factory=dict)

    def variables(self) -> Mapping[str, str]:
        return {f"{self.platform.upper()}_CLIENT": "here", **self.addresses}


def runner(platform: str, *queues: str) -> Any:
    urls = {Queue(name).variable("URL"): f"{platform}://{name}" for name in queues}
    return Runner(platform, {**urls, **{Queue(name).variable("DEAD_LETTER"): "file" for name in queues}})


def found(queues: tuple[str, ...], **consumed: tuple[str, ...]) -> Discovery:
    described = {platform: [{"queue": name} for name in names] for platform, names in consumed.items()}
    return Discovery(described=described, queues={name: Queue(name) for name in queues}, files=frozenset())


NAMES = ("orders", "mails", "audit")
SQS, TASKS = runner("sqs", *NAMES), runner("cloudtasks", *NAMES)


def test_a_queue_of_another_platform():
    """The function gets the queue's address on the other platform and what a client needs, and nothing else of that
    platform."""
    code = found(NAMES, sqs=("orders",), cloudtasks=("mails",))
    assert variables_across([SQS, TASKS], code) == {
        "sqs": {"CLOUDTASKS_CLIENT": "here", "PEEKLOCK_MAILS_URL": "cloudtasks://mails"},
        "cloudtasks": {"SQS_CLIENT": "here", "PEEKLOCK_ORDERS_URL": "sqs://orders"},
    }
    assert list(notices([SQS, TASKS], code)) == [
        "cloudtasks: messages sent to 'orders' go to sqs, the only platform here that consumes it",
        "sqs: messages sent to 'mails' go to cloudtasks, the only platform here that consumes it",
        "no function here consumes 'audit': messages stay in the queue",
    ]


@pytest.mark.parametrize("runners", [[SQS, TASKS], [SQS]])
def test_a_queue_that_stays(runners):
    """Where its own platform consumes it, or no other runs that does."""
    code = found(("orders",), sqs=("orders",), cloudtasks=("orders",))
    assert not any(variables_across(runners, code).values())
    assert list(notices(runners, code)) == []


def test_credentials_of_the_user_stay():
    """A handler may need them for what is not emulated; the emulator takes any."""
    keys = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")
    code = found(("orders",), sqs=("orders",))
    runners: list[Any] = [Runner("sqs", {"PEEKLOCK_ORDERS_URL": "u", **dict.fromkeys(keys, "dev")}), TASKS]
    with environment(AWS_ACCESS_KEY_ID="mine", AWS_SECRET_ACCESS_KEY=None):
        sent = variables_across(runners, code)["cloudtasks"]
    assert [name for name in keys if name in sent] == ["AWS_SECRET_ACCESS_KEY"]
