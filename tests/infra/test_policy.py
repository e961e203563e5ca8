"""Each rule over the recorded programs, and over the same with one thing wrong."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest

from peeklock.infra.aws import identity
from peeklock.infra.policy import RULES, Resource, aws, azure, gcp, violations
from tests.infra.running import STACKS, program

CLOUDS = ("aws", "azure", "gcp")


@cache
def resources(cloud: str, stack: str, *, preview: bool = False) -> tuple[Resource, ...]:
    """Return the resources of a program as a policy pack gets them."""
    with TemporaryDirectory() as folder:
        recorded = program(cloud, Path(folder), stack, preview=preview)
    return tuple(
        Resource(
            type=registration.type,
            name=registration.name,
            urn=registration.urn,
            props={"name": registration.name, **registration.inputs},  # as providers name what has no name
            refs=registration.property_dependencies,
        )
        for registration in recorded.registrations
    )


@pytest.mark.parametrize("stack", STACKS)
@pytest.mark.parametrize("cloud", CLOUDS)
def test_the_programs_break_none(cloud, stack):
    """On any stack."""
    assert [str(violation) for violation in violations(resources(cloud, stack))] == []


def without(*names: str) -> Callable[[Resource], Resource]:
    """Props and what they are made of."""
    return lambda resource: replace(
        resource,
        props={key: value for key, value in resource.props.items() if key not in names},
        refs={key: value for key, value in resource.refs.items() if key not in names},
    )


def having(**props: Any) -> Callable[[Resource], Resource]:
    return lambda resource: replace(resource, props={**resource.props, **props})


def within(name: str, **inner: Any) -> Callable[[Resource], Resource]:
    return lambda resource: replace(resource, props={**resource.props, name: {**resource.props[name], **inner}})


ALSO_WATCHING = {"shop-orders-alarm-new-dead-letters", "shop-orders-alarm-expiring"}
"""Other alarms of the dead letters, which are left out together with theirs."""

GONE = None
"""The resource is left out."""

WIDE = json.dumps({"Statement": {"Effect": "Allow", "Action": "sqs:*", "Resource": "arn:q"}})
ANYWHERE = json.dumps(
    {"Statement": [{"Effect": "Allow", "Action": ["sqs:SendMessage", "xray:PutTraceSegments"], "Resource": "*"}]}
)
SUBSCRIPTION = "/subscriptions/00000000-0000-0000-0000-000000000000"
OWNER = f"{SUBSCRIPTION}/providers/Microsoft.Authorization/roleDefinitions/8e3af657-a8ff-443c-a75c-2fe8c4bcb635"

PLANTED: list[tuple[str, str, str, Callable[[Resource], Resource] | None, str]] = [
    (aws.REDRIVE, "shop-orders-redrive", "aws-dead-letters", GONE, "shop-orders .* has no dead-letter queue"),
    ("aws:iam/rolePolicy:RolePolicy", "shop-orders-may", "aws-no-wildcards", having(policy=WIDE), r"allows sqs:\*: list"),
    ("aws:iam/rolePolicy:RolePolicy", "shop-orders-may", "aws-no-wildcards", having(policy=ANYWHERE), r"sqs:SendMessage on \*"),
    (aws.QUEUE, "shop-orders", "aws-encrypted", having(sqsManagedSseEnabled=False), "are not encrypted"),
    (aws.QUEUE_POLICY, "shop-orders-tls", "aws-tls-only", GONE, "shop-orders .* answers without TLS"),
    (aws.QUEUE_POLICY, "shop-orders-tls", "aws-tls-only", having(policy="{}"), "answers without TLS"),
    (aws.LOGS, "shop-orders-logs", "aws-retention", without("retentionInDays"), "keeps logs for ever"),
    (aws.QUEUE, "shop-orders-dead-letters", "aws-retention", without("messageRetentionSeconds"), "for 345600 s and .* for 604800 s"),
    (aws.ALARM, "shop-orders-alarm-dead-letters", "aws-alarms", GONE, "shop-orders-dead-letters .* no alarm watches it"),
    (aws.QUEUE, "shop-orders", "aws-timeouts", without("visibilityTimeoutSeconds"), "raise visibilityTimeoutSeconds to 1830"),
    (aws.FUNCTION, "shop-orders", "aws-timeouts", having(timeout=900), "raise visibilityTimeoutSeconds to 5400"),
    (aws.REDRIVE, "shop-orders-redrive", "aws-deliveries", having(redrivePolicy='{"maxReceiveCount": 5}'), "after 5 receives: raise maxReceiveCount to 1000"),
    (aws.REDRIVE, "shop-orders-redrive", "aws-deliveries", having(redrivePolicy='{"maxReceiveCount": "99"}'), "raise maxReceiveCount"),
    (aws.QUEUE, "shop-orders", "aws-deliveries", having(redrivePolicy='{"maxReceiveCount": 10}'), "after 10 receives"),
    (aws.MAPPING, "shop-orders-mapping", "aws-partial-failures", having(functionResponseTypes=[]), "brings its whole batch"),
    (azure.QUEUE, "shop-orders", "azure-dead-letters", without("deadLetteringOnMessageExpiration"), "messages that expire in it are lost"),
    (azure.ASSIGNMENT, "shop-orders-may-receive", "azure-no-wildcards", having(roleDefinitionId=OWNER), "Owner has all permissions"),
    (azure.ASSIGNMENT, "shop-orders-may-receive", "azure-no-wildcards", having(scope=SUBSCRIPTION), "give the resource's id"),
    (azure.ASSIGNMENT, "shop-orders-may-receive", "azure-no-wildcards", having(scope=f"{SUBSCRIPTION}/resourceGroups/shop"), "give the resource's id"),
    (azure.NAMESPACE, "shop-bus", "azure-no-keys", without("disableLocalAuth"), "set disableLocalAuth"),
    (azure.STORAGE, "shophost", "azure-no-keys", having(allowBlobPublicAccess=True), "anybody may read its blobs"),
    (azure.NAMESPACE, "shop-bus", "azure-tls-only", having(minimumTlsVersion="1.0"), "takes old TLS"),
    (azure.STORAGE, "shophost", "azure-tls-only", without("minimumTlsVersion"), "takes old TLS"),
    (azure.STORAGE, "shophost", "azure-tls-only", having(enableHttpsTrafficOnly=False), "takes plain HTTP"),
    (azure.APP, "shop-orders", "azure-tls-only", without("httpsOnly"), "set httpsOnly"),
    (azure.WORKSPACE, "shop-logs", "azure-retention", without("retentionInDays"), "set retentionInDays"),
    (azure.QUEUE, "shop-orders-dead-letters", "azure-retention", having(defaultMessageTimeToLive="P1DT1H1M1.5S", deadLetteringOnMessageExpiration=True), "expire before shop-orders's"),
    (azure.ALERTS[0], "shop-orders-alarm-dead-letters", "azure-alarms", GONE, "shop-orders-dead-letters .* no alert watches it"),
    (azure.QUEUE, "shop-orders", "azure-timeouts", having(lockDuration="PT30S"), r"raise lockDuration to \d+ s"),
    (azure.QUEUE, "shop-orders", "azure-deliveries", without("maxDeliveryCount"), "after 10 deliveries: raise maxDeliveryCount to 2000"),
    (azure.QUEUE, "shop-orders-dead-letters", "azure-deliveries", having(maxDeliveryCount=99), "raise maxDeliveryCount"),
    (gcp.QUEUE, "shop-orders", "gcp-dead-letters", without("retryConfig"), "set retryConfig.maxAttempts to -1"),
    (gcp.QUEUE, "shop-orders", "gcp-dead-letters", within("retryConfig", maxRetryDuration="60s"), "deleted when its time is over"),
    (gcp.SUBSCRIPTION, "shop-orders-dead-letters", "gcp-dead-letters", having(pushConfig={"pushEndpoint": "https://x"}), "give it a deadLetterPolicy"),
    ("gcp:cloudtasks/queueIamMember:QueueIamMember", "shop-orders-may-delay", "gcp-no-wildcards", having(role="roles/cloudtasks.admin"), "has all permissions"),
    ("gcp:cloudrunv2/serviceIamMember:ServiceIamMember", "shop-orders-may-be-called", "gcp-no-wildcards", having(member="allUsers"), "allUsers is everybody"),
    (gcp.PROJECT, "shop-orders-may-remember", "gcp-no-wildcards", without("condition"), "holds in the whole project"),
    (gcp.BUCKET, "shop-code", "gcp-not-public", without("publicAccessPrevention"), "may be made public"),
    (gcp.QUEUE, "shop-orders", "gcp-tls-only", within("httpTarget", uriOverride={"scheme": "HTTP"}), "sends in plain text"),
    (gcp.QUEUE, "shop-orders", "gcp-tls-only", within("httpTarget", oidcToken=None), "give httpTarget an oidcToken"),
    (gcp.SUBSCRIPTION, "shop-orders-dead-letters", "gcp-retention", without("expirationPolicy"), "set expirationPolicy.ttl"),
    (gcp.POLICY, "shop-orders-alarm-dead-letters", "gcp-alarms", GONE, "no alert policy watches it"),
    (gcp.FUNCTION, "shop-orders", "gcp-timeouts", within("serviceConfig", timeoutSeconds=34), "is stopped after 34 s"),
    (gcp.FUNCTION, "shop-orders", "gcp-timeouts", within("serviceConfig", timeoutSeconds=40), "calls again after 40 s"),
]  # fmt: skip


@pytest.mark.parametrize(("type_", "name", "rule", "change", "fix"), PLANTED)
def test_a_planted_error_is_found(type_, name, rule, change, fix):
    """Only the rule of the error finds it, and says what to do."""
    deployed = resources(rule.partition("-")[0], "dev")
    (wrong,) = [resource for resource in deployed if (resource.type, resource.name) == (type_, name)]
    left_out = ALSO_WATCHING if rule.endswith("-alarms") else set()
    rest = [resource for resource in deployed if resource is not wrong and resource.name not in left_out]
    broken_rules = violations(rest if change is None else [*rest, change(wrong)])
    assert {violation.rule.name for violation in broken_rules} == {rule}
    assert any(re.search(fix, str(violation)) for violation in broken_rules), [
        str(violation) for violation in broken_rules
    ]


@pytest.mark.parametrize(("type_", "name", "rule", "change", "fix"), PLANTED)
def test_what_is_not_known_yet_is_not_judged(type_, name, rule, change, fix):
    """A preview may not know a property; its absence is no violation then."""
    judges = {each.name: each.judges for each in RULES}[rule]
    deployed = resources(rule.partition("-")[0], "dev")
    (registration,) = [each for each in deployed if (each.type, each.name) == (type_, name)]
    unsaid = replace(without(*judges)(registration), unknown=judges)
    assert [str(each) for each in violations([*(each for each in deployed if each is not registration), unsaid])] == []


def test_a_policy_of_one_statement():
    """Stands without a list as well."""
    deny = {"Effect": "Deny", "Action": "sqs:*", "Condition": {"Bool": {"aws:SecureTransport": "false"}}}
    deployed = resources("aws", "dev")
    (policy,) = [each for each in deployed if (each.type, each.name) == (aws.QUEUE_POLICY, "shop-orders-tls")]
    alone = having(policy=json.dumps({"Statement": deny}))(policy)
    assert violations([*(each for each in deployed if each is not policy), alone]) == []


def made(type_: str, name: str, refs: dict[str, str] | None = None, **props: Any) -> Resource:
    """A resource by itself. `refs`: the name of the resource that a property comes from."""
    urns = {key: (f"urn:{source}",) for key, source in (refs or {}).items()}
    return Resource(type=type_, name=name, urn=f"urn:{name}", props={"name": name, **props}, refs=urns)


def broken(rule: str, *stack: Resource) -> list[str]:
    """Names of the resources that break the rule."""
    (chosen,) = [candidate for candidate in RULES if candidate.name == rule]
    return [violation.resource.name for violation in violations(stack, [chosen])]


def mapping(**props: Any) -> Resource:
    return made(aws.MAPPING, "orders-mapping", {"eventSourceArn": "orders", "functionName": "charge"}, **props)


@pytest.mark.parametrize(
    ("watched", "wrong"), [("orders", []), ("orders-dead-letters", ["orders"]), ("new-orders", ["orders"])]
)
def test_an_alarm_names_the_queue_as_a_whole(watched, wrong):
    """Not a queue with a longer name."""
    alarm = made(aws.ALARM, "alarm", dimensions={"QueueName": watched})
    assert broken("aws-alarms", made(aws.QUEUE, "orders"), mapping(), alarm) == wrong


@pytest.mark.parametrize(("kept", "wrong"), [(86_401, []), (86_400, ["dead"]), (60, ["dead"])])
def test_dead_letters_are_kept_for_longer_than_messages(kept, wrong):
    """The same time is not enough: it counts from when the message was sent."""
    queue = made(aws.QUEUE, "orders", {"redrivePolicy": "dead"}, messageRetentionSeconds=86_400)
    assert broken("aws-retention", queue, made(aws.QUEUE, "dead", messageRetentionSeconds=kept)) == wrong


@pytest.mark.parametrize(("visibility", "wrong"), [(90, []), (89, ["orders"])])
def test_messages_are_locked_for_six_timeouts_and_the_window(visibility, wrong):
    """To the second."""
    queue = made(aws.QUEUE, "orders", visibilityTimeoutSeconds=visibility)
    function = made(aws.FUNCTION, "charge", timeout=10)
    assert broken("aws-timeouts", queue, function, mapping(maximumBatchingWindowInSeconds=30)) == wrong


@pytest.mark.parametrize(
    "type_", ["aws:iam/rolePolicy:RolePolicy", "aws:iam/policy:Policy", "aws:iam/userPolicy:UserPolicy"]
)
def test_a_policy_of_any_kind_lists_its_actions(type_):
    """Attached to a role or a user, or by itself."""
    assert broken("aws-no-wildcards", made(type_, "wide", policy=WIDE)) == ["wide"]


@pytest.mark.parametrize(
    ("scope", "wrong"),
    [
        ("/providers/Microsoft.Management/managementGroups/contoso", ["role"]),
        (f"{SUBSCRIPTION}/resourceGroups/shop/providers/Microsoft.ServiceBus/namespaces/bus", []),
    ],
)
def test_a_role_is_granted_on_a_resource(scope, wrong):
    """Not on a management group, which has subscriptions in it."""
    assert broken("azure-no-wildcards", made(azure.ASSIGNMENT, "role", scope=scope)) == wrong


@pytest.mark.parametrize("type_", [azure.QUEUE, azure.SUBSCRIPTION])
def test_what_expires_is_dead_lettered_in_queues_and_subscriptions(type_):
    """Unless it never expires."""
    assert broken("azure-dead-letters", made(type_, "short", defaultMessageTimeToLive="P1D")) == ["short"]
    assert broken("azure-dead-letters", made(type_, "long")) == []


@pytest.mark.parametrize(
    ("props", "wrong"),
    [
        ({"role": "roles/run.invoker", "member": "allAuthenticatedUsers"}, ["grant"]),
        ({"role": "roles/run.invoker", "member": "serviceAccount:a@b"}, []),
        *(
            ({"role": f"roles/{name}", "member": "serviceAccount:a@b"}, ["grant"])
            for name in ("owner", "editor", "viewer")
        ),
    ],
)
def test_a_grant_is_narrow_and_to_somebody(props, wrong):
    """A role for all Google accounts is a role for everybody."""
    assert (
        broken("gcp-no-wildcards", made("gcp:cloudrunv2/serviceIamMember:ServiceIamMember", "grant", **props)) == wrong
    )


@pytest.mark.parametrize(("uniform", "wrong"), [(True, []), (False, ["code"])])
def test_objects_have_no_access_of_their_own(uniform, wrong):
    """An object with its own access rules could be made public."""
    bucket = made(gcp.BUCKET, "code", publicAccessPrevention="enforced", uniformBucketLevelAccess=uniform)
    assert broken("gcp-not-public", bucket) == wrong


@pytest.mark.parametrize(("deadline", "wrong"), [(61, []), (60, ["charge"])])
def test_cloud_tasks_waits_for_longer_than_a_function_runs(deadline, wrong):
    """To the second."""
    variables = {"PEEKLOCK_ORDERS_LOCK": "30", "PEEKLOCK_ORDERS_URL": f"cloudtasks://p/q?deadline={deadline}"}
    service = {"environmentVariables": variables, "timeoutSeconds": 60}
    assert broken("gcp-timeouts", made(gcp.FUNCTION, "charge", serviceConfig=service)) == wrong


def test_every_rule_has_a_planted_error():
    """Or it may be one that cannot fail."""
    assert {rule for _, _, rule, _, _ in PLANTED} == {rule.name for rule in RULES}


def test_every_rule_says_why_and_whence():
    """In one sentence each."""
    assert len({rule.name for rule in RULES}) == len(RULES)
    for rule in RULES:
        assert rule.name.startswith(f"{rule.cloud}-")
        assert rule.source.startswith("https://")
        assert rule.why


def test_the_exceptions_are_those_of_the_roles():
    """Neither may import the other: a pack's environment has no Pulumi SDK of AWS."""
    assert aws.ANYWHERE == identity.ANYWHERE
