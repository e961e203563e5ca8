"""Recorded: policies and encryption keys. Not recorded: locations."""

from __future__ import annotations

import base64
from typing import Any

import pytest
from google.cloud import tasks_v2 as v2
from google.iam.v1 import policy_pb2  # type: ignore[import-untyped] # Google's

from cloudqueues.cloudtasks import CloudTasksEmulator
from tests.emulators.cloudtasks.support import HERE, details, queue_of, refusal

NOT_FOUND = "Requested entity was not found."
ACCOUNT = "serviceAccount:sa@p.iam.gserviceaccount.com"
VIEWER = {"role": "roles/cloudtasks.viewer", "members": [ACCOUNT]}


def policy_of(*bindings: Any, **fields: Any) -> policy_pb2.Policy:
    return policy_pb2.Policy(bindings=bindings, **fields)


def test_a_queue_without_a_policy(client: Any) -> None:
    policy = client.get_iam_policy({"resource": queue_of(client).name})
    assert (policy.version, base64.b64encode(policy.etag), list(policy.bindings)) == (0, b"ACAB", [])


def test_a_policy_is_kept_without_repetitions(client: Any) -> None:
    queue = queue_of(client).name
    policy = policy_of(
        {**VIEWER, "members": [ACCOUNT, ACCOUNT]}, VIEWER, {"role": "roles/cloudtasks.enqueuer", "members": []}
    )
    stored_policy = client.set_iam_policy({"resource": queue, "policy": policy})
    assert (stored_policy.version, list(stored_policy.bindings)) == (1, list(policy_of(VIEWER).bindings))
    assert client.get_iam_policy({"resource": queue}) == stored_policy
    emptied = client.set_iam_policy({"resource": queue})
    assert (emptied.version, list(emptied.bindings)) == (1, [])


def test_a_policy_is_changed_by_its_etag(client: Any) -> None:
    queue = queue_of(client).name

    def put(etag: bytes) -> Any:
        return client.set_iam_policy({"resource": queue, "policy": policy_of(VIEWER, etag=etag)})

    first = put(b"").etag
    second = put(first).etag
    assert second not in {first, b"\x00\x20\x01"}
    concurrent = (
        "ABORTED: There were concurrent policy changes."
        " Please retry the whole read-modify-write with exponential backoff."
    )
    assert refusal(lambda: put(first)).startswith(f"{concurrent} The request's ETag")
    assert refusal(lambda: put(b"\x00\x20\x01")).startswith(
        f"{concurrent} The request's ETag '\\000 \\001' did not match"
    )
    assert put(b"").etag != second


@pytest.mark.parametrize(
    ("policy", "said"),
    [
        (
            policy_of({**VIEWER, "role": "viewer"}),
            (
                'The role name must be in the form "roles/{role}", "organizations/{organization_id}/roles/{role}",'
                ' or "projects/{project_id}/roles/{role}".'
            ),
        ),
        *(
            (
                policy_of({**VIEWER, "members": [member]}),
                f"The member {member} is of an unknown type. Please set a valid type prefix for the member.",
            )
            for member in ("nobody", "robot:x@example.com")
        ),
        (
            policy_of({**VIEWER, "condition": {"title": "until 2030", "expression": "false"}}, version=3),
            "Can't set conditional policy on this resource",
        ),
        (
            policy_of(version=4),
            (
                "Specified policy version (4) is not supported. For more information, please refer to"
                " https://cloud.google.com/iam/help/allow-policies/versions."
            ),
        ),
    ],
)
def test_policies_that_are_refused(client: Any, policy: Any, said: Any) -> None:
    queue = queue_of(client).name
    assert refusal(lambda: client.set_iam_policy({"resource": queue, "policy": policy})) == f"INVALID_ARGUMENT: {said}"


def test_everything_is_permitted(client: Any) -> None:
    asked = ["tasks.run", "queues.get", "tasks.run", "queues.setIamPolicy"]
    request = {"resource": queue_of(client).name, "permissions": [f"cloudtasks.{permission}" for permission in asked]}
    assert list(client.test_iam_permissions(request).permissions) == [
        "cloudtasks.queues.get",
        "cloudtasks.queues.setIamPolicy",
        "cloudtasks.tasks.run",
        "cloudtasks.tasks.run",
    ]


@pytest.mark.parametrize(
    ("permissions", "said"),
    [
        ([], "At least one permission must be specified."),
        (["foo"], "The permission foo is invalid."),
        (["cloudtasks.queues."], "The permission cloudtasks.queues. is invalid."),
        (["cloudtasks.*"], "The permission cloudtasks.* is invalid."),
        (["storage.objects.get"], "Permission storage.objects.get is not valid for this resource."),
        (["cloudtasks.queues.create"], "Permission cloudtasks.queues.create is not valid for this resource."),
        (
            ["cloudtasks.queues.get", "storage.objects.get", "foo"],
            "Permission storage.objects.get is not valid for this resource.",
        ),
    ],
)
def test_permissions_that_are_refused(client: Any, permissions: Any, said: Any) -> None:
    request = {"resource": queue_of(client).name, "permissions": permissions}
    assert refusal(lambda: client.test_iam_permissions(request)) == f"INVALID_ARGUMENT: {said}"


# encryption keys

KEYS = f"{HERE}/keyRings/ring"


def test_a_key_is_remembered(emulator: CloudTasksEmulator) -> None:
    client = emulator.client()
    name = f"{HERE}/cmekConfig"
    assert client.get_cmek_config(name=name) == v2.CmekConfig(name=name)
    config = v2.CmekConfig(name=name, kms_key=f"{KEYS}/cryptoKeys/key")
    assert client.update_cmek_config(cmek_config=config) == client.get_cmek_config(name=name) == config


@pytest.mark.parametrize(
    ("key", "said"),
    [
        ("not-a-key", "INVALID_ARGUMENT: Resource name [not-a-key] does not match any known resource name pattern."),
        (KEYS, "INVALID_ARGUMENT: Request contains an invalid argument."),
        (f"{KEYS}/cryptoKeys/k/cryptoKeyVersions/1", "INVALID_ARGUMENT: Request contains an invalid argument."),
        ("projects/p/locations/x/keyRings/r/cryptoKeys/k", f"NOT_FOUND: {NOT_FOUND}"),
    ],
)
def test_keys_that_are_refused(emulator: CloudTasksEmulator, key: Any, said: Any) -> None:
    config = {"name": f"{HERE}/cmekConfig", "kms_key": key}
    assert refusal(lambda: emulator.client().update_cmek_config(cmek_config=config)) == said


def test_no_key_beside_header_overrides(emulator: CloudTasksEmulator) -> None:
    client = emulator.client()
    queue_of(client, http_target={"header_overrides": [{"header": {"key": "X-Custom", "value": "value"}}]})
    config = {"name": f"{HERE}/cmekConfig", "kms_key": "not-a-key"}
    assert refusal(lambda: client.update_cmek_config(cmek_config=config)) == (
        "FAILED_PRECONDITION: CMEK cannot be enabled on any project that has one or more queues with HTTP Target"
        " Override headers or tasks ttl of more than 60 days."
    )
    [info] = details(lambda: client.update_cmek_config(cmek_config=config))
    assert (info.reason, dict(info.metadata)) == ("UNSATISFIED_PRECONDITION_FOR_CMEK", {})


# what nobody recorded


def test_locations_are_those_with_queues(emulator: CloudTasksEmulator) -> None:
    client = emulator.client()
    queue_of(client)
    listed = client.list_locations({"name": "projects/p"})
    assert [location.name for location in listed.locations] == [HERE]
    assert not client.list_locations({"name": "projects/other"}).locations
    assert client.get_location({"name": HERE}) == listed.locations[0]
    assert listed.locations[0].location_id == "l"
