"""Store of an app: a Firestore database of its own, or an existing collection."""

from __future__ import annotations

from typing import Any

import pulumi
from pulumi_gcp import firestore

from peeklock.infra.gcp.naming import Deployment, words
from peeklock.infra.options import Stage

COLLECTION = "leases"


def store(
    deployment: Deployment,
    stage: Stage,
    existing: pulumi.Input[str] | None,
    key: pulumi.Input[str] | None,
    keep: pulumi.ResourceOptions,
    opts: pulumi.ResourceOptions,
) -> tuple[pulumi.Input[str], pulumi.Input[str], list[Any]]:
    """Make or read the store. Returns its address, the database's full name, and the resources to make before it is used. An
    app has its own database, so that TTL policy and deletion belong to the stack."""
    name = f"{deployment.app}-store"
    if existing is not None:
        project, its_database, collection = words(existing, "projects", "databases", "collectionGroups")
        full_name = pulumi.Output.concat("projects/", project, "/databases/", its_database)
        read = firestore.Database.get(name, full_name, opts=pulumi.ResourceOptions(parent=opts.parent))
        return pulumi.Output.concat("firestore://", project, "/", its_database, "/", collection), full_name, [read]
    database = deployment.resource_name()
    resource = firestore.Database(
        name,
        name=database,
        project=deployment.project,
        location_id=deployment.region,
        type="FIRESTORE_NATIVE",
        delete_protection_state=f"DELETE_PROTECTION_{'ENABLED' if stage.protect else 'DISABLED'}",
        point_in_time_recovery_enablement=f"POINT_IN_TIME_RECOVERY_{'ENABLED' if stage.protect else 'DISABLED'}",
        deletion_policy="ABANDON" if stage.protect else "DELETE",
        cmek_config=None if key is None else {"kms_key_name": key},
        opts=keep,
    )
    indexes = [_field(deployment, resource, field, opts) for field in ("expires_at", "key", "r")]
    return (
        f"firestore://{deployment.project}/{database}/{COLLECTION}",
        f"projects/{deployment.project}/databases/{database}",
        [resource, *indexes],
    )


def _field(deployment: Deployment, database: Any, name: str, opts: pulumi.ResourceOptions) -> Any:
    """Configure a field without an index, since there are no queries by it and indexes limit the writes; `expires_at` has the
    TTL."""
    ttl: dict[str, Any] = {"ttl_config": {}} if name == "expires_at" else {}
    return firestore.Field(
        f"{deployment.app}-store-{name.replace('_', '-')}",
        project=deployment.project,
        database=database.name,
        collection=COLLECTION,
        field=name,
        index_config={},
        opts=opts,
        **ttl,
    )
