"""Physical names that each provider makes, and what the stack's `pulumi:autonaming` changes."""

from __future__ import annotations

import re
import uuid

import pytest
from pulumi.runtime.proto import provider_pb2

from cloudqueues.pulumi.autonaming import Autonaming, with_name
from cloudqueues.pulumi.provider import Provider
from cloudqueues.pulumi.resources import Cloud, MissingInput
from cloudqueues.pulumi.wire import plain, struct

QUEUE, ENTITY = "aws:sqs/queue:Queue", "azure-native:servicebus:Queue"
ACCOUNT, ROLE = "azure-native:storage:StorageAccount", "azure-native:authorization:RoleAssignment"


def name(type_, key="name", autonaming=None, program_name="orders", **inputs):
    return with_name(type_, program_name, b"seed", inputs, {}, autonaming)[key]


def mode(word, proposed="shop-orders"):
    return Autonaming(mode=word, proposed_name=proposed)


@pytest.mark.parametrize(
    ("type_", "key", "pattern"),
    [
        (QUEUE, "name", r"orders-[0-9a-f]{7}"),
        ("gcp:cloudtasks/queue:Queue", "name", r"orders-[0-9a-f]{7}"),
        (ACCOUNT, "accountName", r"orders[0-9a-f]{8}"),
        ("azure-native:servicebus:Namespace", "namespaceName", r"orders[0-9a-f]{8}"),
        ("azure-native:web:WebApp", "name", r"orders[0-9a-f]{8}"),
        (ENTITY, "queueName", r"orders"),
        ("azure-native:servicebus:Topic", "topicName", r"orders"),
        ("azure-native:servicebus:Subscription", "subscriptionName", r"orders"),
        ("azure-native:servicebus:Rule", "ruleName", r"orders"),
        ("azure-native:storage:BlobContainer", "containerName", r"orders"),
        ("azure-native:storage:Blob", "blobName", r"orders"),
        ("azure-native:storage:Table", "tableName", r"orders"),
    ],
)
def test_default_names(type_, key, pattern):
    """aws and gcp add a hyphen and 7 digits, azure-native 8 digits; below another resource it copies the name."""
    assert re.fullmatch(pattern, name(type_, key))


def test_a_role_assignment_is_named_by_a_uuid():
    assert uuid.UUID(name(ROLE, "roleAssignmentName"))
    assert uuid.UUID(name(ROLE, "roleAssignmentName", mode("PROPOSE")))


@pytest.mark.parametrize(
    ("type_", "key", "autonaming", "inputs", "expected"),
    [
        (QUEUE, "name", mode("PROPOSE"), {}, "shop-orders"),
        (QUEUE, "name", mode("ENFORCE"), {}, "shop-orders"),
        (QUEUE, "name", mode("PROPOSE"), {"fifoQueue": True}, "shop-orders.fifo"),
        (QUEUE, "name", mode("PROPOSE", "q.fifo"), {"fifoQueue": True}, "q.fifo"),
        (QUEUE, "name", mode("ENFORCE", "q"), {"fifoQueue": True}, "q"),
        (QUEUE, "name", mode("DISABLE"), {"name": "mine"}, "mine"),
        (ENTITY, "queueName", mode("PROPOSE"), {}, "shop-orders"),
        (ROLE, "roleAssignmentName", mode("ENFORCE"), {}, "shop-orders"),
    ],
)
def test_configured_names(type_, key, autonaming, inputs, expected):
    """The engine's proposal is taken; a FIFO queue gets its suffix unless the name is enforced."""
    assert name(type_, key, autonaming, **inputs) == expected


def test_a_name_stays_when_the_setting_changes():
    assert with_name(QUEUE, "orders", b"other", {}, {"name": "orders-1"}, mode("ENFORCE")) == {"name": "orders-1"}


@pytest.mark.parametrize(("type_", "key"), [(QUEUE, "name"), (ENTITY, "queueName")])
def test_disabled_names_have_to_be_given(type_, key):
    with pytest.raises(MissingInput, match=f"^{key}: automatic naming is disabled .* must set {key}"):
        name(type_, key, mode("DISABLE"))


def check(type_, program_name="orders", inputs=None, autonaming=None):
    package = type_.partition(":")[0]
    provider = Provider(Cloud(package=package, applied={}, recorded=frozenset({type_}), functions={}))
    request = provider_pb2.CheckRequest(type=type_, name=program_name, news=struct(inputs or {}), randomSeed=b"seed")
    if autonaming:
        request.autonaming.mode = getattr(provider_pb2.CheckRequest.AutonamingOptions, autonaming[0])
        request.autonaming.proposed_name = autonaming[1]
    return provider.Check(request, None)


def test_a_provider_takes_the_engines_proposal():
    """The protocol sends it with each check, after the provider has declared that it honours it."""
    provider = Provider(Cloud(package="aws", applied={}, recorded=frozenset(), functions={}))
    assert provider.Configure(provider_pb2.ConfigureRequest(), None).supports_autonaming_configuration
    assert provider.Handshake(provider_pb2.ProviderHandshakeRequest(), None).supports_autonaming_configuration
    assert plain(check(QUEUE, autonaming=("PROPOSE", "shop")).inputs) == {"name": "shop"}
    (failure,) = check(QUEUE, autonaming=("DISABLE", "")).failures
    assert failure.property == "name"


def test_a_storage_account_whose_digits_do_not_fit():
    """17 letters and 8 digits are one too many."""
    inputs = {"resourceGroupName": "shop", "kind": "StorageV2", "sku": {"name": "Standard_LRS"}}
    assert not check(ACCOUNT, "a" * 16, inputs).failures
    (failure,) = check(ACCOUNT, "a" * 17, inputs).failures
    assert "3 to 24 lowercase letters and digits" in failure.reason
