"""infra/aws for each stack, as the engine would be told."""

from __future__ import annotations

import json
import os

import pytest

from handlers.orders.queue import ORDERS
from tests.infra.aws.cfn import findings
from tests.infra.running import STACKS, program, without_protectors
from tests.infra.schema import problems
from tests.support import ROOT

GOLDEN = ROOT / "tests" / "infra" / "aws" / "golden"
RENEW = "PEEKLOCK_RENEW_GOLDEN"
"""Set it to 1 and run these tests to write the snapshots anew; then read the difference."""

DATA = {"aws:sqs/queue:Queue", "aws:dynamodb/table:Table", "aws:cloudwatch/logGroup:LogGroup"}
CONSUMERS = ("orders", "receipts")

QUEUE, FUNCTION = "aws:sqs/queue:Queue", "aws:lambda/function:Function"


@pytest.fixture(scope="module", params=STACKS)
def stack(request):
    return request.param


@pytest.fixture(scope="module")
def recorded(stack, tmp_path_factory):
    return program("aws", tmp_path_factory.mktemp(stack), stack)


def test_the_sdk_knows_every_key_and_type(recorded):
    """Nested ones included."""
    assert [said for registration in recorded.registrations for said in problems(registration)] == []


def test_aws_would_take_it(recorded):
    """AWS's own schemas accept the program."""
    assert findings(recorded) == []


def test_everything_is_a_child_of_its_component(recorded):
    """Consumers of the app, and resources of either."""
    components = {registration.urn for registration in recorded.registrations if not registration.custom}
    for registration in recorded.registrations:
        assert registration.parent in components or registration.type == "peeklock:aws:App", registration.name
        assert registration.name.startswith("shop")


def test_what_holds_data_is_kept(recorded, stack):
    """Protected, and left when the stack is destroyed; in dev neither."""
    keeps = stack != "dev"
    for registration in without_protectors(recorded):
        expected = (True, True) if keeps and registration.type in DATA else (False, False)
        assert (registration.protect, registration.retain_on_delete) == expected, registration.name
    table = recorded.named("shop-store").inputs
    assert table["deletionProtectionEnabled"] is keeps
    assert table["pointInTimeRecovery"] == {"enabled": keeps}


def test_a_mapping_comes_after_what_permits_it(recorded):
    """And a function after its log group, whose retention would otherwise be for ever."""
    for name in CONSUMERS:
        mapping, function = recorded.named(f"shop-{name}-mapping"), recorded.named(f"shop-{name}", FUNCTION)
        may, logs = recorded.named(f"shop-{name}-may"), recorded.named(f"shop-{name}-logs")
        assert may.urn in mapping.dependencies
        assert recorded.depends(mapping, recorded.named(f"shop-{name}", QUEUE))
        assert may.urn in function.dependencies
        assert recorded.depends(function, logs)
        assert recorded.depends(function, recorded.named(f"shop-{name}", QUEUE)), (
            "a longer lock comes before a longer run"
        )
        assert function.inputs["loggingConfig"]["logGroup"] == logs.name


def test_what_every_function_and_mapping_has(recorded):
    """Partial failures are reported, events are counted, logs are JSON and traces are on."""
    for name in CONSUMERS:
        mapping = recorded.named(f"shop-{name}-mapping").inputs
        assert mapping["functionResponseTypes"] == ["ReportBatchItemFailures"]
        assert mapping["metricsConfig"] == {"metrics": ["EventCount"]}
        function = recorded.named(f"shop-{name}", FUNCTION).inputs
        assert function["architectures"] == ["arm64"]
        assert function["loggingConfig"]["logFormat"] == "JSON"
        assert function["tracingConfig"] == {"mode": "Active"}


def test_a_queue_has_its_dead_letters(recorded):
    """Which take from no other, and both refuse what is not encrypted on its way."""
    for name in CONSUMERS:
        dead_letters, queue = f"shop-{name}-dead-letters", f"shop-{name}"
        redrive = json.loads(recorded.named(f"{queue}-redrive").inputs["redrivePolicy"])
        assert redrive["deadLetterTargetArn"].endswith(f":{dead_letters}")
        allow = recorded.named(f"{queue}-redrive-allow").inputs
        assert json.loads(allow["redriveAllowPolicy"])["sourceQueueArns"] == [
            f"arn:aws:sqs:eu-west-1:123456789012:{queue}"
        ]
        assert allow["queueUrl"].endswith(f"/{dead_letters}")
        for policy, on in ((f"{queue}-tls", queue), (f"{dead_letters}-tls", dead_letters)):
            inputs = recorded.named(policy).inputs
            assert inputs["queueUrl"].endswith(f"/{on}")
            assert json.loads(inputs["policy"])["Statement"][0]["Resource"].endswith(f":{on}")


def test_every_consumer_has_its_alarms(recorded):
    """Each tells the topic of its severity, also when it is over."""
    for name in CONSUMERS:
        alarms = [
            alarm for alarm in recorded.of("aws:cloudwatch/metricAlarm:MetricAlarm") if f"-{name}-alarm-" in alarm.name
        ]
        assert {alarm.name.partition("-alarm-")[2] for alarm in alarms} == {
            *("length", "failures", "latency", "utilisation", "dead-letters", "age"),
            *("errors", "outage", "idle", "throttling", "new-dead-letters", "expiring"),
        }
        for alarm in alarms:
            severity = alarm.inputs["tags"]["severity"]
            assert alarm.inputs["alarmActions"] == alarm.inputs["okActions"]
            assert alarm.inputs["alarmActions"][0].endswith(f":shop-{severity}")
            assert alarm.inputs["treatMissingData"] == "notBreaching"


def test_alarms_watch_what_is_there(recorded):
    """Every dimension is the name of a queue, of dead letters or of a function of the stack, or is the app's own."""
    for alarm in recorded.of("aws:cloudwatch/metricAlarm:MetricAlarm"):
        consumer = alarm.name.split("-")[1]
        watched = [query["metric"] for query in alarm.inputs.get("metricQueries", ()) if "metric" in query]
        for metric in watched or [alarm.inputs]:
            dimensions = metric["dimensions"]
            names = {recorded.named(f"shop-{consumer}", QUEUE).name, f"shop-{consumer}-dead-letters"}
            assert dimensions.get("QueueName", f"shop-{consumer}") in names
            assert dimensions.get("FunctionName", f"shop-{consumer}") == f"shop-{consumer}"
            assert dimensions.get("queue", consumer) == consumer


def test_everything_that_takes_tags_has_them(recorded):
    """With the contract's fingerprint, where a consumer is behind it."""
    for registration in recorded.registrations:
        if "tags" in registration.inputs:
            tags = registration.inputs["tags"]
            assert (tags["app"], tags["stack"]) == ("shop", registration.urn.split(":")[2])
            assert ("fingerprint" in tags) == ("$peeklock:aws:Consumer$" in registration.urn)
    assert recorded.named("shop-orders", FUNCTION).inputs["tags"]["fingerprint"] == ORDERS.fingerprint


def test_the_environment(recorded):
    """The function of orders, which sends receipts, and a producer have these variables."""
    base = "https://sqs.eu-west-1.amazonaws.com/123456789012/"
    variables = recorded.named("shop-orders", FUNCTION).inputs["environment"]["variables"]
    urls = {"PEEKLOCK_ORDERS_URL": f"{base}shop-orders", "PEEKLOCK_RECEIPTS_URL": f"{base}shop-receipts"}
    assert variables == {
        **urls,
        "PEEKLOCK_STORE": "dynamodb://shop-store",
        "PEEKLOCK_ORDERS_DEAD_LETTER": f"{base}shop-orders-dead-letters",
        "PEEKLOCK_ORDERS_FINGERPRINT": ORDERS.fingerprint,
        "PEEKLOCK_ORDERS_PARALLEL": "1",
        "POWERTOOLS_METRICS_NAMESPACE": "Peeklock",
        "POWERTOOLS_SERVICE_NAME": "shop",
    }
    assert recorded.outputs["environment"] == urls


def test_outputs(recorded):
    """An object a consumer, what producers need, and the dashboard's page."""
    assert set(recorded.outputs) == {"orders", "receipts", "environment", "dashboard"}
    outputs = recorded.outputs["orders"]
    assert set(outputs) == {
        "queue",
        "dead_letters",
        "resource",
        "function",
        "identity",
        "store",
        "alarms",
        "links",
        "environment",
    }
    assert (outputs["function"], outputs["store"]) == ("shop-orders", "dynamodb://shop-store")
    assert outputs["identity"] == "arn:aws:iam::123456789012:role/shop-orders-role"


def test_who_is_told(recorded, stack):
    """Alarms send e-mail in prod; elsewhere they only show."""
    mails = {
        subscription.name: subscription.inputs["endpoint"]
        for subscription in recorded.of("aws:sns/topicSubscription:TopicSubscription")
    }
    assert mails.get("shop-high-mail") == ("oncall@example.com" if stack == "prod" else None)
    assert len(mails) == (3 if stack == "prod" else 0)


def snapshot(recorded) -> str:
    """For people: by URN, in the order of the alphabet; documents opened, archives by their name."""
    shown = {
        registration.urn: {
            "inputs": {key: opened(value) for key, value in registration.inputs.items()},
            "parent": registration.parent.rpartition("::")[2],
            "protect": registration.protect,
            "retainOnDelete": registration.retain_on_delete,
            "dependencies": [urn.split("::", 2)[2].rpartition("$")[2] for urn in registration.dependencies],
        }
        for registration in recorded.registrations
    }
    return json.dumps({"resources": shown, "outputs": recorded.outputs}, indent=1, sort_keys=True, default=str) + "\n"


def opened(value):
    return json.loads(value) if isinstance(value, str) and value.startswith("{") else value


def test_the_snapshot_is_as_it_was(recorded, stack):
    """A changed URN or type is a replacement for whoever has deployed it: it needs an alias."""
    file = GOLDEN / f"{stack}.json"
    now = snapshot(recorded)
    if os.environ.get(RENEW):
        file.write_text(now, encoding="utf-8")
    assert file.read_text(encoding="utf-8") == now, f"renew with {RENEW}=1, and read the difference"


def test_a_first_preview_knows_nothing_and_runs(stack, tmp_path):
    """Outputs are unknown then, and the same resources are asked for."""
    previewed = program("aws", tmp_path, stack, preview=True)
    expected = json.loads((GOLDEN / f"{stack}.json").read_text(encoding="utf-8"))["resources"]
    assert {registration.urn for registration in previewed.registrations} == set(expected)


def test_no_stack_file_holds_a_secret():
    """Nor a ciphertext."""
    for file in (ROOT / "infra" / "aws").glob("Pulumi*.yaml"):
        text = file.read_text(encoding="utf-8")
        assert not any(word in text for word in ("secure:", "encryption", "AKIA"))


def test_the_program_is_short():
    """A user reads it in a minute."""
    assert len((ROOT / "infra" / "aws" / "__main__.py").read_text(encoding="utf-8").splitlines()) <= 40
