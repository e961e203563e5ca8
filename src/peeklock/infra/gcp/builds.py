"""Builds of an app's functions: their account, and the repository of their images."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pulumi
from pulumi_gcp import artifactregistry, projects, serviceaccount

from peeklock.infra.gcp.identity import READ_SOURCES, STORE_IMAGES, WRITE_LOGS, only_sources
from peeklock.infra.gcp.naming import Deployment
from peeklock.infra.settings.gcp import duration

IMAGE_LIFE = 30 * 86_400
"""Seconds that an image is kept. A service runs on a copy of its own, so that it needs none of them.
https://cloud.google.com/run/docs/deploying#images"""

IMAGES_KEPT = 5
"""Newest images of each function that are kept however old they are: a change of settings deploys the newest again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Builds:
    """Account and repository of the builds, and what the first build needs."""

    account: Any
    images: Any
    grants: tuple[Any, ...]


def make_builds(deployment: Deployment, labels: Mapping[str, str], code: Any, opts: pulumi.ResourceOptions) -> Builds:
    """Make an account for builds: the default account has no permissions in new projects, and too many in old ones. `code`: the
    bucket of the bundle.
    https://cloud.google.com/build/docs/cloud-build-service-account-updates"""
    account = serviceaccount.Account(
        f"{deployment.app}-builder",
        account_id=deployment.account("build"),
        project=deployment.project,
        display_name=f"Builds the functions of {deployment.app}",
        opts=opts,
    )
    images = _images(deployment, labels, opts)
    after = pulumi.ResourceOptions(parent=opts.parent)
    return Builds(account=account, images=images, grants=_grants(deployment, account, images, code, after))


def _images(deployment: Deployment, labels: Mapping[str, str], opts: pulumi.ResourceOptions) -> Any:
    """Make a repository that deletes old images: that of Google, `gcf-artifacts`, keeps them for ever, and belongs to all
    functions of the project.
    https://cloud.google.com/artifact-registry/docs/repositories/cleanup-policy"""
    return artifactregistry.Repository(
        f"{deployment.app}-images",
        repository_id=deployment.resource_name("images"),
        project=deployment.project,
        location=deployment.region,
        format="DOCKER",
        description=f"Images of the functions of {deployment.app}, stack {deployment.stack}",
        cleanup_policies=[
            {
                "id": "delete-old",
                "action": "DELETE",
                "condition": {"tag_state": "ANY", "older_than": duration(IMAGE_LIFE)},
            },
            {"id": "keep-newest", "action": "KEEP", "most_recent_versions": {"keep_count": IMAGES_KEPT}},
        ],
        cleanup_policy_dry_run=False,
        labels=labels,
        opts=opts,
    )


def _grants(
    deployment: Deployment, account: Any, images: Any, code: Any, opts: pulumi.ResourceOptions
) -> tuple[Any, ...]:
    name, project = f"{deployment.app}-builder-may", deployment.project
    return (
        projects.IAMMember(
            f"{name}-{WRITE_LOGS.name}", project=project, role=WRITE_LOGS.role.value, member=account.member, opts=opts
        ),
        projects.IAMMember(
            f"{name}-{READ_SOURCES.name}",
            project=project,
            role=READ_SOURCES.role.value,
            member=account.member,
            condition=code.apply(only_sources),
            opts=opts,
        ),
        artifactregistry.RepositoryIamMember(
            f"{name}-{STORE_IMAGES.name}",
            project=project,
            location=deployment.region,
            repository=images.name,
            role=STORE_IMAGES.role.value,
            member=account.member,
            opts=opts,
        ),
    )
