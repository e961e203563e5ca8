"""Grants that let Google's own accounts use a key that was brought along: without them, neither topics nor databases are made."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pulumi
from pulumi_gcp import kms, projects

from peeklock.infra.gcp.identity import AGENT
from peeklock.infra.gcp.naming import Place


def granted(
    place: Place, key: str | None, services: Iterable[str], opts: pulumi.ResourceOptions
) -> dict[str, list[Any]]:
    """Grant each service's agent the use of the key. Return the grants by service; without a key there are none. A project gets an
    agent when it first asks for one.

    `key`: the whole name. https://cloud.google.com/pubsub/docs/encryption#using-cmek,
    https://cloud.google.com/firestore/native/docs/use-cmek#create_a_service_agent
    """
    if key is None:
        return {one: [] for one in services}
    return {one: [_agent(place, key, one, opts)] for one in services}


def _agent(place: Place, key: str, service: str, opts: pulumi.ResourceOptions) -> Any:
    agent = projects.ServiceIdentity(
        f"{place.app}-agent-{service}", project=place.project, service=f"{service}.googleapis.com", opts=opts
    )
    return kms.CryptoKeyIAMMember(
        f"{place.app}-agent-{service}-may-encrypt",
        crypto_key_id=key,
        role=AGENT.role.value,
        member=agent.member,
        opts=pulumi.ResourceOptions(parent=opts.parent),
    )
