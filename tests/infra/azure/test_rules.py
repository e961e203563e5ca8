"""The rule table finds what is planted in a sound program."""

from __future__ import annotations

from dataclasses import replace

import pytest

from handlers.orders.queue import ORDERS
from peeklock.infra.azure import App
from tests.infra.azure.rules import broken
from tests.infra.running import bundled, planted, run


@pytest.fixture(scope="module")
def sound(tmp_path_factory):
    bundle = bundled(tmp_path_factory.mktemp("bundle") / "azure.zip")

    def program():
        app = App("shop", bundle=str(bundle))
        app.consumer(ORDERS, handler="a.b", topic="events")
        app.all()

    return run(program, {"capacity": {"orders": {"batch": 1}}})


PLANTED = [
    ("shop-orders", "servicebus:Queue", "lockDuration", "PT6M", "a lock is 5 to 300 s"),
    ("shop-orders", "servicebus:Queue", "lockDuration", None, "is missing"),
    ("shop-orders", "servicebus:Queue", "forwardDeadLetteredMessagesTo", None, "where no alarm looks"),
    ("shop-orders", "servicebus:Queue", "deadLetteringOnMessageExpiration", False, "what expires is lost"),
    ("shop-orders", "servicebus:Queue", "maxMessageSizeInKilobytes", 1024, "Premium only"),
    ("shop-bus", "servicebus:Namespace", "disableLocalAuth", False, "disableLocalAuth=False"),
    ("shop-bus", "servicebus:Namespace", "minimumTlsVersion", "1.0", "minimumTlsVersion='1.0'"),
    ("shop-bus", "servicebus:Namespace", "sku.name", "Basic", "sku.name='Basic'"),
    ("shop-bus", "servicebus:Namespace", "tags", {}, "tags app and stack are missing"),
    ("shophost", "storage:StorageAccount", "minimumTlsVersion", "TLS1_0", "none of"),
    ("shophost", "storage:StorageAccount", "allowBlobPublicAccess", True, "allowBlobPublicAccess=True"),
    ("shop-packages", "storage:BlobContainer", "publicAccess", "Blob", "publicAccess='Blob'"),
    ("shop-orders", "web:AppServicePlan", "sku.name", "Y1", "sku.name='Y1'"),
    ("shop-orders", "web:WebApp", "functionAppConfig.runtime.version", "3.9", "'3.9' is none of"),
    ("shop-orders", "web:WebApp", "httpsOnly", False, "httpsOnly=False"),
    ("shop-orders", "web:WebApp", "siteConfig.appSettings.value", "AccountKey=abc", "holds a secret"),
    (
        "shop-orders",
        "web:WebApp",
        "siteConfig.appSettings.name",
        "WEBSITE_RUN_FROM_PACKAGE",
        "refuses this app setting",
    ),
    ("shop-orders-scm", "web:WebAppScmAllowed", "allow", True, "allow=True"),
    ("shop-orders-alarm-length", "monitor:MetricAlert", "criteria.allOf.dimensions", [], "of the whole namespace"),
    ("shop-orders-alarm-length", "monitor:MetricAlert", "actions", [], "nobody is told"),
    (
        "shop-orders-alarm-failures",
        "monitor:ScheduledQueryRule",
        "criteria.allOf.metricMeasureColumn",
        "rate",
        "no column 'rate'",
    ),
    ("shop-orders-alarm-failures", "monitor:ScheduledQueryRule", "actions", {}, "nobody is told"),
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
    assert [said for registration in sound.registrations for said in broken(registration)] == []


@pytest.mark.parametrize(("name", "kind", "path", "value", "text"), PLANTED)
def test_what_is_planted_is_found(sound, name, kind, path, value, text):
    """Each planted fault is found by the rule that it breaks."""
    changed = sound.named(name, f"azure-native:{kind}")
    (said, *_) = [
        said for said in broken(replace(changed, inputs=planted(changed.inputs, path, value))) if text in said
    ]
    assert name in said


def test_a_type_without_rules_is_found(sound):
    """A new one needs its own, or an entry that says it needs none."""
    changed = replace(sound.named("shop-bus"), type="azure-native:servicebus:Rule")
    assert broken(changed) == ["servicebus:Rule has no rules"]
