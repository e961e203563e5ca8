"""The rule table finds what is planted in a sound program."""

from __future__ import annotations

from dataclasses import replace

import pytest

from handlers.orders.queue import ORDERS
from peeklock.infra.gcp import App
from peeklock.infra.options import Stage
from tests.infra.gcp.rules import RULES, broken
from tests.infra.running import bundled, planted, run
from tests.infra.schema import problems

MAIL = {"high": "oncall@example.com"}


@pytest.fixture(scope="module")
def sound(tmp_path_factory):
    bundle = bundled(tmp_path_factory.mktemp("bundle") / "gcp.zip")

    def program():
        app = App("shop", bundle=str(bundle), stage=Stage(log_days=60, notify=MAIL))
        app.consumer(ORDERS, handler="main.f")
        app.all()

    return run(program, {"gcp:project": "contoso", "gcp:region": "europe-west1"})


QUEUE, FUNCTION, POLICY = (
    "cloudtasks/queue:Queue",
    "cloudfunctionsv2/function:Function",
    "monitoring/alertPolicy:AlertPolicy",
)
THRESHOLD = "conditions.conditionThreshold"
QUERY = "conditions.conditionPrometheusQueryLanguage"
VARIABLES = "serviceConfig.environmentVariables"

PLANTED = [
    ("shop-orders", QUEUE, "retryConfig.maxAttempts", 5, "maxAttempts=5"),
    ("shop-orders", QUEUE, "retryConfig.maxAttempts", None, "maxAttempts=None"),
    ("shop-orders", QUEUE, "retryConfig.maxRetryDuration", "600s", "maxRetryDuration='600s'"),
    ("shop-orders", QUEUE, "retryConfig.minBackoff", "2", "is no duration"),
    ("shop-orders", QUEUE, "retryConfig.minBackoff", "0.5s", "is no duration"),
    ("shop-orders", QUEUE, "retryConfig.minBackoff", "PT2S", "is no duration"),
    ("shop-orders", QUEUE, "retryConfig.minBackoff", "901s", "longer than maxBackoff"),
    ("shop-orders", QUEUE, "retryConfig.maxBackoff", "3601s", "not within 1 and 3600"),
    ("shop-orders", QUEUE, "retryConfig.maxDoublings", 17, "not within 0 and 16"),
    ("shop-orders", QUEUE, "stackdriverLoggingConfig.samplingRatio", 2, "not within 0 and 1"),
    ("shop-orders", QUEUE, "desiredState", "STOPPED", "'STOPPED' is none of"),
    ("shop-orders", QUEUE, "httpTarget.httpMethod", "GET", "'GET' is none of"),
    ("shop-orders", QUEUE, "httpTarget.uriOverride.scheme", "HTTP", "'HTTP' is none of"),
    ("shop-orders", QUEUE, "httpTarget.uriOverride.host", "evil.example.com", "audience is not"),
    ("shop-orders", QUEUE, "httpTarget.uriOverride.uriOverrideEnforceMode", "IF_NOT_EXISTS", "none of"),
    ("shop-orders", QUEUE, "httpTarget.oidcToken.audience", "https://shop.example.com", "audience is not"),
    ("shop-orders", QUEUE, "httpTarget.oidcToken", None, "serviceAccountEmail=None"),
    ("shop-orders", FUNCTION, "name", "Shop-Orders", "does not match"),
    ("shop-orders", FUNCTION, "name", "s" * 50, "does not match"),
    ("shop-orders", FUNCTION, "serviceConfig.timeoutSeconds", 60, "is not the time-out"),
    ("shop-orders", FUNCTION, "serviceConfig.maxInstanceCount", None, "maxInstanceCount=None"),
    ("shop-orders", FUNCTION, "serviceConfig.availableMemory", "512", "is not in Mi"),
    ("shop-orders", FUNCTION, "serviceConfig.ingressSettings", "INTERNAL", "'INTERNAL' is none of"),
    ("shop-orders", FUNCTION, f"{VARIABLES}.GATEWAY_PASSWORD", "my password", "holds a secret"),
    ("shop-orders", FUNCTION, f"{VARIABLES}.PEEKLOCK_STORE", None, "no store"),
    ("shop-orders", FUNCTION, "buildConfig.runtime", "python39", "'python39' is none of"),
    ("shop-orders", FUNCTION, "buildConfig.environmentVariables", {}, "GOOGLE_VENDOR_PIP_DEPENDENCIES=None"),
    ("shop-orders", FUNCTION, "buildConfig.serviceAccount", "shop-build-dev", "does not match"),
    ("shop-orders", FUNCTION, "labels", {}, "labels app and stack are missing"),
    ("shop-orders", FUNCTION, "labels.consumer", "Orders", "has letters that a label has not"),
    ("shop-orders-may-be-called", "cloudrunv2/serviceIamMember:ServiceIamMember", "member", "allUsers", "allUsers"),
    ("shop-orders-may-be-called", "cloudrunv2/serviceIamMember:ServiceIamMember", "role", "roles/owner", "not among"),
    (
        "shop-orders-may-delay",
        "cloudtasks/queueIamMember:QueueIamMember",
        "role",
        "roles/cloudtasks.admin",
        "not among",
    ),
    ("shop-orders-may-remember", "projects/iAMMember:IAMMember", "condition", None, "on all databases"),
    ("shop-orders-may-dead-letter", "pubsub/topicIAMMember:TopicIAMMember", "role", "roles/pubsub.editor", "not among"),
    ("shop-orders-dead-letters", "pubsub/subscription:Subscription", "expirationPolicy", None, "ttl=None"),
    ("shop-orders-dead-letters", "pubsub/subscription:Subscription", "expirationPolicy.ttl", "2678400s", "is none of"),
    ("shop-orders-dead-letters", "pubsub/subscription:Subscription", "messageRetentionDuration", "3600s", "not within"),
    (
        "shop-orders-dead-letters",
        "pubsub/subscription:Subscription",
        "messageRetentionDuration",
        "31d",
        "is no duration",
    ),
    ("shop-store", "firestore/database:Database", "type", "DATASTORE_MODE", "is none of"),
    ("shop-store", "firestore/database:Database", "deletionPolicy", "DELETE", "say different things"),
    ("shop-store-r", "firestore/field:Field", "indexConfig", None, "indexConfig=None"),
    ("shop-orders-failed", "logging/metric:Metric", "metricDescriptor.metricKind", "GAUGE", "'GAUGE' is none of"),
    ("shop-orders-failed", "logging/metric:Metric", "name", "/failed", "does not match"),
    ("shop-orders-failed", "logging/metric:Metric", "filter", "peeklock.settled", "does not match"),
    ("shop-logs-sink", "logging/projectSink:ProjectSink", "destination", "storage.googleapis.com/b", "does not match"),
    ("shop-orders-alarm-length", POLICY, "severity", "HIGH", "'HIGH' is none of"),
    ("shop-orders-alarm-length", POLICY, "conditions", [], "0 conditions"),
    ("shop-orders-alarm-length", POLICY, f"{THRESHOLD}.duration", "0s", "needs a duration of 60 s or more"),
    (
        "shop-orders-alarm-length",
        POLICY,
        f"{THRESHOLD}.aggregations.perSeriesAligner",
        "ALIGN_PERCENTILE_99",
        "none of",
    ),
    (
        "shop-orders-alarm-length",
        POLICY,
        f"{THRESHOLD}.filter",
        'metric.type="cloudtasks.googleapis.com/queue/depth"',
        "of the whole project",
    ),
    ("shop-orders-alarm-length", POLICY, f"{THRESHOLD}.filter", 'metric.type="x/y"', "not known to be a gauge"),
    ("shop-orders-alarm-failures", POLICY, f"{QUERY}.query", "sum(a", "brackets or quotes"),
    ("shop-orders-alarm-failures", POLICY, f"{QUERY}.query", "sum(a:b) > 5", "without its resource"),
    ("shop-orders-alarm-failures", POLICY, f"{QUERY}.query", "sum(a[90000s]) > 5", "looks back further"),
    ("shop-orders-alarm-failures", POLICY, f"{QUERY}.disableMetricValidation", None, "none of the metrics yet"),
    ("shop-high", "monitoring/notificationChannel:NotificationChannel", "labels.email_address", "nobody", "not match"),
    ("shop-api-run", "projects/service:Service", "disableOnDestroy", True, "disableOnDestroy=True"),
    ("shop-code", "storage/bucket:Bucket", "publicAccessPrevention", "inherited", "is none of"),
    ("shop-bundle", "storage/bucketObject:BucketObject", "name", "bundle.zip", "does not match"),
]


def test_the_sound_program_is(sound):
    """So that what is found below is what was planted."""
    assert [said for registration in sound.registrations for said in broken(registration)] == []
    assert {
        registration.type.removeprefix("gcp:") for registration in sound.registrations if registration.custom
    } == set(RULES)


@pytest.mark.parametrize(("name", "kind", "path", "value", "text"), PLANTED)
def test_what_is_planted_is_found(sound, name, kind, path, value, text):
    """Each planted fault is found by the rule that it breaks."""
    changed = sound.named(name, f"gcp:{kind}")
    (said, *_) = [
        said for said in broken(replace(changed, inputs=planted(changed.inputs, path, value))) if text in said
    ]
    assert name in said


def test_a_type_without_rules_is_found(sound):
    """A new one needs its own."""
    changed = replace(sound.named("shop-store"), type="gcp:firestore/index:Index")
    assert broken(changed) == ["firestore/index:Index has no rules"]


@pytest.mark.parametrize(
    ("kind", "path", "value"),
    [
        (QUEUE, "rateLimits.maxDispatches", 5),
        (QUEUE, "retryConfig.minBackoff", 2),
        (FUNCTION, "serviceConfig.timeout", 5),
        (FUNCTION, "serviceConfig.maxInstanceCount", "5"),
    ],
)
def test_keys_and_types_are_the_sdks(sound, kind, path, value):
    """Cases that the rules above need not cover."""
    changed = sound.named("shop-orders", f"gcp:{kind}")
    assert problems(changed) == []
    assert problems(replace(changed, inputs=planted(changed.inputs, path, value)))
