"""Grants that let Google's own accounts use an existing key: topics and databases cannot be made without them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pulumi
from pulumi_gcp import kms, projects

from peeklock.infra.gcp.identity import AGENT
from peeklock.infra.gcp.naming import Deployment


def granted(
    deployment: Deployment, key: pulumi.Input[str] | None, services: Iterable[str], opts: pulumi.ResourceOptions
) -> dict[str, list[Any]]:
    """Grant each service's agent the use of the key. Returns the grants by service; without a key there are none. Google makes a
    project's agent on first request.

    `key`: full name. https://cloud.google.com/pubsub/docs/encryption#using-cmek,
    https://cloud.google.com/firestore/native/docs/use-cmek#create_a_service_agent
    """
    if key is None:
        return {service: [] for service in services}
    return {service: [_agent(deployment, key, service, opts)] for service in services}


def _agent(deployment: Deployment, key: pulumi.Input[str], service: str, opts: pulumi.ResourceOptions) -> Any:
    agent = projects.ServiceIdentity(
        f"{deployment.app}-agent-{service}", project=deployment.project, service=f"{service}.googleapis.com", opts=opts
    )
    return kms.CryptoKeyIAMMember(
        f"{deployment.app}-agent-{service}-may-encrypt",
        crypto_key_id=key,
        role=AGENT.role.value,
        member=agent.member,
        opts=pulumi.ResourceOptions(parent=opts.parent),
    )
