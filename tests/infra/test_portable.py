"""`peeklock settings`: its document holds what the Pulumi programs register, and needs no Pulumi."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from handlers.orders.queue import ORDERS, RECEIPTS
from peeklock import ConfigError, Queue
from peeklock.cli import main
from peeklock.infra.portable import Stack, document
from peeklock.infra.portable.stackfile import read_stack
from tests.infra.running import STACKS, program
from tests.support import ROOT

QUEUES = {queue.name: queue for queue in (ORDERS, RECEIPTS)}
CLOUDS = ("aws", "azure", "gcp")


def of_stack(cloud, name):
    return document(cloud, read_stack(ROOT / "infra" / cloud / f"Pulumi.{name}.yaml", "shop"), QUEUES)


def filled(value, **names):
    text = json.dumps(value)
    for name, replacement in names.items():
        text = text.replace(f"${{{name}}}", replacement)
    assert "${" not in text
    return json.loads(text)


@pytest.fixture(scope="module", params=STACKS)
def stack(request):
    return request.param


@pytest.fixture(scope="module")
def aws(stack, tmp_path_factory):
    return program("aws", tmp_path_factory.mktemp("aws"), stack), of_stack("aws", stack)


def filled_aws(recorded, queue):
    """The queue's part, with the ARNs and URLs of the program."""
    orders = recorded.named(f"shop-{queue}-redrive").inputs["queueUrl"]
    account = "eu-west-1:123456789012"

    def arn(name):
        return f"arn:aws:sqs:{account}:{name}"

    return {
        "queue_arn": arn(f"shop-{queue}"),
        "queue_url": orders,
        "dead_letters_arn": arn(f"shop-{queue}-dead-letters"),
        "dead_letters_url": f"{orders}-dead-letters",
        "table_arn": f"arn:aws:dynamodb:{account}:table/shop-store",
        "logs_arn": f"arn:aws:logs:{account}:log-group:shop-{queue}-logs",
    }


def test_the_numbers_of_aws_are_the_programs(aws):
    recorded, described = aws
    for queue in QUEUES:
        numbers = described["queues"][queue]["settings"]
        main_queue = recorded.named(f"shop-{queue}", "aws:sqs/queue:Queue").inputs
        mapping = recorded.named(f"shop-{queue}-mapping").inputs
        function = recorded.named(f"shop-{queue}", "aws:lambda/function:Function").inputs
        assert numbers["visibility"] == main_queue["visibilityTimeoutSeconds"]
        assert numbers["retention"] == main_queue["messageRetentionSeconds"]
        assert numbers["poll"] == main_queue["receiveWaitTimeSeconds"]
        assert (
            numbers["dead_letters_retention"]
            == (recorded.named(f"shop-{queue}-dead-letters", "aws:sqs/queue:Queue").inputs["messageRetentionSeconds"])
        )
        assert numbers["timeout"] == function["timeout"]
        assert numbers["memory"] == function["memorySize"]
        assert numbers["batch"] == mapping["batchSize"]
        assert numbers["window"] == mapping["maximumBatchingWindowInSeconds"]
        assert numbers["response_types"] == mapping["functionResponseTypes"]
        assert numbers["concurrency"] == mapping["scalingConfig"]["maximumConcurrency"]
        assert numbers["mapping_metrics"] == mapping["metricsConfig"]["metrics"]
        assert described["stage"]["log_days"] == recorded.named(f"shop-{queue}-logs").inputs["retentionInDays"]


def test_variables_and_policies_of_aws_are_the_programs(aws):
    """The variables and the policy with which `orders` sends to `receipts` are in the part of `receipts`."""
    recorded, described = aws
    parts = {queue: filled(described["queues"][queue], **filled_aws(recorded, queue)) for queue in QUEUES}
    assert parts["orders"]["variables"] | parts["receipts"]["producer"] == variables_of(recorded, "orders")
    assert parts["receipts"]["variables"] == variables_of(recorded, "receipts")
    for queue, part in parts.items():
        policies = part["policies"]
        for name, resource, argument in (
            ("queue", f"shop-{queue}-tls", "policy"),
            ("dead_letters", f"shop-{queue}-dead-letters-tls", "policy"),
            ("redrive", f"shop-{queue}-redrive", "redrivePolicy"),
            ("redrive_allow", f"shop-{queue}-redrive-allow", "redriveAllowPolicy"),
            ("assume_role", f"shop-{queue}-role", "assumeRolePolicy"),
        ):
            assert policies[name] == json.loads(recorded.named(resource).inputs[argument])
    granted = [allowed(recorded.named(f"shop-{queue}-may").inputs["policy"]) for queue in ("receipts", "orders")]
    own, send = (
        {name: allowed(json.dumps(parts[name]["policies"][kind])) for name in QUEUES} for kind in ("function", "send")
    )
    assert granted == [own["receipts"], own["orders"] | send["receipts"]]


def variables_of(recorded, queue):
    return recorded.named(f"shop-{queue}", "aws:lambda/function:Function").inputs["environment"]["variables"]


def allowed(policy):
    """Pairs of an action and a resource."""
    pairs = set()
    for statement in json.loads(policy)["Statement"]:
        resources = statement["Resource"]
        for resource in [resources] if isinstance(resources, str) else resources:
            pairs |= {(action, resource) for action in statement["Action"]}
    return pairs


def test_the_alarms_of_aws_are_the_programs(aws):
    recorded, described = aws
    for queue in QUEUES:
        prefix = f"shop-{queue}-alarm-"
        registered = {
            registration.name.removeprefix(prefix): registration.inputs
            for registration in recorded.of("aws:cloudwatch/metricAlarm:MetricAlarm")
            if registration.name.startswith(prefix)
        }
        alarms = described["queues"][queue]["alarms"]
        assert set(alarms) == set(registered)
        for name, alarm in alarms.items():
            assert alarm_of(registered[name]) == {key: alarm[key] for key in alarm_of(registered[name])}


def alarm_of(inputs):
    """An alarm of CloudWatch in the document's words."""
    queries = inputs.get("metricQueries", [])
    metrics = [
        {
            **query["metric"],
            "name": query["metric"]["metricName"],
            "statistic": query["metric"]["stat"],
            "id": query["id"],
        }
        for query in queries
        if "metric" in query
    ] or [{**inputs, "name": inputs["metricName"]}]
    kept = ("namespace", "name", "statistic", "period", "dimensions")
    if not queries:
        metric_ids = [{}]
    else:
        metric_ids = [{"id": metric["id"]} for metric in metrics]
    shown = [{**{key: metric[key] for key in kept}, **ids} for metric, ids in zip(metrics, metric_ids, strict=True)]
    if not queries:
        shown[0]["id"] = inputs["metricName"].removeprefix("ApproximateNumberOfMessages").lower()
    return {
        "threshold": inputs["threshold"],
        "comparison": inputs["comparisonOperator"],
        "evaluation_periods": inputs["evaluationPeriods"],
        "datapoints_to_alarm": inputs["datapointsToAlarm"],
        "missing_data": inputs["treatMissingData"],
        "expression": next((query["expression"] for query in queries if "expression" in query), ""),
        "metrics": shown,
    }


def test_azure_is_as_its_program(stack, tmp_path):
    recorded, described = program("azure", tmp_path, stack), of_stack("azure", stack)
    for queue, declared in QUEUES.items():
        names = {
            "namespace": recorded.named(f"shop-{queue}", "azure-native:servicebus:Queue").inputs["namespaceName"],
            "function": f"shop-{queue}",
            "host_account": "shophost",
            "client_id": f"shop-{queue}-identity-clientId",
            "telemetry": setting_of(recorded, queue, "APPLICATIONINSIGHTS_CONNECTION_STRING"),
        }
        part = filled(described["queues"][queue], **names)
        app = recorded.named(f"shop-{queue}", "azure-native:web:WebApp").inputs
        settings = {row["name"]: row["value"] for row in app["siteConfig"]["appSettings"]}
        other = {RECEIPTS.variable("URL")} - {declared.variable("URL")}
        assert part["variables"] == {name: value for name, value in settings.items() if name not in other}
        scaling = app["functionAppConfig"]["scaleAndConcurrency"]
        assert part["settings"]["instances"] == scaling["maximumInstanceCount"]
        assert part["settings"]["memory"] == scaling["instanceMemoryMB"]
        entity = recorded.named(f"shop-{queue}", "azure-native:servicebus:Queue").inputs
        assert part["settings"]["deliveries"] == entity["maxDeliveryCount"]
        assert part["names"]["dead_letters"] == entity["forwardDeadLetteredMessagesTo"]
        roles = {grant["name"]: grant["role_id"] for grant in part["roles"]["function"]}
        assert {
            name: recorded.named(f"shop-{queue}-may-{name}").inputs["roleDefinitionId"].rpartition("/")[2]
            for name in roles
        } == roles
        for name, alarm in part["alarms"].items():
            assert alarm == azure_alarm(alarm, recorded.named(f"shop-{queue}-alarm-{name}").inputs)


def setting_of(recorded, queue, name):
    app = recorded.named(f"shop-{queue}", "azure-native:web:WebApp").inputs
    return next(row["value"] for row in app["siteConfig"]["appSettings"] if row["name"] == name)


def azure_alarm(alarm, inputs):
    """An alert rule in the document's words."""
    (criterion,) = inputs["criteria"]["allOf"]
    common = {
        "threshold": criterion["threshold"],
        "severity": inputs["severity"],
        "description": inputs["description"],
        "window": inputs["windowSize"],
        "every": inputs["evaluationFrequency"],
    }
    if alarm["kind"] == "metric":
        entity = next(dimension["values"][0] for dimension in criterion["dimensions"])
        return common | {
            "kind": "metric",
            "entity": entity,
            "metric": criterion["metricName"],
            "statistic": criterion["timeAggregation"],
        }
    periods = criterion["failingPeriods"]
    return common | {
        "kind": "query",
        "query": criterion["query"],
        "column": criterion["metricMeasureColumn"],
        "failing": periods["minFailingPeriodsToAlert"],
        "periods": periods["numberOfEvaluationPeriods"],
    }


def test_google_is_as_its_program(stack, tmp_path):
    recorded, described = program("gcp", tmp_path, stack), of_stack("gcp", stack)
    for queue, declared in QUEUES.items():
        part = described["queues"][queue]
        service = recorded.named(f"shop-{queue}", "gcp:cloudfunctionsv2/function:Function").inputs
        config = service["serviceConfig"]
        other = {RECEIPTS.variable("URL")} - {declared.variable("URL")}
        assert part["variables"] == {
            name: value for name, value in config["environmentVariables"].items() if name not in other
        }
        assert part["settings"]["instances"] == config["maxInstanceCount"]
        assert part["settings"]["limit"] == config["timeoutSeconds"]
        assert part["names"]["function"] == service["name"]
        assert part["names"]["runner"] == config["serviceAccountEmail"]
        entity = recorded.named(f"shop-{queue}", "gcp:cloudtasks/queue:Queue").inputs
        assert part["names"]["queue"] == entity["name"]
        assert part["settings"]["at_once"] == entity["rateLimits"]["maxConcurrentDispatches"]
        assert part["settings"]["max_attempts"] == entity["retryConfig"]["maxAttempts"]
        metric = recorded.named(f"shop-{queue}-failed").inputs
        assert part["failures_metric"] == {"name": metric["name"], "filter": metric["filter"]}
        for name, alarm in part["alarms"].items():
            inputs = recorded.named(f"shop-{queue}-alarm-{name}").inputs
            assert alarm["severity"] == inputs["severity"]
            assert alarm["description"] == inputs["documentation"]["content"]
            (condition,) = inputs["conditions"]
            if alarm["kind"] == "query":
                assert alarm["query"] == condition["conditionPrometheusQueryLanguage"]["query"]
            else:
                assert alarm["filter"] == condition["conditionThreshold"]["filter"]
                assert alarm["threshold"] == condition["conditionThreshold"]["thresholdValue"]


@pytest.mark.parametrize("cloud", CLOUDS)
def test_it_needs_no_pulumi(cloud):
    """A team that uses Terraform has no reason to install it."""
    code = (
        "import sys; from peeklock.cli import main; "
        f"code = main(['settings', {cloud!r}, '--app', 'shop', '--stack', 'infra/{cloud}/Pulumi.prod.yaml', '--json']); "
        "loaded = [name for name in sys.modules if name.split('.')[0].startswith('pulumi')]; "
        "sys.exit(code or bool(loaded))"
    )
    ran = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr
    assert set(json.loads(ran.stdout)["queues"]) == set(QUEUES)


@pytest.fixture
def project(tmp_path, monkeypatch):
    """A project with one queue."""
    (tmp_path / "pyproject.toml").write_text('[tool.peeklock.bundle]\nqueues = ["declared_here"]\n')
    (tmp_path / "declared_here.py").write_text('from peeklock import Queue\nJOBS = Queue("jobs", timeout=10)\n')
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    yield tmp_path
    sys.modules.pop("declared_here", None)


def settings(capsys, *arguments):
    code = main(["settings", *arguments])
    printed = capsys.readouterr()
    return code, printed.out, printed.err


def test_capacity_on_the_command_line_wins(project, capsys):
    (project / "prod.json").write_text('{"capacity": {"jobs": {"batch": 5}}, "stage": {"log_days": 90}}')
    arguments = ("aws", "--app", "shop", "--stack", "prod.json", "--json", "--capacity", "jobs:batch=20,instances=7")
    code, out, _ = settings(capsys, *arguments)
    answer = json.loads(out)
    numbers = answer["queues"]["jobs"]["settings"]
    assert (code, answer["stack"], answer["stage"]["log_days"]) == (0, "prod", 90)
    assert (numbers["batch"], numbers["concurrency"], numbers["visibility"]) == (20, 7, 6 * (20 * 10 + 5) + 1)


def test_people_see_a_table(project, capsys):
    code, out, _ = settings(capsys, "aws", "--app", "shop")
    assert code == 0
    assert any(line.split()[:3] == ["jobs", "VisibilityTimeout", "630"] for line in out.splitlines())


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["--capacity", "jbos:batch=5"], "did you mean 'jobs'"),
        (["--capacity", "jobs:bacth=5"], "did you mean 'batch'"),
        (["--capacity", "jobs"], "--capacity orders:batch=50"),
        (["--capacity", "jobs:batch=many"], "--capacity orders:batch=50"),
        (["--stack", "none.json"], "--stack none.json"),
        (["--stack", "wrong.json"], "no mapping"),
        (["--stack", "broken.json"], "broken.json"),
        (["--stack", "broken.yaml"], "broken.yaml"),
        (["--stack", "misspelt.json"], "did you mean 'capacity'"),
        (["--capacity", "jobs:instances=1"], "instances=2"),
    ],
)
def test_what_is_wrong_is_named(project, capsys, arguments, named):
    for file, text in (
        ("wrong.json", "[]"),
        ("broken.json", "{"),
        ("broken.yaml", "a: [b"),
        ("misspelt.json", '{"capcity": {}}'),
    ):
        (project / file).write_text(text)
    code, out, err = settings(capsys, "aws", "--app", "shop", *arguments)
    assert (code, out) == (2, "")
    assert named in err


def test_a_stack_of_pulumi_may_have_no_configuration(project, capsys):
    """Such a file has only the salt of its secrets."""
    (project / "Pulumi.dev.yaml").write_text("encryptionsalt: v1:abc\n")
    code, out, _ = settings(capsys, "aws", "--app", "shop", "--stack", "Pulumi.dev.yaml", "--json")
    assert (code, json.loads(out)["stack"]) == (0, "dev")


def test_google_asks_for_project_and_region(project, capsys):
    code, _, err = settings(capsys, "gcp", "--app", "shop")
    assert code == 2
    assert "--project" in err
    code, out, _ = settings(
        capsys, "gcp", "--app", "shop", "--json", "--project", "contoso", "--region", "europe-west1"
    )
    assert code == 0
    assert "europe-west1-contoso" in out


def test_queues_that_cannot_be_imported_are_named(project, capsys):
    (project / "declared_here.py").write_text("import does_not_exist\n")
    code, _, err = settings(capsys, "aws", "--app", "shop")
    assert code == 2
    assert "declared_here" in err
    assert "does_not_exist" in err
    (project / "declared_here.py").write_text("")
    sys.modules.pop("declared_here", None)
    assert "no Queue is declared there" in settings(capsys, "aws", "--app", "shop")[2]


def test_a_name_that_is_too_long_is_refused():
    with pytest.raises(ConfigError, match="shorten either"):
        document("aws", Stack(app="a" * 60), {"jobs": Queue("jobs")})


def test_a_fifo_queue_has_the_names_of_one():
    part = document("aws", Stack(app="shop"), {"jobs": Queue("jobs", fifo=True)})["queues"]["jobs"]
    assert part["names"]["queue"] == "shop-jobs.fifo"
    assert part["names"]["dead_letters"] == "shop-jobs-dead-letters.fifo"
