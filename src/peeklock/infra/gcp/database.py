"""The store: a Firestore database of the app's own, or a collection that was there before."""

from __future__ import annotations

from typing import Any

import pulumi
from pulumi_gcp import firestore

from peeklock.infra.gcp.naming import Place, parts
from peeklock.infra.options import Stage

COLLECTION = "leases"


def store(
    place: Place,
    stage: Stage,
    own: str | None,
    key: str | None,
    keep: pulumi.ResourceOptions,
    opts: pulumi.ResourceOptions,
) -> tuple[str, str, list[Any]]:
    """Address, whole name, and what has to be made first. A database of its own: its TTL and its end are the stack's."""
    name = f"{place.app}-store"
    if own is not None:
        project, database, collection = parts(own, "projects", "databases", "collectionGroups")
        whole = f"projects/{project}/databases/{database}"
        read = firestore.Database.get(name, whole, opts=pulumi.ResourceOptions(parent=opts.parent))
        return f"firestore://{project}/{database}/{collection}", whole, [read]
    database = place.named()
    made = firestore.Database(
        name,
        name=database,
        project=place.project,
        location_id=place.region,
        type="FIRESTORE_NATIVE",
        delete_protection_state=f"DELETE_PROTECTION_{'ENABLED' if stage.protect else 'DISABLED'}",
        point_in_time_recovery_enablement=f"POINT_IN_TIME_RECOVERY_{'ENABLED' if stage.protect else 'DISABLED'}",
        deletion_policy="ABANDON" if stage.protect else "DELETE",
        cmek_config=None if key is None else {"kms_key_name": key},
        opts=keep,
    )
    fields = [_field(place, made, one, opts) for one in ("expires_at", "key", "r")]
    return (
        f"firestore://{place.project}/{database}/{COLLECTION}",
        f"projects/{place.project}/databases/{database}",
        [made, *fields],
    )


def _field(place: Place, database: Any, name: str, opts: pulumi.ResourceOptions) -> Any:
    """Without an index, since nothing is ever queried by it and indexes limit the writes; `expires_at` with the TTL."""
    ttl: dict[str, Any] = {"ttl_config": {}} if name == "expires_at" else {}
    return firestore.Field(
        f"{place.app}-store-{name.replace('_', '-')}",
        project=place.project,
        database=database.name,
        collection=COLLECTION,
        field=name,
        index_config={},
        opts=opts,
        **ttl,
    )
