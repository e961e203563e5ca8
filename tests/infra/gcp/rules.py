"""Requirements for what we ship on Google Cloud, by resource type: safety, and no lost messages. What Google itself
refuses is in the stand-in's rules, which are asked too.

Each rule is a function of the inputs as on the wire that yields what is wrong.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from cloudqueues.pulumi.wire import UNKNOWN
from peeklock.infra.gcp.identity import Role
from tests.infra.models.check import refused
from tests.infra.recording import Registration

Inputs = Mapping[str, Any]
Rule = Callable[[Inputs], Iterator[str]]

SECONDS = re.compile(r"(\d+)s")
SECRET = re.compile(r"BEGIN [A-Z ]*PRIVATE KEY|password|AIza", re.IGNORECASE)
GAUGES = {
    "cloudtasks.googleapis.com/queue/depth",
    "pubsub.googleapis.com/subscription/num_undelivered_messages",
    "pubsub.googleapis.com/subscription/oldest_unacked_message_age",
}
"""https://cloud.google.com/monitoring/api/metrics_gcp_p_z#gcp-pubsub"""
DAY = 86_400


def at(inputs: Any, path: str) -> Any:
    for key in path.split("."):
        inputs = inputs.get(key) if isinstance(inputs, Mapping) else None
    return inputs


def duration(path: str, least: int, most: int) -> Rule:
    """Whole seconds, as `30s`."""

    def rule(inputs: Inputs) -> Iterator[str]:
        value = at(inputs, path)
        match = SECONDS.fullmatch(value) if isinstance(value, str) else None
        if match is None:
            yield f"{path}={value!r} is no duration"
        elif not least <= int(match[1]) <= most:
            yield f"{path}={value!r} is not within {least} and {most} seconds"

    return rule


def number(path: str, least: float, most: float) -> Rule:
    def rule(inputs: Inputs) -> Iterator[str]:
        value = at(inputs, path)
        if isinstance(value, bool) or not isinstance(value, int | float) or not least <= value <= most:
            yield f"{path}={value!r} is not within {least:g} and {most:g}"

    return rule


def one_of(path: str, *allowed: Any) -> Rule:
    def rule(inputs: Inputs) -> Iterator[str]:
        value = at(inputs, path)
        if value not in allowed:
            yield f"{path}={value!r} is none of {allowed}"

    return rule


def like(path: str, pattern: str) -> Rule:
    def rule(inputs: Inputs) -> Iterator[str]:
        value = at(inputs, path)
        if value != UNKNOWN and not (isinstance(value, str) and re.fullmatch(pattern, value)):
            yield f"{path}={value!r} does not match {pattern}"

    return rule


EMAIL = r"[a-z0-9-]{6,30}@[a-z0-9-]+\.iam\.gserviceaccount\.com"


def _queue(inputs: Inputs) -> Iterator[str]:
    if seconds(at(inputs, "retryConfig.minBackoff")) > seconds(at(inputs, "retryConfig.maxBackoff")):
        yield "minBackoff is longer than maxBackoff"
    target = inputs.get("httpTarget") or {}
    uri = target.get("uriOverride") or {}
    url = f"https://{uri.get('host')}{at(uri, 'pathOverride.path')}"
    if at(target, "oidcToken.audience") != url:
        yield f"the token's audience is not {url}, where it goes"


def seconds(text: Any) -> int:
    match = SECONDS.fullmatch(text) if isinstance(text, str) else None
    return int(match[1]) if match else 0


def _function(inputs: Inputs) -> Iterator[str]:
    service = inputs.get("serviceConfig") or {}
    if not re.fullmatch(r"(\d+)Mi", str(service.get("availableMemory"))):
        yield f"availableMemory={service.get('availableMemory')!r} is not in Mi"
    variables = service.get("environmentVariables") or {}
    for name, value in variables.items():
        if SECRET.search(value):
            yield f"environmentVariables: {name} holds a secret"
    locks = [value for name, value in variables.items() if name.endswith("_LOCK")]
    if locks != [str(service.get("timeoutSeconds"))]:
        yield f"the lock {locks} is not the time-out {service.get('timeoutSeconds')!r}"
    if not {"PEEKLOCK_STORE", "THREADS"} <= set(variables):
        yield "environmentVariables: no store, or no threads"


def _policy(inputs: Inputs) -> Iterator[str]:
    conditions = inputs.get("conditions") or ()
    if len(conditions) != 1:
        yield f"{len(conditions)} conditions: a policy with a query has one"
    for condition in conditions:
        yield from (
            _threshold(condition["conditionThreshold"]) if "conditionThreshold" in condition else _query(condition)
        )


def _threshold(condition: Inputs) -> Iterator[str]:
    metric = re.search(r'metric\.type="([^"]+)"', condition.get("filter", ""))
    if metric is None or metric[1] not in GAUGES:
        yield f"metric {metric and metric[1]!r} is not known to be a gauge"
    if "resource.type=" not in condition.get("filter", "") or "resource.labels." not in condition.get("filter", ""):
        yield "the metric is of the whole project: the filter names no resource"
    for aggregation in condition.get("aggregations") or ({},):
        yield from one_of("perSeriesAligner", "ALIGN_MAX", "ALIGN_MEAN", "ALIGN_MIN")(aggregation)
        yield from one_of("crossSeriesReducer", "REDUCE_SUM", "REDUCE_MAX")(aggregation)


def _query(condition: Inputs) -> Iterator[str]:
    query_condition = condition.get("conditionPrometheusQueryLanguage") or {}
    query = query_condition.get("query", "")
    yield from duration("duration", 0, DAY)(query_condition)
    if not query_condition.get("disableMetricValidation"):
        yield "a new project has none of the metrics yet: disableMetricValidation"
    if (
        any(query.count(opening) != query.count(closing) for opening, closing in ("()", "[]", "{}"))
        or query.count('"') % 2
    ):
        yield "the query's brackets or quotes are not closed"
    if query.count(":") != query.count('{monitored_resource="'):
        yield "a metric without its resource"
    if any(int(seconds) > 23 * 3600 for seconds in re.findall(r"\[(\d+)s\]", query)):
        yield "the query looks back further than a condition may"


def _role(*roles: Role) -> Rule:
    def rule(inputs: Inputs) -> Iterator[str]:
        if inputs.get("role") not in {role.value for role in roles}:
            yield f"role {inputs.get('role')!r} is not among the listed ones"
        member = inputs.get("member")
        if member != UNKNOWN and not re.fullmatch(rf"serviceAccount:{EMAIL}", str(member)):
            yield f"member {member!r} is no service account"

    return rule


def _on_project(inputs: Inputs) -> Iterator[str]:
    if inputs.get("role") == Role.DATASTORE.value and "/databases/" not in str(at(inputs, "condition.expression")):
        yield "the role is on all databases: no condition"
    if inputs.get("role") == Role.OBJECTS.value and "/buckets/" not in str(at(inputs, "condition.expression")):
        yield "the role is on all objects: no condition"


def _dashboard(inputs: Inputs) -> Iterator[str]:
    body = json.loads(inputs["dashboardJson"])
    for tile in body["mosaicLayout"]["tiles"]:
        if tile.get("xPos", 0) + tile["width"] > body["mosaicLayout"]["columns"]:
            yield f"{tile['widget']['title']} is beyond the last column"


def _database(inputs: Inputs) -> Iterator[str]:
    kept = inputs.get("deleteProtectionState") == "DELETE_PROTECTION_ENABLED"
    if kept != (inputs.get("deletionPolicy") == "ABANDON"):
        yield "deleteProtectionState and deletionPolicy say different things"


RULES: Mapping[str, tuple[Rule, ...]] = {
    "cloudtasks/queue:Queue": (
        one_of("retryConfig.maxAttempts", -1),
        one_of("retryConfig.maxRetryDuration", "0s"),
        duration("retryConfig.minBackoff", 1, 3600),
        duration("retryConfig.maxBackoff", 1, 3600),
        number("retryConfig.maxDoublings", 0, 16),
        number("stackdriverLoggingConfig.samplingRatio", 0, 1),
        one_of("desiredState", "RUNNING", "PAUSED"),
        one_of("httpTarget.httpMethod", "POST"),
        one_of("httpTarget.uriOverride.scheme", "HTTPS"),
        one_of("httpTarget.uriOverride.uriOverrideEnforceMode", "ALWAYS"),
        like("httpTarget.oidcToken.serviceAccountEmail", EMAIL),
        _queue,
    ),
    "cloudfunctionsv2/function:Function": (
        like("name", r"[a-z](?:[a-z0-9-]{0,47}[a-z0-9])?"),
        one_of("buildConfig.runtime", "python311", "python312", "python313"),
        like("buildConfig.entryPoint", r"[A-Za-z_][A-Za-z0-9_]*"),
        one_of("buildConfig.environmentVariables.GOOGLE_VENDOR_PIP_DEPENDENCIES", "vendor"),
        like("buildConfig.serviceAccount", rf"projects/[a-z0-9-]+/serviceAccounts/{EMAIL}"),
        number("serviceConfig.maxInstanceCount", 1, 1000),
        like("serviceConfig.serviceAccountEmail", EMAIL),
        one_of("serviceConfig.ingressSettings", "ALLOW_ALL", "ALLOW_INTERNAL_ONLY", "ALLOW_INTERNAL_AND_GCLB"),
        _function,
    ),
    "artifactregistry/repository:Repository": (one_of("format", "DOCKER"), one_of("cleanupPolicyDryRun", False)),
    "artifactregistry/repositoryIamMember:RepositoryIamMember": (_role(Role.IMAGES),),
    "cloudrunv2/serviceIamMember:ServiceIamMember": (_role(Role.INVOKER),),
    "cloudtasks/queueIamMember:QueueIamMember": (_role(Role.ENQUEUER),),
    "serviceaccount/iAMMember:IAMMember": (_role(Role.ACT_AS),),
    "pubsub/topicIAMMember:TopicIAMMember": (_role(Role.PUBLISHER),),
    "projects/iAMMember:IAMMember": (_role(Role.DATASTORE, Role.LOGS, Role.OBJECTS), _on_project),
    "serviceaccount/account:Account": (),
    "pubsub/topic:Topic": (),
    "pubsub/subscription:Subscription": (
        duration("messageRetentionDuration", 7 * DAY, 31 * DAY),
        one_of("expirationPolicy.ttl", ""),
    ),
    "firestore/database:Database": (
        one_of("type", "FIRESTORE_NATIVE"),
        one_of("deleteProtectionState", "DELETE_PROTECTION_ENABLED", "DELETE_PROTECTION_DISABLED"),
        one_of("pointInTimeRecoveryEnablement", "POINT_IN_TIME_RECOVERY_ENABLED", "POINT_IN_TIME_RECOVERY_DISABLED"),
        _database,
    ),
    "firestore/field:Field": (one_of("field", "expires_at", "key", "r"), one_of("indexConfig", {})),
    "logging/metric:Metric": (
        like("name", r"(?!/)[A-Za-z0-9_.,+!*',()%/-]{1,100}"),
        one_of("metricDescriptor.metricKind", "DELTA"),
        one_of("metricDescriptor.valueType", "INT64"),
        like("filter", r'resource\.type="cloud_run_revision" AND .*service_name="[^"]+" AND [^\\]+'),
    ),
    "logging/projectBucketConfig:ProjectBucketConfig": (like("bucketId", r"[A-Za-z0-9][\w.-]{0,99}"),),
    "logging/projectSink:ProjectSink": (
        like("name", r"[\w.-]{1,100}"),
        like("destination", r"logging\.googleapis\.com/projects/[^/]+/locations/[^/]+/.+"),
        like("filter", r'resource\.type="cloud_run_revision" AND .+'),
    ),
    "monitoring/alertPolicy:AlertPolicy": (
        one_of("combiner", "OR", "AND"),
        one_of("severity", "CRITICAL", "ERROR", "WARNING"),
        one_of("enabled", True),
        _policy,
    ),
    "monitoring/notificationChannel:NotificationChannel": (
        one_of("type", "email"),
        like("labels.email_address", r"[^@\s]+@[^@\s]+"),
    ),
    "monitoring/dashboard:Dashboard": (_dashboard,),
    "projects/service:Service": (
        like("service", r"[a-z]+\.googleapis\.com"),
        one_of("disableOnDestroy", False),
    ),
    "storage/bucket:Bucket": (
        one_of("uniformBucketLevelAccess", True),
        one_of("publicAccessPrevention", "enforced"),
    ),
    "storage/bucketObject:BucketObject": (like("name", r"[0-9a-f]{16}\.zip"),),
}

LABELS = {
    "artifactregistry/repository:Repository": "labels",
    "cloudfunctionsv2/function:Function": "labels",
    "pubsub/topic:Topic": "labels",
    "pubsub/subscription:Subscription": "labels",
    "storage/bucket:Bucket": "labels",
    "monitoring/alertPolicy:AlertPolicy": "userLabels",
    "monitoring/notificationChannel:NotificationChannel": "userLabels",
}


def broken(registration: Registration) -> list[str]:
    """Return what is wrong with a registration. A type that has no rules is wrong too."""
    if registration.read or not registration.custom:
        return []
    kind = registration.type.removeprefix("gcp:")
    if kind not in RULES:
        return [f"{kind} has no rules"]
    violations = [said for rule in RULES[kind] for said in rule(registration.inputs)]
    if kind in LABELS:
        violations += _labels(registration.inputs.get(LABELS[kind]) or {})
    return [*refused(registration), *(f"{kind} {registration.name}: {said}" for said in violations)]


def _labels(labels: Mapping[str, str]) -> Iterator[str]:
    if not {"app", "stack"} <= set(labels):
        yield "labels app and stack are missing"
    for key, value in labels.items():
        if not re.fullmatch(r"[a-z][a-z0-9_-]{0,62}", key) or not re.fullmatch(r"[a-z0-9_-]{0,63}", value):
            yield f"label {key}={value!r} has letters that a label has not"
