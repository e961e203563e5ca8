"""The rule table finds what is planted in a sound program."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import pytest

from handlers.orders.queue import ORDERS
from peeklock.infra.azure import App
from tests.infra.azure.rules import broken, seconds
from tests.infra.running import bundled, run


@pytest.fixture(scope="module")
def sound(tmp_path_factory):
    bundle = bundled(tmp_path_factory.mktemp("bundle") / "azure.zip")

    def made():
        app = App("shop", bundle=str(bundle))
        app.consumer(ORDERS, handler="a.b", topic="events")
        app.all()

    return run(made, {"capacity": {"orders": {"batch": 1}}})


def planted(inputs: Mapping, path: str, value):
    """A copy of the inputs with one value changed; None takes it out."""
    key, _, rest = path.partition(".")
    copy = dict(inputs)
    if rest and isinstance(copy[key], list):
        copy[key] = [planted(one, rest, value) for one in copy[key]]
    elif rest:
        copy[key] = planted(copy[key], rest, value)
    elif value is None:
        del copy[key]
    else:
        copy[key] = value
    return copy


PLANTED = [
    ("shop-orders", "servicebus:Queue", "lockDuration", "PT6M", "not within 5 and 300"),
    ("shop-orders", "servicebus:Queue", "lockDuration", "60", "no ISO 8601 duration"),
    ("shop-orders", "servicebus:Queue", "lockDuration", "PT", "no ISO 8601 duration"),
    ("shop-orders", "servicebus:Queue", "lockDuration", None, "is missing"),
    ("shop-orders", "servicebus:Queue", "maxDeliveryCount", 2001, "not within 1 and 2000"),
    ("shop-orders", "servicebus:Queue", "maxDeliveryCount", 0, "not within 1 and 2000"),
    ("shop-orders", "servicebus:Queue", "queueName", "orders-", "does not match"),
    ("shop-orders", "servicebus:Queue", "forwardDeadLetteredMessagesTo", None, "where no alarm looks"),
    ("shop-orders", "servicebus:Queue", "deadLetteringOnMessageExpiration", False, "what expires is lost"),
    ("shop-orders", "servicebus:Queue", "maxMessageSizeInKilobytes", 1024, "Premium only"),
    ("shop-bus", "servicebus:Namespace", "disableLocalAuth", False, "disableLocalAuth=False"),
    ("shop-bus", "servicebus:Namespace", "minimumTlsVersion", "1.0", "minimumTlsVersion='1.0'"),
    ("shop-bus", "servicebus:Namespace", "sku.name", "Basic", "sku.name='Basic'"),
    ("shop-bus", "servicebus:Namespace", "tags", {}, "tags app and stack are missing"),
    ("shop-orders-subscription", "servicebus:Subscription", "subscriptionName", "x" * 51, "does not match"),
    ("shophost", "storage:StorageAccount", "minimumTlsVersion", "TLS1_0", "none of"),
    ("shophost", "storage:StorageAccount", "accountName", "Shop-Host", "does not match"),
    ("shophost", "storage:StorageAccount", "allowBlobPublicAccess", True, "allowBlobPublicAccess=True"),
    ("shop-packages", "storage:BlobContainer", "publicAccess", "Blob", "publicAccess='Blob'"),
    ("shop-packages", "storage:BlobContainer", "containerName", "Pack--ages", "does not match"),
    ("shop-leases", "storage:Table", "tableName", "my-leases", "does not match"),
    ("shop-orders", "web:AppServicePlan", "sku.name", "Y1", "sku.name='Y1'"),
    ("shop-orders", "web:WebApp", "functionAppConfig.scaleAndConcurrency.instanceMemoryMB", 1024, "1024 is none of"),
    (
        "shop-orders",
        "web:WebApp",
        "functionAppConfig.scaleAndConcurrency.maximumInstanceCount",
        1001,
        "within 1 and 1000",
    ),
    ("shop-orders", "web:WebApp", "functionAppConfig.runtime.version", "3.9", "'3.9' is none of"),
    ("shop-orders", "web:WebApp", "httpsOnly", False, "httpsOnly=False"),
    ("shop-orders", "web:WebApp", "siteConfig.alwaysOn", True, "refuses alwaysOn"),
    ("shop-orders", "web:WebApp", "siteConfig.appSettings.value", "AccountKey=abc", "holds a secret"),
    ("shop-orders", "web:WebApp", "siteConfig.appSettings.name", "WEBSITE_RUN_FROM_PACKAGE", "refuses WEBSITE_RUN"),
    ("shop-orders-scm", "web:WebAppScmAllowed", "allow", True, "allow=True"),
    ("shop-orders-alarm-length", "monitor:MetricAlert", "windowSize", "PT2M", "is not offered"),
    ("shop-orders-alarm-length", "monitor:MetricAlert", "evaluationFrequency", "PT15M", "longer than the window"),
    ("shop-orders-alarm-length", "monitor:MetricAlert", "severity", 5, "severity=5"),
    (
        "shop-orders-alarm-length",
        "monitor:MetricAlert",
        "criteria.allOf.metricName",
        "QueueLength",
        "metric 'QueueLength'",
    ),
    ("shop-orders-alarm-length", "monitor:MetricAlert", "criteria.allOf.timeAggregation", "Total", "has no 'Total'"),
    ("shop-orders-alarm-length", "monitor:MetricAlert", "criteria.allOf.dimensions", [], "of the whole namespace"),
    ("shop-orders-alarm-length", "monitor:MetricAlert", "actions", [], "nobody is told"),
    (
        "shop-orders-alarm-failures",
        "monitor:ScheduledQueryRule",
        "criteria.allOf.metricMeasureColumn",
        "rate",
        "no column 'rate'",
    ),
    ("shop-orders-alarm-failures", "monitor:ScheduledQueryRule", "criteria.allOf.failingPeriods", {}, "failingPeriods"),
    ("shop-orders-alarm-failures", "monitor:ScheduledQueryRule", "windowSize", "PT1M", "longer than the window"),
    ("shop-orders-alarm-failures", "monitor:ScheduledQueryRule", "actions", {}, "nobody is told"),
    ("shop-logs", "operationalinsights:Workspace", "retentionInDays", 7, "within 30 and 730"),
    ("shop-insights", "applicationinsights:Component", "disableLocalAuth", False, "disableLocalAuth"),
    (
        "shop-orders-may-receive",
        "authorization:RoleAssignment",
        "scope",
        "/subscriptions/s/resourceGroups/g",
        "wider than one",
    ),
    (
        "shop-orders-may-receive",
        "authorization:RoleAssignment",
        "roleDefinitionId",
        "/x/8e3af657",
        "not among the listed",
    ),
    ("shop-high", "monitor:ActionGroup", "groupShortName", "thirteen-long", "does not match"),
    (
        "shop-orders-deploy",
        "resources:Deployment",
        "properties.template.resources.properties.packageUri",
        "https://shop.blob.core.windows.net/p/released-package.zip?sig=x",
        "no signature in the address",
    ),
]


def test_the_sound_program_is(sound):
    """So that what is found below is what was planted."""
    assert [said for one in sound.registrations for said in broken(one)] == []


@pytest.mark.parametrize(("name", "kind", "path", "value", "found"), PLANTED)
def test_what_is_planted_is_found(sound, name, kind, path, value, found):
    """By the rule that it breaks."""
    one = sound.named(name, f"azure-native:{kind}")
    (said, *_) = [said for said in broken(replace(one, inputs=planted(one.inputs, path, value))) if found in said]
    assert name in said


def test_a_type_without_rules_is_found(sound):
    """A new one needs its own, or an entry that says it needs none."""
    one = replace(sound.named("shop-bus"), type="azure-native:servicebus:Rule")
    assert broken(one) == ["servicebus:Rule has no rules"]


@pytest.mark.parametrize(
    ("text", "length"), [("PT1M", 60), ("P14D", 1_209_600), ("PT1H30M", 5400), ("P", None), (60, None)]
)
def test_durations_are_read(text, length):
    """ISO 8601, as far as Azure writes it."""
    assert seconds(text) == length
