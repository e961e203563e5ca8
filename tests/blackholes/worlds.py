"""How each store and each queue is reached where only a hole is: its address and its environment."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any

from tests.blackholes.holes import Hole, Kind
from tests.blackholes.running import LIMIT, SLACK

AWS = {
    "AWS_ACCESS_KEY_ID": "testing",
    "AWS_SECRET_ACCESS_KEY": "testing",
    "AWS_DEFAULT_REGION": "eu-west-1",
    "AWS_CONFIG_FILE": "/dev/null",
    "AWS_SHARED_CREDENTIALS_FILE": "/dev/null",
}
ACCOUNT_KEY = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="
"""Azurite's, which is public: https://learn.microsoft.com/azure/storage/common/storage-use-azurite"""

TCP = (Kind.SILENT, Kind.DRIP, Kind.FULL, Kind.RESET)

UNRESOLVED = "host.unresolved.test"


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """One store or queue. `url` and `environ` are made for a `host:port`, and for whether TLS is spoken there."""

    protocol: str
    url: Callable[[str, bool], str]
    environ: Callable[[str, bool], Mapping[str, str]] = field(default=lambda address, tls: {})
    kinds: tuple[Kind, ...] = (*TCP, Kind.TLS)
    name: Callable[[int], str] | None = lambda port: f"{UNRESOLVED}:1"
    """A `host:port` whose look-up never ends, given a silent name server's port; None where no name is looked up."""


def _scheme(tls: bool) -> str:
    return "https" if tls else "http"


def _tables(address: str, tls: bool) -> dict[str, str]:
    endpoint = f"{_scheme(tls)}://{address}/contosoorders"
    return {
        "PEEKLOCK_TABLES": f"DefaultEndpointsProtocol={_scheme(tls)};AccountName=contosoorders;AccountKey={ACCOUNT_KEY};"
        f"TableEndpoint={endpoint};"
    }


def _bus(address: str, tls: bool) -> dict[str, str]:
    plain = "" if tls else "UseDevelopmentEmulator=true;"
    return {
        "PEEKLOCK_SERVICEBUS": f"Endpoint=sb://{address};SharedAccessKeyName=k;SharedAccessKey={ACCOUNT_KEY};{plain}"
    }


def _by_dns(port: int) -> str:
    """A target of gRPC's: a name, and the name server to ask. https://grpc.github.io/grpc/core/md_doc_naming.html"""
    return f"dns://127.0.0.1:{port}/host.unresolved.test:443"


STORES: Mapping[str, Endpoint] = {
    "dynamodb": Endpoint(
        protocol="http",
        url=lambda address, tls: "dynamodb://leases",
        environ=lambda address, tls: {**AWS, "AWS_ENDPOINT_URL_DYNAMODB": f"{_scheme(tls)}://{address}"},
    ),
    "dynamodb in transactions": Endpoint(
        protocol="http",
        url=lambda address, tls: "dynamodb://leases?writes=transact",
        environ=lambda address, tls: {**AWS, "AWS_ENDPOINT_URL_DYNAMODB": f"{_scheme(tls)}://{address}"},
    ),
    "tables": Endpoint(protocol="http", url=lambda address, tls: "tables://contosoorders/leases", environ=_tables),
    "firestore": Endpoint(
        protocol="grpc",
        url=lambda address, tls: "firestore://contoso/leases",
        environ=lambda address, tls: {"FIRESTORE_EMULATOR_HOST": address},
        kinds=TCP,
        name=_by_dns,
    ),
    "redis": Endpoint(protocol="redis", url=lambda address, tls: f"redis{'s' * tls}://{address}"),
    "redis cluster": Endpoint(protocol="redis", url=lambda address, tls: f"redis{'s' * tls}://{address}?cluster=true"),
}

QUEUES: Mapping[str, Endpoint] = {
    "sqs": Endpoint(
        protocol="http",
        url=lambda address, tls: f"{_scheme(tls)}://{address}/123456789012/dead",
        environ=lambda address, tls: AWS,
    ),
    "servicebus": Endpoint(protocol="amqp", url=lambda address, tls: "sb://contoso/dead", environ=_bus),
    "cloudtasks": Endpoint(
        protocol="grpc",
        url=lambda address, tls: "cloudtasks://projects/p/locations/l/queues/dead?target=https://contoso.example/",
        environ=lambda address, tls: {"CLOUD_TASKS_EMULATOR_HOST": address},
        kinds=TCP,
        name=_by_dns,
    ),
    "pubsub": Endpoint(
        protocol="grpc",
        url=lambda address, tls: "pubsub://projects/p/topics/dead",
        environ=lambda address, tls: {"PUBSUB_EMULATOR_HOST": address, "GOOGLE_CLOUD_PROJECT": "p"},
        kinds=TCP,
        name=_by_dns,
    ),
}


def addresses(door: Endpoint, stack: ExitStack) -> dict[str, tuple[str, bool]]:
    """A `host:port` for each way not to answer, and whether TLS is spoken there."""
    holes = {kind: stack.enter_context(Hole(kind, door.protocol)) for kind in door.kinds}
    reached = {str(kind): (hole.address, kind is Kind.TLS) for kind, hole in holes.items()}
    if door.name is not None:
        resolver = stack.enter_context(Hole(Kind.RESOLVER))
        reached["dns"] = (door.name(resolver.port), False)
    return reached


def late(reports: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """The cases that did not answer before the limit, and how long they took."""
    took = {name: report.get("seconds", report) for name, report in reports.items()}
    return {name: each for name, each in took.items() if isinstance(each, dict) or each > LIMIT + SLACK}
