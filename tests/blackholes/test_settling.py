"""Platforms that do not answer when they are told how an event ended: what was done is reported all the same."""

from __future__ import annotations

from contextlib import ExitStack
from typing import Any

import pytest

from peeklock.binding.settling import CALL_SECONDS
from tests.blackholes.holes import Hole, Kind
from tests.blackholes.running import Case, run_all
from tests.blackholes.worlds import AWS, QUEUES, STORES, addresses, late

DEAD = {"PEEKLOCK_ORDERS_DEAD_LETTER": "memory://dead", "PEEKLOCK_ORDERS_URL": "memory://orders"}

TEN = ["fails", *["succeeds"] * 9]

FORMS = ("sync", "async")


def test_visibilities_that_are_not_changed_hold_back_no_success():
    """Nine of ten are reported as done, whatever the call for the tenth does. (trials 1.15)"""
    door = QUEUES["sqs"]
    with ExitStack() as stack:
        cases = {
            kind: Case(
                scene="on_sqs",
                environ={**AWS, **DEAD, "AWS_ENDPOINT_URL_SQS": f"http{'s' * tls}://{address}"},
                arguments={"whats": TEN},
            )
            for kind, (address, tls) in addresses(door, stack).items()
        }
        reports = run_all(cases)
    assert late(reports) == {}
    for kind, report in reports.items():
        assert (report["ran"], report["answer"]) == (TEN, ["fails-0"]), kind
        assert "peeklock.visibility_failed" in report["logged"], kind


def test_a_call_that_is_not_answered_leaves_time_for_the_next():
    """Thirty that come back are three calls; also with much time left, none is waited for longer than a service that
    works would take. (trials 1.15)"""
    thirty = {"whats": ["fails"] * 30, "silent": True}
    reports = run_all(
        {
            "little time": Case(scene="on_sqs", environ=DEAD, arguments=thirty),
            "much time": Case(scene="on_sqs", environ=DEAD, arguments={**thirty, "limit": 60.0}),
        }
    )
    for time, report in reports.items():
        assert len(report["answer"]) == 30, time
        assert report["calls"] == ["handle-0", "handle-10", "handle-20"], time
    assert late({"little time": reports["little time"]}) == {}
    assert reports["much time"]["seconds"] < 2 * CALL_SECONDS


@pytest.mark.parametrize("form", FORMS)
def test_message_actions_that_are_not_answered_hold_back_no_other(form):
    """The queue of copies refuses, so that what fails is abandoned. (trials 1.15)"""
    whats = ["succeeds", "fails", "fails", "fatal"]
    verbs = ("complete", "abandon", "deadletter")
    environ = {**DEAD, "PEEKLOCK_ORDERS_URL": "file:///dev/null/orders"}
    reports = run_all(
        {
            verb: Case(scene="on_servicebus", arguments={"whats": whats, "form": form, "verb": verb}, environ=environ)
            for verb in verbs
        }
    )
    assert late(reports) == {}
    calls = {verb: {name: report["calls"].count(name) for name in verbs} for verb, report in reports.items()}
    assert calls["complete"] == calls["abandon"] == {"complete": 1, "abandon": 2, "deadletter": 1}
    assert calls["deadletter"] == {"complete": 1, "abandon": 3, "deadletter": 1}


@pytest.mark.parametrize("form", FORMS)
def test_a_batch_without_actions_comes_back_within_its_lock(form):
    """Although its dead letter hangs, and a message that comes back would be held for 20 seconds. (trials 1.15)"""
    door = QUEUES["servicebus"]
    with Hole(Kind.SILENT, door.protocol) as hole:
        environ = {**door.environ(hole.address, False), "PEEKLOCK_ORDERS_DEAD_LETTER": door.url(hole.address, False)}
        environ["PEEKLOCK_ORDERS_URL"] = environ["PEEKLOCK_ORDERS_DEAD_LETTER"].replace("/dead", "/orders")
        case = Case(
            scene="on_servicebus", environ=environ, arguments={"whats": ["succeeds", "fatal"] * 2, "form": form}
        )
        reports = run_all({"silent": case})
    assert late(reports) == {}
    assert reports["silent"]["answer"] == "Redeliver"
    assert sorted(reports["silent"]["reasons"].values()).count("done") == 2


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize(("platform", "what"), [("cloudtasks", "fatal"), ("cloudtasks", "fails"), ("pubsub", "fatal")])
def test_a_push_is_answered_although_its_dead_letter_or_copy_hangs(platform, what, form):
    """With "try again". (trials 1.15)"""
    reports = _pushes(what, platform, form, {"unauthenticated": True})
    assert late(reports) == {}
    assert [report["answer"] for report in reports.values()] == [500] * len(reports)


def _pushes(what: str, platform: str, form: str, access: dict[str, Any]) -> dict[str, dict[str, Any]]:
    door = QUEUES[platform]
    with ExitStack() as stack:
        return run_all(
            {
                kind: Case(
                    scene="on_push",
                    environ={
                        **door.environ(address, tls),
                        "PEEKLOCK_ORDERS_DEAD_LETTER": door.url(address, tls),
                        "PEEKLOCK_ORDERS_URL": door.url(address, tls).replace("/dead", "/orders"),
                    },
                    arguments={"what": what, "platform": platform, "form": form, "access": access},
                )
                for kind, (address, tls) in addresses(door, stack).items()
            }
        )


@pytest.mark.parametrize("form", FORMS)
def test_a_push_is_answered_although_no_certificate_comes(form):
    """With "try again", and without a run. (trials 1.15)"""
    with ExitStack() as stack:
        cases = {}
        for kind, (address, tls) in addresses(STORES["dynamodb"], stack).items():
            plain = not tls and address.startswith("127.0.0.1")  # elsewhere only https:// is trusted
            url = f"http{'' if plain else 's'}://{address}/certs"
            access = {"audience": "https://orders", "service_account": "caller@demo", "certs_url": url}
            arguments = {"what": "succeeds", "platform": "cloudtasks", "form": form, "access": access}
            cases[kind] = Case(scene="on_push", environ=DEAD, arguments=arguments)
        reports = run_all(cases)
    assert late(reports) == {}
    for kind, report in reports.items():
        assert (report["ran"], report["answer"]) == ([], 500), kind
