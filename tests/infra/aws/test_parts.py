"""Policies, alarms, environment and dashboard, as data."""

from __future__ import annotations

import json
from types import SimpleNamespace

import pytest

from handlers.orders.queue import ORDERS
from peeklock import ConfigError, Queue
from peeklock.infra.aws import dashboard, identity, shared
from peeklock.infra.aws.alarms import Names, alarms
from peeklock.infra.aws.environment import check_names, dashboard_link, environment, links
from peeklock.infra.aws.queues import check_visibility
from peeklock.infra.options import Capacity, Thresholds
from peeklock.infra.settings.aws import compute

SETTINGS = compute(ORDERS, Capacity(instances=50))
NAMES = Names(app="shop", queue="q-1", dead_letters="l-1", function="f-1")
KEY = "arn:aws:kms:eu-west-1:1:key/k"


def arns(**more):
    return identity.ConsumerArns(**{"queue": "Q", "dead_letters": "L", "table": "T", "logs": "G", **more})


@pytest.mark.parametrize(("size", "uploaded"), [(52_428_800, False), (52_428_801, True)])
def test_a_bundle_over_50_mb_goes_to_a_bucket(tmp_path, monkeypatch, size, uploaded):
    bundle = tmp_path / "bundle.zip"
    with bundle.open("wb") as file:
        file.truncate(size)
    stored = SimpleNamespace(bucket="b", key="k", version_id="v")
    monkeypatch.setattr(shared, "_uploaded", lambda *_: stored)
    assert ("s3_bucket" in shared._code(None, "shop", {}, bundle, None)) is uploaded


@pytest.mark.parametrize(
    ("more", "granted"),
    [
        ({}, {"Consume": "Q", "Send": "L", "Remember": "T", "Log": "G:*", "Trace": "*"}),
        (
            {"sends": ("R", "S", "R")},
            {"Consume": "Q", "Send": ["L", "R", "S"], "Remember": "T", "Log": "G:*", "Trace": "*"},
        ),
        ({"key": KEY}, {"Consume": "Q", "Send": "L", "Remember": "T", "Log": "G:*", "Trace": "*", "Key": KEY}),
        ({"network": True}, {"Consume": "Q", "Send": "L", "Remember": "T", "Log": "G:*", "Trace": "*", "Network": "*"}),
    ],
)
def test_a_consumer_may_what_it_does(more, granted):
    """Each on one thing, or on the queues that it sends to."""
    policy = json.loads(identity.document(identity.grants(arns(**more))))
    assert {statement["Sid"]: statement["Resource"] for statement in policy["Statement"]} == granted
    assert {statement["Effect"] for statement in policy["Statement"]} == {"Allow"}


def test_no_wildcard_but_the_listed_ones():
    """X-Ray and network interfaces have no resource to name; no action is a pattern."""
    for grant in identity.grants(arns(sends=("R",), key=KEY, network=True)):
        assert not any("*" in action for action in grant.actions)
        assert ("*" in grant.on) == (set(grant.actions) <= identity.ANYWHERE)


def test_a_producer_may_send():
    """And encrypt, where the queue has a key."""
    assert [grant.actions for grant in identity.send_grants("Q")] == [("sqs:SendMessage",)]
    assert [grant.on for grant in identity.send_grants("Q", KEY)] == [("Q",), (KEY,)]


def test_a_person_may_redrive():
    """From the dead letters to the queue."""
    take, put, *none = identity.redrive_grants("Q", "L")
    assert (take.on, put.on, none) == (("L",), ("Q",), [])
    assert {"sqs:StartMessageMoveTask", "sqs:ReceiveMessage", "sqs:DeleteMessage"} <= set(take.actions)
    assert identity.redrive_grants("Q", "L", KEY)[2].on == (KEY,)


def test_the_documents_of_queues():
    """Read as SQS reads them."""
    (only,) = json.loads(identity.queue_policy("Q"))["Statement"]
    assert (only["Effect"], only["Action"], only["Resource"]) == ("Deny", "sqs:*", "Q")
    assert only["Condition"] == {"Bool": {"aws:SecureTransport": "false"}}
    assert json.loads(identity.redrive("L", 7)) == {"deadLetterTargetArn": "L", "maxReceiveCount": 7}
    assert json.loads(identity.redrive_allow("Q")) == {"redrivePermission": "byQueue", "sourceQueueArns": ["Q"]}
    (assumed,) = json.loads(identity.assumed_by_lambda())["Statement"]
    assert assumed["Principal"] == {"Service": "lambda.amazonaws.com"}


@pytest.mark.parametrize(
    ("name", "severity", "expression", "threshold", "metrics", "failing", "periods"),
    [
        (
            "length",
            "high",
            "visible + notvisible + delayed",
            10_000,
            ["Visible", "NotVisible", "Delayed"],
            1,
            1,
        ),
        ("dead-letters", "high", "", 0, ["Visible"], 1, 1),
        ("new-dead-letters", "medium", "", 0, ["NumberOfMessagesSent"], 1, 3),
        ("expiring", "high", "", 13 * 86_400, ["ApproximateAgeOfOldestMessage"], 1, 1),
        (
            "idle",
            "high",
            "IF(visible > 0 AND FILL(invocations, 0) < 1, 1, 0)",
            0,
            ["Visible", "Invocations"],
            3,
            3,
        ),
        ("outage", "high", "IF(settled >= 20, 100 * failed / settled, 0)", 50, ["Settled", "Failed"], 1, 1),
        ("throttling", "medium", "", 0, ["Throttles"], 3, 3),
        ("age", "medium", "", 3600, ["ApproximateAgeOfOldestMessage"], 1, 1),
        (
            "failures",
            "medium",
            "IF(settled >= 20, 100 * failed / settled, 0)",
            5,
            ["Settled", "Failed"],
            2,
            3,
        ),
        ("latency", "medium", "", 60_000, ["LatencyMs"], 2, 3),
        ("errors", "medium", "100 * errors / invocations", 5, ["Errors", "Invocations"], 2, 9),
        ("utilisation", "low", "", 45, ["ConcurrentExecutions"], 3, 3),
    ],
)
def test_an_alarm(name, severity, expression, threshold, metrics, failing, periods):
    """Each alarm has its metrics and its threshold."""
    (alarm,) = [each for each in alarms(ORDERS, SETTINGS, Thresholds(), NAMES) if each.name == name]
    assert (alarm.severity, alarm.signal.expression, alarm.threshold) == (severity, expression, threshold)
    assert [each.name.removeprefix("ApproximateNumberOfMessages") for each in alarm.signal.metrics] == metrics
    assert (alarm.signal.failing, alarm.signal.periods) == (failing, periods)


def test_where_the_metrics_are():
    """Statistics, periods in seconds, and whole sets of dimensions."""
    metrics_by_name = {
        metric.name: metric
        for alarm in alarms(ORDERS, SETTINGS, Thresholds(), NAMES)
        for metric in alarm.signal.metrics
        if metric.dimensions.get("QueueName") != NAMES.dead_letters
    }
    age, failed, busy = (
        metrics_by_name[name] for name in ("ApproximateAgeOfOldestMessage", "Failed", "ConcurrentExecutions")
    )
    assert (age.namespace, age.statistic, age.period, age.dimensions) == (
        "AWS/SQS",
        "Maximum",
        60,
        {"QueueName": "q-1"},
    )
    assert (failed.namespace, failed.statistic, failed.period) == ("Peeklock", "Sum", 300)
    assert failed.dimensions == {"service": "shop", "queue": "orders", "platform": "sqs"}
    assert (busy.namespace, busy.statistic, busy.dimensions) == ("AWS/Lambda", "Maximum", {"FunctionName": "f-1"})
    dead_letters = [alarm for alarm in alarms(ORDERS, SETTINGS, Thresholds(), NAMES) if alarm.name == "dead-letters"]
    assert {metric.dimensions["QueueName"] for metric in dead_letters[0].signal.metrics} == {"l-1"}


def test_every_name_in_an_expression_is_a_metric():
    """And lower case, as CloudWatch wants it."""
    import re

    for alarm in alarms(ORDERS, SETTINGS, Thresholds(length=10**6), NAMES):
        used = set(re.findall(r"[a-z]\w*", alarm.signal.expression))
        assert used in (set(), {metric.id for metric in alarm.signal.metrics})
        assert len(alarm.signal.metrics) == 1 or alarm.signal.expression
        assert len({metric.period for metric in alarm.signal.metrics}) == 1


@pytest.mark.parametrize(("length", "there"), [(96_000, False), (96_001, True)])
def test_a_long_queue_has_a_seventh(length, there):
    """Where its length would tell too late that SQS gives out no more."""
    thresholds = {alarm.name: alarm.threshold for alarm in alarms(ORDERS, SETTINGS, Thresholds(length=length), NAMES)}
    assert ("inflight" in thresholds) is there
    assert thresholds.get("inflight", 96_000) == 96_000


def test_groups_that_wait_are_not_idle():
    """A `fifo` queue has no such alarm: a delayed message holds its group's visible ones back."""
    fifo = Queue("orders", fifo=True)
    names = {alarm.name for alarm in alarms(fifo, compute(fifo, Capacity()), Thresholds(), NAMES)}
    assert "idle" not in names
    assert "age" in names


def test_two_instances_can_be_busy_enough():
    """All of them are the threshold or more, whatever the share."""
    for share in (90, 100):
        all_alarms = alarms(ORDERS, compute(ORDERS, Capacity(instances=2)), Thresholds(utilisation=share), NAMES)
        (busy,) = [alarm for alarm in all_alarms if alarm.name == "utilisation"]
        assert busy.signal.or_equal
        assert busy.threshold <= 2


@pytest.mark.parametrize(
    ("thresholds", "fix"),
    [
        (Thresholds(failures=100), "use at most failures=99"),
        (Thresholds(outage=100), "use at most outage=99"),
        (Thresholds(utilisation=101), "use at most utilisation=100"),
        (Thresholds(age=604_800), "use at most age=604799"),
    ],
)
def test_an_alarm_that_could_never_ring(thresholds, fix):
    """Is refused."""
    with pytest.raises(ConfigError, match=fix):
        alarms(ORDERS, SETTINGS, thresholds, NAMES)


def test_the_environment_of_a_function():
    """All that the binding reads, and what Powertools does."""
    variables = environment(
        "shop",
        ORDERS,
        url="u",
        dead_letters="l",
        table="t",
        parallel=4,
        uses={"PEEKLOCK_RECEIPTS_URL": "r"},
        variables={"CURRENCY": "EUR"},
        secrets={"GATEWAY_KEY": "arn:aws:ssm:eu-west-1:123456789012:parameter/gateway"},
    )
    assert variables == {
        "CURRENCY": "EUR",
        "PEEKLOCK_SECRET_GATEWAY_KEY": "arn:aws:ssm:eu-west-1:123456789012:parameter/gateway",
        "PEEKLOCK_STORE": "dynamodb://t",
        "PEEKLOCK_ORDERS_URL": "u",
        "PEEKLOCK_ORDERS_DEAD_LETTER": "l",
        "PEEKLOCK_ORDERS_FINGERPRINT": ORDERS.fingerprint,
        "PEEKLOCK_ORDERS_PARALLEL": "4",
        "PEEKLOCK_RECEIPTS_URL": "r",
        "POWERTOOLS_METRICS_NAMESPACE": "Peeklock",
        "POWERTOOLS_SERVICE_NAME": "shop",
    }


def test_links():
    """The console reads the name of a log group twice."""
    addresses = links("eu-west-1", queue="https://q/1", dead_letters="https://q/2", function="f", logs="/a b")
    assert addresses["queue"].endswith("/sqs/v3/home?region=eu-west-1#/queues/https%3A%2F%2Fq%2F1")
    assert addresses["dead_letters"].endswith("#/queues/https%3A%2F%2Fq%2F2")
    assert addresses["function"].endswith("/lambda/home?region=eu-west-1#/functions/f")
    assert addresses["logs"].endswith("#logsV2:log-groups/log-group/$252Fa$2520b")
    assert dashboard_link("eu-west-1", "shop-dev").endswith("#dashboards/dashboard/shop-dev")


@pytest.mark.parametrize(
    ("queue", "fits"),
    [
        (Queue("q" * 46), True),
        (Queue("q" * 47), False),
        (Queue("q" * 46, fifo=True), True),
        (Queue("q" * 47, fifo=True), False),
    ],
)
def test_names_fit(queue, fits):
    """A role's name leaves least: 64 characters, five of them `-role` and eight Pulumi's. (trials 5.5)"""
    if fits:
        check_names("shop", queue)
        return
    with pytest.raises(ConfigError, match="52 characters, and 51 fit; shorten either by 1"):
        check_names("shop", queue)


@pytest.mark.parametrize(("seconds", "fits"), [(None, True), (305, True), (304, False)])
def test_a_queue_that_is_brought_holds_long_enough(seconds, fits):
    """The visibility timeout is checked where it is known."""
    if fits:
        check_visibility(ORDERS, SETTINGS, seconds)
        return
    with pytest.raises(
        ConfigError, match="is 304 s, and the function takes up to 305 s; set it to 1830, or lower batch"
    ):
        check_visibility(ORDERS, SETTINGS, seconds)


def test_the_dashboard_draws_what_rings():
    """Four rows of six charts at most fit on a screen: one row a consumer, without overlap."""
    rows = {name: alarms(ORDERS, SETTINGS, Thresholds(), NAMES) for name in ("orders", "receipts")}
    widgets = dashboard.body("eu-west-1", rows)["widgets"]
    corners = {(widget["x"], widget["y"]) for widget in widgets}
    assert len(corners) == len(widgets) == 12
    assert max(widget["x"] + widget["width"] for widget in widgets) == 24
    assert widgets[0]["properties"]["title"] == "orders: messages and dead letters"
    assert widgets[0]["properties"]["metrics"][0] == [
        "AWS/SQS",
        "ApproximateNumberOfMessagesVisible",
        "QueueName",
        "q-1",
        {"stat": "Maximum", "period": 60},
    ]
    drawn = {line[1] for widget in widgets for line in widget["properties"]["metrics"]}
    assert drawn == {metric.name for alarm in rows["orders"] for metric in alarm.signal.metrics}
