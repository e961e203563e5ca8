"""Endpoints for tokens and credentials that do not answer, as seen by the stores and queues that need one."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import ExitStack

import pytest

from tests.blackholes.holes import Hole, Kind
from tests.blackholes.running import Case, run_all
from tests.blackholes.worlds import AWS, late

pytestmark = pytest.mark.slow

NO_KEYS = {name: value for name, value in AWS.items() if "KEY" not in name}


def container(address: str) -> dict[str, str]:
    """https://docs.aws.amazon.com/sdkref/latest/guide/feature-container-credentials.html"""
    return {**NO_KEYS, "AWS_CONTAINER_CREDENTIALS_FULL_URI": f"http://{address}/", "AWS_EC2_METADATA_DISABLED": "true"}


def instance(address: str) -> dict[str, str]:
    """https://docs.aws.amazon.com/sdkref/latest/guide/feature-imds-credentials.html"""
    return {**NO_KEYS, "AWS_EC2_METADATA_SERVICE_ENDPOINT": f"http://{address}/"}


def app_service(address: str) -> dict[str, str]:
    """https://learn.microsoft.com/azure/app-service/overview-managed-identity#rest-endpoint-reference"""
    return {"IDENTITY_ENDPOINT": f"http://{address}/", "IDENTITY_HEADER": "secret"}


def machine(address: str) -> dict[str, str]:
    return {"AZURE_POD_IDENTITY_AUTHORITY_HOST": f"http://{address}/"}


def metadata(address: str) -> dict[str, str]:
    """https://cloud.google.com/compute/docs/metadata/querying-metadata"""
    return {"GCE_METADATA_HOST": address, "GCE_METADATA_IP": address, "GOOGLE_CLOUD_PROJECT": "contoso"}


SOURCES = {
    "container": (container, Kind.SILENT),
    "container, slowly": (container, Kind.DRIP),
    "instance": (instance, Kind.SILENT),
    "app service": (app_service, Kind.SILENT),
    "app service, slowly": (app_service, Kind.DRIP),
    "machine": (machine, Kind.SILENT),
    "metadata": (metadata, Kind.SILENT),
    "metadata without tokens": (metadata, Kind.METADATA),
}

STORES = {
    "dynamodb://leases": ("container", "container, slowly", "instance"),
    "tables://contosoorders/leases": ("app service", "app service, slowly", "machine"),
    "firestore://contoso/leases": ("metadata", "metadata without tokens"),
}

QUEUES = {
    "https://sqs.eu-west-1.amazonaws.com/123456789012/dead": ("container", "container, slowly", "instance"),
    "sb://contoso.unresolved.test/dead": ("app service", "app service, slowly", "machine"),
    "cloudtasks://projects/p/locations/l/queues/q?target=https://c.example/": ("metadata", "metadata without tokens"),
    "pubsub://projects/p/topics/dead": ("metadata", "metadata without tokens"),
}


def cases(sources: tuple[str, ...], stack: ExitStack, environ: Mapping[str, str], whats: list[str], **more: str):
    """A case for each source of tokens."""
    prepared = {}
    for source in sources:
        variables, kind = SOURCES[source]
        hole = stack.enter_context(Hole(kind))
        prepared[source] = Case(
            scene="on_sqs",
            environ={**variables(hole.address), "PEEKLOCK_ORDERS_DEAD_LETTER": "memory://dead", **environ},
            arguments={"whats": whats, **more},
        )
    return prepared


@pytest.mark.parametrize("url", STORES)
def test_a_store_that_gets_no_token_gives_the_messages_back(url):
    """(trials 1.15)"""
    with ExitStack() as stack:
        reports = run_all(cases(STORES[url], stack, {"PEEKLOCK_STORE": url}, ["succeeds"] * 2, store=""))
    assert late(reports) == {}
    for source, report in reports.items():
        assert (report["ran"], report["answer"]) == ([], ["succeeds-0", "succeeds-1"]), source


@pytest.mark.parametrize("url", QUEUES)
def test_a_queue_that_gets_no_token_costs_its_dead_letters_only(url):
    """(trials 1.15)"""
    with ExitStack() as stack:
        environ = {"PEEKLOCK_ORDERS_DEAD_LETTER": url}
        reports = run_all(cases(QUEUES[url], stack, environ, ["succeeds", "fatal"]))
    assert late(reports) == {}
    for source, report in reports.items():
        assert (report["ran"], report["answer"]) == (["succeeds", "fatal"], ["fatal-1"]), source
