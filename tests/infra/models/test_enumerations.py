"""Tables of the stand-ins for Google Cloud and Azure, compared with the services' own models: an upgrade of the lock files
that moves a value fails here."""

from __future__ import annotations

import re
import typing

import azure.identity._enums
import azure.mgmt.servicebus.models
import pytest
from pulumi import _types

from cloudqueues.pulumi import aws_requests, rules, schema
from cloudqueues.pulumi.rules import gcp_enumerations
from cloudqueues.pulumi.wire import UNKNOWN
from cloudqueues.quotas import azure as azure_quotas
from cloudqueues.quotas import google as google_quotas
from tests.infra.models import google

SCHEMAS = {
    "cloudfunctionsv2/function:Function": ("cloudfunctions.v2", "Function"),
    "cloudrunv2/service:Service": ("run.v2", "GoogleCloudRunV2Service"),
    "cloudtasks/queue:Queue": ("cloudtasks.v2", "Queue"),
    "firestore/database:Database": ("firestore.v1", "GoogleFirestoreAdminV1Database"),
    "firestore/field:Field": ("firestore.v1", "GoogleFirestoreAdminV1Field"),
    "logging/metric:Metric": ("logging.v2", "LogMetric"),
    "monitoring/alertPolicy:AlertPolicy": ("monitoring.v3", "AlertPolicy"),
    "pubsub/topic:Topic": ("pubsub.v1", "Topic"),
}
"""Document and schema of each type whose properties have enumerations."""

ALARM, TABLE = "aws:cloudwatch/metricAlarm:MetricAlarm", "aws:dynamodb/table:Table"
LOGS, ROLE = "aws:cloudwatch/logGroup:LogGroup", "aws:iam/role:Role"
FUNCTION, MAPPING = "aws:lambda/function:Function", "aws:lambda/eventSourceMapping:EventSourceMapping"

DEEPEST = 7
"""Levels; some models contain themselves."""


def enumerated(kind):
    """Return the enumerations of a type's properties in Google's model, by path."""
    shape = google.shape(*SCHEMAS[kind])
    properties = schema._properties(schema.args_class(f"gcp:{kind}"))[0]
    names = sorted(properties.keys() & shape.fields.keys())
    return {path: values for name in names for path, values in _within(properties[name], shape.fields[name](), name)}


def _within(wanted, shape, path):
    for kind in schema._alternatives(wanted):
        if shape.values:
            yield path, shape.values
            return
        if isinstance(kind, type) and _types.is_input_type(kind) and path.count(".") < DEEPEST:
            properties = schema._properties(kind)[0]
            for name in sorted(properties.keys() & shape.fields.keys()):
                yield from _within(properties[name], shape.fields[name](), f"{path}.{name}")
        elif typing.get_origin(kind) is not None and shape.kind == "list" and shape.item:
            yield from _within(typing.get_args(kind)[-1], shape.item(), path)


@pytest.mark.parametrize("kind", sorted(SCHEMAS))
def test_enumerations_are_those_of_googles_documents(kind):
    """No path and no value is missing, and none is left over."""
    assert dict(gcp_enumerations.ENUMERATIONS[kind]) == enumerated(kind)


def test_every_type_with_an_enumeration_is_in_the_table():
    """A table of a type that has no test would drift."""
    assert gcp_enumerations.ENUMERATIONS.keys() == SCHEMAS.keys()


def test_regions_are_those_of_googles_documents():
    """The documents of services with regional endpoints list them."""
    documents = map(google.document, ("run.v2", "pubsub.v1", "storage.v1", "firestore.v1"))
    locations = {endpoint["location"] for document in documents for endpoint in document["endpoints"]}
    assert set(google_quotas.REGIONS) == locations - {"eu", "us"}


def test_states_of_a_queue_are_those_of_googles_document():
    """A program can ask for two of them: the third is made by a queue.yaml."""
    states = google.document("cloudtasks.v2")["schemas"]["Queue"]["properties"]["state"]["enum"]
    assert set(states) == {"STATE_UNSPECIFIED", "RUNNING", "PAUSED", "DISABLED"}


def test_regions_of_azure_are_at_least_those_of_its_sdk():
    """The SDK's list is older than some regions."""
    regions = {region.value for region in azure.identity._enums.RegionalAuthority}
    assert {region for region in regions if region and region != "tryautodetect"} <= set(azure_quotas.REGIONS)


def test_messaging_units_are_those_of_azures_model():
    """They are in the prose of the model."""
    text = re.sub(r"\s+", " ", azure.mgmt.servicebus.models.SBSku.__doc__)
    assert f"{{{', '.join(map(str, azure_quotas.MESSAGING_UNITS))}}} multiples of" in text


@pytest.mark.parametrize(
    ("kind", "inputs", "expected"),
    [
        (
            ALARM,
            {"comparisonOperator": "Bigger"},
            "comparisonOperator: 'Bigger': is none of GreaterThanOrEqualToThreshold, ",
        ),
        (ALARM, {"statistic": "Mean"}, "statistic: 'Mean': is none of SampleCount, Average, Sum, Minimum, Maximum"),
        (ALARM, {"metricQueries": [{"metric": {"unit": "Hz"}}]}, "metricQueries[0].metric.unit: 'Hz': is none of"),
        (ALARM, {"dimensions": {"QueueName": ""}}, "dimensions[0].value: '': length 0 is less than 1"),
        (TABLE, {"attributes": [{"name": "id", "type": "X"}]}, "attributes[0].type: 'X': is none of S, N, B"),
        (TABLE, {"billingMode": "FREE"}, "billingMode: 'FREE': is none of PROVISIONED, PAY_PER_REQUEST"),
        (TABLE, {"streamViewType": "ALL"}, "streamSpecification.streamViewType: 'ALL': is none of"),
        (LOGS, {"name": "shop orders"}, "name: 'shop orders': does not match"),
        (LOGS, {"logGroupClass": "CHEAP"}, "logGroupClass: 'CHEAP': is none of"),
        (FUNCTION, {"architectures": ["arm"]}, "architectures[0]: 'arm': is none of x86_64, arm64"),
        (FUNCTION, {"tracingConfig": {"mode": "On"}}, "tracingConfig.mode: 'On': is none of Active, PassThrough"),
        (FUNCTION, {"runtime": "python399"}, "runtime: 'python399': is none of"),
        (
            MAPPING,
            {"functionResponseTypes": ["All"]},
            "functionResponseTypes[0]: 'All': is none of ReportBatchItemFailures",
        ),
        (ROLE, {"maxSessionDuration": 60}, "maxSessionDuration: 60: 60 is less than 3600"),
        (ROLE, {"name": "shop orders"}, "name: 'shop orders': "),
    ],
)
def test_values_are_those_of_botocores_models(kind, inputs, expected):
    """The stand-in for AWS asks the model itself, and names the property as the program does."""
    assert [problem for problem in rules.problems(kind, inputs) if problem.startswith(expected)]
    (place, *_) = expected.partition(":")
    assert len([problem for problem in rules.problems(kind, inputs) if problem.startswith(f"{place}:")]) == 1


@pytest.mark.parametrize("kind", sorted(aws_requests.CALLS))
def test_a_preview_may_know_nothing(kind):
    """Each type is checked with whatever is known of it, down to no property at all."""
    token = f"aws:{kind}"
    assert aws_requests.problems(token, {}) == []
    assert aws_requests.problems(token, dict.fromkeys(schema.inputs(token), UNKNOWN)) == []
    assert aws_requests.problems("aws:s3/bucket:Bucket", {"acl": "none"}) == []
