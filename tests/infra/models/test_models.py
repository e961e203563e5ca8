"""The programs against the clouds' own models of their APIs, and what is planted in them is found by those alone."""

from __future__ import annotations

import importlib
import typing
from dataclasses import replace

import pytest
from pulumi import _types

from cloudqueues.pulumi import schema
from peeklock import Queue
from peeklock.infra.options import Capacity
from tests.infra.models import azure
from tests.infra.models.check import broken, refused
from tests.infra.running import STACKS, bundled, planted, program, run

CLOUDS = ("aws", "azure", "gcp")


@pytest.fixture(scope="module")
def recorded(tmp_path_factory):
    """Run a cloud's program for a stack, each once."""
    runs = {}

    def of(cloud, stack):
        if (cloud, stack) not in runs:
            runs[cloud, stack] = program(cloud, tmp_path_factory.mktemp(cloud), stack)
        return runs[cloud, stack]

    return of


@pytest.mark.parametrize("stack", STACKS)
@pytest.mark.parametrize("cloud", CLOUDS)
def test_the_service_would_take_it(recorded, cloud, stack):
    """Every property, enumeration, pattern, limit and requirement that its model states, and what no model does."""
    assert [said for entry in recorded(cloud, stack).registrations for said in (*broken(entry), *refused(entry))] == []


KEY = "arn:aws:kms:eu-west-1:123456789012:key/1"
GOOGLE = {"gcp:project": "contoso", "gcp:region": "europe-west1"}
OPTIONS = {
    "aws": ({"key": KEY, "subnets": ["subnet-12345678"], "security_groups": ["sg-12345678"]}, {"handler": "a.b"}, {}),
    "azure": ({}, {"handler": "a.b", "topic": "events", "capacity": Capacity(batch=1)}, {}),
    "gcp": (
        {
            "key": "projects/other/locations/europe-west1/keyRings/r/cryptoKeys/k",
            "subnet": "projects/net/regions/europe-west1/subnetworks/functions",
        },
        {"handler": "main.f", "suffix": "2"},
        GOOGLE,
    ),
}
"""Options of an app and of its consumer that make other types or other inputs, and the stack's configuration."""


@pytest.mark.parametrize("cloud", CLOUDS)
def test_it_would_take_the_options_too(cloud, tmp_path):
    """FIFO queues, topics, keys and networks."""
    of_app, of_consumer, config = OPTIONS[cloud]
    queue = Queue("ordered", fifo=cloud == "aws", timeout=60)

    def program():
        app = importlib.import_module(f"peeklock.infra.{cloud}").App(
            "shop", bundle=str(bundled(tmp_path / f"{cloud}.zip")), **of_app
        )
        app.consumer(queue, **of_consumer)
        app.all()

    assert [said for entry in run(program, config).registrations for said in (*broken(entry), *refused(entry))] == []


QUERY, METRIC = "azure-native:monitor:ScheduledQueryRule", "azure-native:monitor:MetricAlert"
FUNCTION, MAPPING = "aws:lambda/function:Function", "aws:lambda/eventSourceMapping:EventSourceMapping"
POLICY, SUBSCRIPTION = "gcp:monitoring/alertPolicy:AlertPolicy", "gcp:pubsub/subscription:Subscription"

PLANTED = [
    # an enumeration, of which an SDK has another one under the same name
    ("shop-orders-alarm-failures", QUERY, "criteria.allOf.operator", "gt", "is none of Equals, GreaterThan"),
    ("shop-orders-alarm-failures", QUERY, "severity", 5, "is none of 0, 1, 2, 3, 4"),
    ("shop-orders-alarm-age", METRIC, "criteria.allOf.timeAggregation", "Mean", "is none of Average, Count"),
    ("shop-orders-alarm-age", METRIC, "criteria.odataType", "Single", "is none of Microsoft.Azure.Monitor.Multiple"),
    ("shop-orders", FUNCTION, "architectures", ["arm"], "architectures".title() + "[0]='arm': is none of x86_64"),
    ("shop-orders", FUNCTION, "loggingConfig.logFormat", "Json", "LogFormat='Json': is none of JSON, Text"),
    ("shop-orders-dead-letters", "aws:sqs/queue:Queue", "visibilityTimeout", 5, "'visibilityTimeout': is none of All"),
    ("shop-orders-alarm-length", POLICY, "severity", "HIGH", "is none of SEVERITY_UNSPECIFIED, CRITICAL"),
    (
        "shop-orders-alarm-length",
        POLICY,
        "conditions.conditionThreshold.aggregations.perSeriesAligner",
        "MAX",
        "is none of ALIGN_NONE",
    ),
    # a limit
    ("shop-orders", FUNCTION, "memorySize", 64, "MemorySize=64: 64 is less than 128"),
    ("shop-orders-mapping", MAPPING, "batchSize", 20_000, "BatchSize=20000: 20000 is more than 10000"),
    ("shop-orders-mapping", MAPPING, "scalingConfig.maximumConcurrency", 1, "is less than 2"),
    # the length of a text
    ("shop-high", "azure-native:monitor:ActionGroup", "groupShortName", "shop-on-call-high", "length 17 is more than"),
    ("shop-orders-role", "aws:iam/role:Role", "name", "r" * 65, "length 65 is more than 64"),
    ("shop-orders", FUNCTION, "description", "d" * 257, "length 257 is more than 256"),
    # a pattern
    ("shop-orders-role", "aws:iam/role:Role", "name", "shop orders", r"does not match [\w+=,.@-]+"),
    ("shop-orders", FUNCTION, "role", "shop-orders-role", "does not match arn:"),
    # a form
    ("shop-orders", "azure-native:servicebus:Queue", "lockDuration", "60s", "is no ISO 8601 duration"),
    ("shop-orders-dead-letters", SUBSCRIPTION, "messageRetentionDuration", "31d", "is no duration in seconds"),
    # a type
    ("shop-orders-alarm-age", METRIC, "severity", "high", "is no whole"),
    ("shop-orders", "gcp:cloudtasks/queue:Queue", "retryConfig.maxDoublings", 1.5, "is no whole"),
    # a property that there is not
    (
        "shop-orders",
        "azure-native:web:WebApp",
        "functionAppConfig.scaleAndConcurrency.maximumInstances",
        9,
        "has no such property (azure.mgmt.web FunctionsScaleAndConcurrency)",
    ),
    (
        "shop-orders-mapping",
        MAPPING,
        "scalingConfig.minimumConcurrency",
        2,
        "has no such property (botocore lambda Scaling",
    ),
    ("shop-orders", "gcp:cloudtasks/queue:Queue", "rateLimits.maxBurstSize", 5, "has no such property"),
    ("shop-orders", "gcp:cloudtasks/queue:Queue", "rateLimits.maxDispatches", 5, "no such property (google-api-"),
    # one that there must be
    (
        "shop-orders-may-remember",
        "azure-native:authorization:RoleAssignment",
        "principalId",
        None,
        "principalId: is missing, and required",
    ),
    ("shop-orders", FUNCTION, "role", None, "Role: is missing, and required"),
    ("shop-orders-alarm-length", POLICY, "conditions.conditionThreshold.filter", None, "is missing, and required"),
]


def cloud_of(kind):
    return {"azure-native": "azure"}.get(kind.partition(":")[0], kind.partition(":")[0])


@pytest.mark.parametrize(("name", "kind", "path", "value", "said"), PLANTED)
def test_what_is_planted_is_found(recorded, name, kind, path, value, said):
    """The report has resource, property, value, rule and model."""
    entry = recorded(cloud_of(kind), "prod").named(name, kind)
    reports = broken(replace(entry, inputs=planted(entry.inputs, path, value)))
    assert any(entry.startswith(f"{kind} {name}: ") and said in entry for entry in reports), reports


def test_a_type_without_a_model_is_found(recorded):
    """A new one needs its own."""
    entry = recorded("aws", "prod").named("shop-orders", FUNCTION)
    with pytest.raises(KeyError, match="layerVersion"):
        broken(replace(entry, type="aws:lambda/layerVersion:LayerVersion"))


def enumerations(wanted, shape, path):
    """Yield each path at which Pulumi's SDK and the service's model have an enumeration, and both."""
    for kind in schema._alternatives(wanted):
        if values := schema._values(kind):
            if shape.values:
                yield path, values, shape.values
        elif isinstance(kind, type) and _types.is_input_type(kind):
            for name, inner in schema._properties(kind)[0].items():
                if name in shape.fields and path.count(".") < DEEPEST:
                    yield from enumerations(inner, shape.fields[name](), f"{path}.{name}")
        elif typing.get_origin(kind) is not None and shape.item:
            yield from enumerations(typing.get_args(kind)[-1], shape.item(), path)


DEEPEST = 6
"""Levels; some models contain themselves."""


@pytest.mark.parametrize("kind", sorted(azure.MODELS))
def test_no_enumeration_is_another_apis(kind):
    """The stand-in holds a text to the SDK's enumeration, which is another one where two APIs have the same name for
    theirs: `schema.CORRECTED` has the service's for those."""
    module, model, _ = azure.MODELS[kind]
    properties = schema._properties(schema.args_class(f"azure-native:{kind}"))[0]
    shape = azure.shape(module, model)
    for name in sorted(properties.keys() & shape.fields.keys()):
        for path, ours, theirs in enumerations(properties[name], shape.fields[name](), name):
            assert set(ours) & set(theirs), f"{path}: {ours} in the SDK, {theirs} in the service's model"
