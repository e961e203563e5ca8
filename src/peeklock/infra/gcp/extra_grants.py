"""Grants of a team's own program: what else a handler may do."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import pulumi
from pulumi_gcp import bigquery, cloudrunv2, kms, projects, storage

from peeklock.errors import ConfigError
from peeklock.infra.gcp import iam_members
from peeklock.infra.gcp.naming import full_name, words
from peeklock.infra.inputs import check_text

FORMS: Mapping[str, tuple[str, ...]] = {
    "project": ("projects",),
    "bucket": ("projects", "buckets"),
    "secret": ("projects", "secrets"),
    "topic": ("projects", "topics"),
    "subscription": ("projects", "subscriptions"),
    "dataset": ("projects", "datasets"),
    "queue": ("projects", "locations", "queues"),
    "service": ("projects", "locations", "services"),
    "key": ("projects", "locations", "keyRings", "cryptoKeys"),
}
"""Forms of the full names, by kind of resource. A bucket's project is `_`, since its name is unique without one.
https://cloud.google.com/iam/docs/conditions-resource-attributes#resource-name"""

_NAME = re.compile(r"[a-z][a-z0-9-]*")
_ROLE = re.compile(r"(?:(?:projects|organizations)/[^/]+/)?roles/[A-Za-z0-9_.]+")


@dataclass(frozen=True, slots=True, kw_only=True)
class Grant:
    """One role on one resource, such as
    `Grant(name="invoices", role="roles/storage.objectViewer", on="projects/_/buckets/invoices")`."""

    name: str
    """Unique within the consumer; names the resource."""
    role: str
    on: pulumi.Input[str]
    """Full name of a project, bucket, secret, topic, subscription, dataset, queue, service of Cloud Run, or key."""
    kind: str | None = None
    """Kind of the resource, such as `bucket`. An output needs it: its form is not known when the program runs."""


def check_grants(grants: tuple[Grant, ...]) -> None:
    """Raise ConfigError for a grant that cannot be made, and for two of one name."""
    for grant in grants:
        if not _NAME.fullmatch(str(grant.name)):
            raise ConfigError(f"grants: name={grant.name!r}: use small letters, digits and '-' only")
        if not _ROLE.fullmatch(str(grant.role)):
            raise ConfigError(f"grants: {grant.name!r}: {grant.role!r} is no role such as roles/storage.objectViewer")
        full_name(f"grants: {grant.name!r}: on", grant.on, *FORMS[_kind(grant)])
    names = [grant.name for grant in grants]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise ConfigError(f"grants: two are named {twice[0]!r}; rename one of them")


def _kind(grant: Grant) -> str:
    kinds = ", ".join(FORMS)
    if grant.kind is not None:
        if grant.kind not in FORMS:
            raise ConfigError(f"grants: {grant.name!r}: kind={grant.kind!r}: use one of {kinds}")
        return grant.kind
    if isinstance(grant.on, pulumi.Output):
        raise ConfigError(f"grants: {grant.name!r}: on= is an output; say what it is by kind=, one of {kinds}")
    check_text(f"grants: {grant.name!r}: on", grant.on)
    collections = tuple(str(grant.on).split("/")[::2])
    for kind, form in FORMS.items():
        if form == collections:
            return kind
    raise ConfigError(
        f"grants: {grant.name!r}: on={grant.on!r} is no full name, such as projects/_/buckets/invoices, of one of these:"
        f" {kinds}; grant any other in your program, to the consumer's identity"
    )


def make(grant: Grant, name: str, member: Any, opts: pulumi.ResourceOptions) -> Any:
    """Make a grant as an IAM member. `name`: the resource's."""
    kind = _kind(grant)
    on = full_name(f"grants: {grant.name!r}: on", grant.on, *FORMS[kind])
    return _MAKERS[kind](name, on, grant.role, member, opts)


def _on_project(name: str, on: pulumi.Input[str], role: str, member: Any, opts: pulumi.ResourceOptions) -> Any:
    (project,) = words(on, *FORMS["project"])
    return projects.IAMMember(name, project=project, role=role, member=member, opts=opts)


def _on_bucket(name: str, on: pulumi.Input[str], role: str, member: Any, opts: pulumi.ResourceOptions) -> Any:
    _, bucket = words(on, *FORMS["bucket"])
    return storage.BucketIAMMember(name, bucket=bucket, role=role, member=member, opts=opts)


def _on_dataset(name: str, on: pulumi.Input[str], role: str, member: Any, opts: pulumi.ResourceOptions) -> Any:
    project, dataset = words(on, *FORMS["dataset"])
    return bigquery.DatasetIamMember(name, project=project, dataset_id=dataset, role=role, member=member, opts=opts)


def _on_service(name: str, on: pulumi.Input[str], role: str, member: Any, opts: pulumi.ResourceOptions) -> Any:
    project, location, service = words(on, *FORMS["service"])
    return cloudrunv2.ServiceIamMember(
        name, project=project, location=location, name=service, role=role, member=member, opts=opts
    )


def _on_key(name: str, on: pulumi.Input[str], role: str, member: Any, opts: pulumi.ResourceOptions) -> Any:
    return kms.CryptoKeyIAMMember(name, crypto_key_id=on, role=role, member=member, opts=opts)


_MAKERS: Mapping[str, Callable[[str, pulumi.Input[str], str, Any, pulumi.ResourceOptions], Any]] = {
    "project": _on_project,
    "bucket": _on_bucket,
    "secret": iam_members.on_secret,
    "topic": iam_members.on_topic,
    "subscription": iam_members.on_subscription,
    "dataset": _on_dataset,
    "queue": iam_members.on_queue,
    "service": _on_service,
    "key": _on_key,
}
