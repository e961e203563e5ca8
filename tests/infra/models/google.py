"""Google's discovery documents, as google-api-python-client brings them, and the bodies that make what a program registers.

A document says of each property its type, its enumeration and its form; limits are in its prose only, and in the stand-in's
rules. https://developers.google.com/discovery/v1/type-format
"""

from __future__ import annotations

import functools
import importlib.resources
import json
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from cloudqueues.pulumi.shapes import Lazy, Shape

Inputs = Mapping[str, Any]
Body = tuple[str, str, dict[str, Any]]
"""Document, schema and body."""

KINDS = {
    "string": "text",
    "integer": "whole",
    "number": "number",
    "boolean": "flag",
    "array": "list",
    "any": "anything",
}


def requests(type_: str, inputs: Inputs) -> Iterator[tuple[Shape, dict[str, Any]]]:
    """The bodies that make a resource. Raises KeyError for a type that is not in the table."""
    arguments = {key: value for key, value in inputs.items() if not key.startswith("__")}
    for name, schema, body in BODIES[type_.removeprefix("gcp:")](arguments):
        yield shape(name, schema), body


@functools.cache
def document(name: str) -> Mapping[str, Any]:
    """A service's, such as `cloudtasks.v2`."""
    folder = importlib.resources.files("googleapiclient.discovery_cache") / "documents"
    return json.loads((folder / f"{name}.json").read_text(encoding="utf-8"))


def hosts() -> frozenset[str]:
    """Services that a project can enable, by the documents there are."""
    folder = importlib.resources.files("googleapiclient.discovery_cache") / "documents"
    return frozenset(f"{element.name.split('.')[0]}.googleapis.com" for element in folder.iterdir())


@functools.cache
def shape(name: str, schema: str) -> Shape:
    """A schema of a document."""
    return _of(name, document(name)["schemas"][schema], schema)


def _of(name: str, said: Mapping[str, Any], where: str) -> Shape:
    if "$ref" in said:
        return shape(name, said["$ref"])
    source = f"google-api-python-client {name} {where}"
    if said.get("type") == "object":
        return _object(name, said, where, source)
    item = said.get("items")
    return Shape(
        source=source,
        kind="anything" if said.get("format") == "int64" else KINDS[said["type"]],  # a text or a number, both are taken
        item=None if item is None else functools.partial(_of, name, item, where),
        values=tuple(said.get("enum", ())),
        pattern=said.get("pattern"),
        least=None if "minimum" not in said else float(said["minimum"]),
        most=None if "maximum" not in said else float(said["maximum"]),
        form="duration in seconds, such as 30s" if said.get("format") == "google-duration" else None,
    )


def _object(name: str, said: Mapping[str, Any], where: str, source: str) -> Shape:
    if "additionalProperties" in said:
        return Shape(source=source, kind="map", item=functools.partial(_of, name, said["additionalProperties"], where))
    inputs = {key: element for key, element in said.get("properties", {}).items() if not _read_only(element)}
    fields: dict[str, Lazy] = {
        key: functools.partial(_of, name, element, f"{where}.{key}") for key, element in inputs.items()
    }
    required = frozenset(
        key for key, element in inputs.items() if element.get("description", "").startswith("Required. ")
    )
    return Shape(source=source, kind="object", fields=fields, required=required)


def _read_only(said: Mapping[str, Any]) -> bool:
    return bool(said.get("readOnly")) or said.get("description", "").lower().startswith("output only")


def _plain(name: str, schema: str, *path: str) -> Callable[[Inputs], Iterator[Body]]:
    """Take the inputs as they are, without those in the request's address."""

    def bodies(inputs: Inputs) -> Iterator[Body]:
        yield name, schema, {key: value for key, value in inputs.items() if key not in {"project", "location", *path}}

    return bodies


def _member(name: str, schema: str, *path: str) -> Callable[[Inputs], Iterator[Body]]:
    """A member of a policy: a binding of one."""

    def bodies(inputs: Inputs) -> Iterator[Body]:
        arguments = {key: value for key, value in inputs.items() if key not in {"project", "location", "member", *path}}
        yield name, schema, {**arguments, "members": [inputs["member"]]}

    return bodies


def _function(inputs: Inputs) -> Iterator[Body]:
    """Pulumi makes a plural of a list's name."""
    service = dict(inputs["serviceConfig"])
    if "directVpcNetworkInterfaces" in service:
        service["directVpcNetworkInterface"] = service.pop("directVpcNetworkInterfaces")
    arguments = {key: value for key, value in inputs.items() if key not in PLACE}
    yield "cloudfunctions.v2", "Function", {**arguments, "serviceConfig": service}


PLACE = {"project", "location"}


def _field(inputs: Inputs) -> Iterator[Body]:
    arguments = {key: value for key, value in inputs.items() if key in {"indexConfig", "ttlConfig"}}
    yield "firestore.v1", "GoogleFirestoreAdminV1Field", {"name": inputs["field"], **arguments}


def _account(inputs: Inputs) -> Iterator[Body]:
    about = {key: value for key, value in inputs.items() if key not in {"accountId", "project"}}
    yield "iam.v1", "CreateServiceAccountRequest", {"accountId": inputs["accountId"], "serviceAccount": about}


def _service(inputs: Inputs) -> Iterator[Body]:
    yield "serviceusage.v1", "BatchEnableServicesRequest", {"serviceIds": [inputs["service"]]}


def _subscription(inputs: Inputs) -> Iterator[Body]:
    """The provider writes "never" as an empty text, and the API as nothing."""
    arguments = {key: value for key, value in inputs.items() if key != "project"}
    if (inputs.get("expirationPolicy") or {}).get("ttl") == "":
        arguments["expirationPolicy"] = {}
    yield "pubsub.v1", "Subscription", arguments


def _bucket(inputs: Inputs) -> Iterator[Body]:
    moved = {"uniformBucketLevelAccess", "publicAccessPrevention", "forceDestroy", "project"}
    uniform = {"enabled": inputs["uniformBucketLevelAccess"]}
    access = {"uniformBucketLevelAccess": uniform, "publicAccessPrevention": inputs["publicAccessPrevention"]}
    yield "storage.v1", "Bucket", {**{k: v for k, v in inputs.items() if k not in moved}, "iamConfiguration": access}


def _repository(inputs: Inputs) -> Iterator[Body]:
    """The provider has a list of policies, each with its id; the API has a mapping."""
    policies = {policy["id"]: policy for policy in inputs["cleanupPolicies"]}
    left_out = PLACE | {"repositoryId", "cleanupPolicies"}
    arguments = {key: value for key, value in inputs.items() if key not in left_out}
    yield "artifactregistry.v1", "Repository", {**arguments, "cleanupPolicies": policies}


def _dashboard(inputs: Inputs) -> Iterator[Body]:
    yield "monitoring.v1", "Dashboard", json.loads(inputs["dashboardJson"])


BODIES: Mapping[str, Callable[[Inputs], Iterator[Body]]] = {
    "artifactregistry/repository:Repository": _repository,
    "artifactregistry/repositoryIamMember:RepositoryIamMember": _member("artifactregistry.v1", "Binding", "repository"),
    "cloudfunctionsv2/function:Function": _function,
    "cloudrunv2/serviceIamMember:ServiceIamMember": _member("run.v2", "GoogleIamV1Binding", "name"),
    "cloudtasks/queue:Queue": _plain("cloudtasks.v2", "Queue", "desiredState"),
    "cloudtasks/queueIamMember:QueueIamMember": _member("cloudtasks.v2", "Binding", "name"),
    "firestore/database:Database": _plain("firestore.v1", "GoogleFirestoreAdminV1Database", "deletionPolicy"),
    "firestore/field:Field": _field,
    "kms/cryptoKeyIAMMember:CryptoKeyIAMMember": _member("cloudkms.v1", "Binding", "cryptoKeyId"),
    "logging/metric:Metric": _plain("logging.v2", "LogMetric"),
    "logging/projectBucketConfig:ProjectBucketConfig": _plain("logging.v2", "LogBucket", "bucketId"),
    "logging/projectSink:ProjectSink": _plain("logging.v2", "LogSink", "uniqueWriterIdentity"),
    "monitoring/alertPolicy:AlertPolicy": _plain("monitoring.v3", "AlertPolicy"),
    "monitoring/dashboard:Dashboard": _dashboard,
    "monitoring/notificationChannel:NotificationChannel": _plain("monitoring.v3", "NotificationChannel"),
    "projects/iAMMember:IAMMember": _member("cloudresourcemanager.v3", "Binding"),
    "projects/service:Service": _service,
    "projects/serviceIdentity:ServiceIdentity": _service,
    "pubsub/subscription:Subscription": _subscription,
    "pubsub/topic:Topic": _plain("pubsub.v1", "Topic"),
    "pubsub/topicIAMMember:TopicIAMMember": _member("pubsub.v1", "Binding", "topic"),
    "serviceaccount/account:Account": _account,
    "serviceaccount/iAMMember:IAMMember": _member("iam.v1", "Binding", "serviceAccountId"),
    "storage/bucket:Bucket": _bucket,
    "storage/bucketObject:BucketObject": _plain("storage.v1", "Object", "source"),
}
"""Bodies by type. Inputs that are left out are in the request's address, or the provider's own."""
