"""Quotas are told once, with page and month, and those that an SDK's model states are the installed SDK's."""

from __future__ import annotations

import ast
import importlib
import itertools
import re
from pathlib import Path
from types import SimpleNamespace

import azure.mgmt.servicebus.models
import botocore.session
import pytest

from cloudqueues.pulumi.aws_requests import shape
from cloudqueues.servicebus import tiers
from tests.infra.models.google import document
from tests.support import ROOT

MODULES = sorted((ROOT / "src").glob("*/quotas/[a-z]*.py"))

PACKAGES = ("peeklock", "cloudqueues")
"""The emulators and peeklock import nothing of each other, so each states the quotas that it uses."""


def quotas(package, cloud):
    """Return the quotas of a package's module, by name."""
    module = importlib.import_module(f"{package}.quotas.{cloud}")
    return {name: value for name, value in vars(module).items() if name.isupper()}


aws, azure_quotas, google = (
    SimpleNamespace(**quotas("peeklock", cloud) | quotas("cloudqueues", cloud)) for cloud in ("aws", "azure", "google")
)
"""All quotas; those that both packages state are the same, as a test below says."""


@pytest.mark.parametrize("cloud", ["aws", "azure", "google"])
def test_both_packages_state_the_same(cloud):
    """A quota of both packages has one value, one page and one month."""
    ours, emulated = (quotas(package, cloud) for package in PACKAGES)
    shared = ours.keys() & emulated.keys()
    assert shared
    assert {name: ours[name] for name in shared} == {name: emulated[name] for name in shared}
    texts = [statements(ROOT / "src" / package / "quotas" / f"{cloud}.py") for package in PACKAGES]
    assert {name: texts[0][name] for name in shared} == {name: texts[1][name] for name in shared}


def statements(path):
    """Return the text behind each quota of a module, by the quota's name."""
    body = ast.parse(path.read_text(encoding="utf-8")).body
    pairs = itertools.pairwise(body)
    assigned = [
        (statement.targets[0], after.value.value) for statement, after in pairs if isinstance(statement, ast.Assign)
    ]
    return {name.id: text for target, text in assigned for name in ast.walk(target) if isinstance(name, ast.Name)}


@pytest.mark.parametrize("module", MODULES, ids=lambda path: path.stem)
def test_each_has_its_page_and_its_month(module: Path):
    """The docstring behind a quota has both."""
    body = ast.parse(module.read_text(encoding="utf-8")).body
    for statement, after in zip(body, [*body[1:], ast.Pass()], strict=True):
        if isinstance(statement, ast.Assign):
            text = after.value.value if isinstance(after, ast.Expr) else ""
            assert re.search(r"Read 20\d\d-(0[1-9]|1[0-2])\. https://\S+$", text), ast.unparse(statement.targets[0])


@pytest.mark.parametrize("module", MODULES, ids=lambda path: path.stem)
def test_each_is_stated_once_and_is_of_use(module: Path):
    """A second statement of a name would win without a word, and a quota that its package does not use says nothing."""
    package = module.parent.parent
    users = [path.read_text("utf-8") for path in package.rglob("*.py") if path.parent != module.parent]
    text = "\n".join(text for text in users if f"{package.name}.quotas" in text)
    body = ast.parse(module.read_text(encoding="utf-8")).body
    statements = [
        [name.id for name in ast.walk(node.targets[0]) if isinstance(name, ast.Name)]
        for node in body
        if isinstance(node, ast.Assign)
    ]
    names = list(itertools.chain.from_iterable(statements))
    assert sorted(names) == sorted(set(names))
    assert [some for some in statements if not any(re.search(rf"\b{name}\b", text) for name in some)] == []


def limits(service, operation, path):
    """Return the least and the most that botocore's model states of a parameter."""
    parameter = shape(service, operation)
    for name in path.split("."):
        parameter = parameter.fields[name]()
    return parameter.least, parameter.most


@pytest.mark.parametrize(
    ("service", "operation", "path", "expected"),
    [
        ("lambda", "CreateFunction", "Timeout", (1, aws.MANAGED_FUNCTION_SECONDS)),
        ("lambda", "CreateEventSourceMapping", "BatchSize", (1, aws.BATCH)),
        ("lambda", "CreateEventSourceMapping", "MaximumBatchingWindowInSeconds", (0, aws.WINDOW_SECONDS)),
        (
            "lambda",
            "CreateEventSourceMapping",
            "ScalingConfig.MaximumConcurrency",
            (aws.LEAST_CONCURRENCY, aws.CONCURRENCY),
        ),
        ("lambda", "CreateEventSourceMapping", "ProvisionedPollerConfig.MinimumPollers", (1, aws.MINIMUM_POLLERS)),
        ("lambda", "CreateEventSourceMapping", "ProvisionedPollerConfig.MaximumPollers", (1, aws.POLLERS)),
        ("iam", "CreateRole", "RoleName", (1, aws.ROLE_NAME)),
        ("iam", "PutRolePolicy", "PolicyName", (1, aws.ROLE_POLICY_NAME)),
    ],
)
def test_what_botocores_model_limits(service, operation, path, expected):
    """An upgrade that moves one fails here: renew the quota, its month, and what follows from it."""
    assert limits(service, operation, path) == expected


def documentation_of(service, operation, *path):
    """Return the prose of botocore's model on a parameter, without its mark-up."""
    parameter = botocore.session.get_session().get_service_model(service).operation_model(operation).input_shape
    for name in path:
        parameter = parameter.members[name]
    return re.sub(r"\s+", " ", re.sub("<[^>]+>", "", parameter.documentation))


@pytest.mark.parametrize(
    ("parameter", "sentence"),
    [
        (("lambda", "CreateFunction", "Timeout"), f"the maximum allowed value is {aws.FUNCTION_SECONDS:,} seconds"),
        (
            ("lambda", "CreateEventSourceMapping", "ProvisionedPollerConfig", "MaximumPollers"),
            f"between {aws.LEAST_POLLERS} and {aws.POLLERS:,}",
        ),
        (("sqs", "CreateQueue", "Attributes"), f"from 0 to {aws.DELAY_SECONDS} seconds (15 minutes)"),
        (
            ("sqs", "CreateQueue", "Attributes"),
            f"from {aws.LEAST_MESSAGE_BYTES:,} bytes (1 KiB) to {aws.MESSAGE_BYTES:,} bytes",
        ),
        (
            ("sqs", "CreateQueue", "Attributes"),
            f"from {aws.LEAST_RETENTION_SECONDS} seconds (1 minute) to {aws.RETENTION_SECONDS:,} seconds",
        ),
        (("sqs", "CreateQueue", "Attributes"), f"from 0 to {aws.POLL_SECONDS} (seconds)"),
        (("sqs", "CreateQueue", "Attributes"), f"from 0 to {aws.VISIBILITY_SECONDS:,} (12 hours)"),
        (("sqs", "CreateQueue", "QueueName"), f"can have up to {aws.QUEUE_NAME} characters"),
        (("sqs", "ReceiveMessage", "MaxNumberOfMessages"), f"Valid values: 1 to {aws.ENTRIES}"),
        (
            ("logs", "PutRetentionPolicy", "retentionInDays"),
            "Possible values are: " + ", ".join(map(str, aws.LOG_DAYS[:-1])) + f", and {aws.LOG_DAYS[-1]}",
        ),
    ],
)
def test_what_botocores_model_says(parameter, sentence):
    """The model has some limits in its prose only."""
    assert sentence in documentation_of(*parameter)


@pytest.mark.parametrize(
    ("name", "schema", "member", "sentence"),
    [
        ("cloudtasks.v2", "RateLimits", "maxDispatchesPerSecond", f"maximum allowed value is {google.QUEUE_RATE}."),
        (
            "cloudtasks.v2",
            "RateLimits",
            "maxConcurrentDispatches",
            f"maximum allowed value is {google.QUEUE_AT_ONCE:,}.",
        ),
        ("cloudtasks.v2", "Queue", "name", f"The maximum length is {google.QUEUE_NAME} characters."),
        ("pubsub.v1", "Subscription", "ackDeadlineSeconds", f"is {google.LEAST_ACK_SECONDS} seconds"),
        (
            "pubsub.v1",
            "Subscription",
            "ackDeadlineSeconds",
            f"is {google.ACK_DEADLINE.total_seconds():.0f} seconds (10 minutes)",
        ),
        (
            "pubsub.v1",
            "Subscription",
            "messageRetentionDuration",
            f"Cannot be more than {google.RETENTION_DAYS} days or less than {google.LEAST_RETENTION_SECONDS // 60} minutes",
        ),
        (
            "iam.v1",
            "CreateServiceAccountRequest",
            "accountId",
            f"must be {google.LEAST_ACCOUNT_NAME}-{google.ACCOUNT_NAME} characters long",
        ),
        (
            "monitoring.v3",
            "MetricThreshold",
            "evaluationMissingData",
            f"must be greater than or equal to {google.DATA_MISSING_SECONDS} seconds",
        ),
    ],
)
def test_what_googles_documents_say(name, schema, member, sentence):
    """Discovery documents have limits in their prose only."""
    assert sentence in document(name)["schemas"][schema]["properties"][member]["description"]


def test_the_service_bus_emulator_has_the_same_limits():
    """It states them by the properties of its API, whose refusals its own tests compare with the service's."""
    emulated, quotas = importlib.import_module("cloudqueues.servicebus.admin.properties"), azure_quotas
    for name in ("LEAST_LOCK_SECONDS", "LOCK_SECONDS", "DELIVERIES", "LEAST_DUPLICATES_SECONDS", "DUPLICATES_SECONDS"):
        assert getattr(quotas, name) == getattr(emulated, name), name
    assert quotas.LEAST_IDLE_SECONDS == emulated.SHORTEST_IDLE
    assert (quotas.LEAST_MESSAGE_KILOBYTES, quotas.MESSAGE_KILOBYTES) == emulated.PREMIUM_MESSAGES
    assert emulated.SIZES[-1] == quotas.ENTITY_MEGABYTES
    assert emulated.PREMIUM_SIZES[-1] == quotas.PREMIUM_ENTITY_MEGABYTES
    assert tiers.PREMIUM.message == quotas.MESSAGE_BYTES
    assert quotas.MESSAGE_ID == tiers.LONGEST_ID


def test_what_azures_models_say():
    """The longest lock is in the prose of the queue's model; they state no other of these."""
    text = re.sub(r"\s+", " ", azure.mgmt.servicebus.models.SBQueueProperties.__doc__)
    assert f"maximum value for LockDuration is {azure_quotas.LOCK_SECONDS // 60} minutes" in text


NUMBERS = {
    value
    for module in (aws, azure_quotas, google)
    for value in vars(module).values()
    if isinstance(value, int) and value >= 1800 and (value % 1000 or value > 100_000)
} - {2048, 3600, 4096, 86_400, 604_800}
"""Numbers with no other use: round thousands, hours, days, weeks and powers of two are left out."""

ELSEWHERE = ("/quotas/", "cloudqueues/cloudtasks", "cloudqueues/servicebus")
"""The quotas themselves, and emulators that state the limits of their services where they enforce them."""


def written(path):
    """Whole numbers in a module, each with its line."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Constant) and type(node.value) is int:
            yield node.value, node.lineno


def test_nothing_else_has_them():
    """No other module says one of these numbers."""
    source = ROOT / "src"
    names = {str(path.relative_to(source)): path for path in sorted(source.rglob("*.py"))}
    searched = {name: path for name, path in names.items() if not any(part in name for part in ELSEWHERE)}
    numbers = [(name, line, value) for name, path in searched.items() for value, line in written(path)]
    assert [number for number in numbers if number[2] in NUMBERS] == []
