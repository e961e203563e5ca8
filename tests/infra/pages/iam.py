"""docs/iam.md: what each identity may do, from the grants that the components make."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from handlers.orders.queue import ORDERS, RECEIPTS
from peeklock import Queue
from peeklock.infra.aws import identity as aws
from peeklock.infra.azure import identity as azure
from peeklock.infra.gcp import identity as gcp
from tests.infra.pages.text import link, page, table

FIRST = """\
Computed from what a consumer does, and granted on exactly what it works with. Here for a consumer of `orders` that sends to
`receipts`; a test holds the recorded programs to these rows. No key and no secret is made anywhere."""

ARNS = aws.ConsumerArns(
    queue="the queue",
    dead_letters="its dead letters",
    table="the store's table",
    logs="its log group",
    sends=("each queue in `uses=`",),
    key="your key",
    network=True,
)
AZURE = {
    "host": "storage account of the hosts",
    "code": "the container of its own code",
    "packages": "container of packages",
    "telemetry": "Application Insights",
}
GCP = {
    "caller": "the account that the queue calls as",
    "store": "the database, by a condition",
    "secret": "each secret",
    "sources": "objects with sources, by a condition",
    "images": "the app's repository of images",
}

FIFO = Queue("ordered", fifo=True)


def iam() -> str:
    return page("Identities", FIRST, [("AWS", _aws()), ("Azure", _azure()), ("Google Cloud", _gcp())])


def _aws() -> str:
    rows: list[tuple[str, ...]] = []
    for who, grants in (
        ("function", aws.grants(ARNS)),
        ("producer, `grant_send`", aws.send_grants("the queue", "your key")),
        ("operator, `grant_redrive`", aws.redrive_grants("the queue", "its dead letters", "your key")),
    ):
        rows += [
            (who, ", ".join(f"`{action}`" for action in grant.actions), _on(grant.on), grant.why) for grant in grants
        ]
    listed = ", ".join(f"`{action}`" for action in sorted(aws.ANYWHERE))
    return (
        f"`*` stands only where a service has no resource to name: {listed}. The last six, and your key, only where you bring"
        f" a network or a key. Lambda assumes the role, and nobody else.\n\n{table(('who', 'actions', 'on', 'why'), rows)}"
    )


def _on(arns: Iterable[str]) -> str:
    return ", ".join(arn.removesuffix(":*") if arn != "*" else "`*`" for arn in arns)


def _azure() -> str:
    fifo = {grant.name for grant in azure.grants(FIFO)}
    rows = [
        (
            "function app",
            _role(grant),
            _place(grant.on, AZURE),
            grant.why + ("" if grant.name in fifo or ":" in grant.on else "; not fifo"),
        )
        for grant in azure.grants(ORDERS, [RECEIPTS])
    ]
    for who, grants in (
        ("producer, `grant_send`", azure.send_grants()),
        ("operator, `grant_redrive`", azure.redrive_grants()),
    ):
        rows += [(who, _role(grant), _place(grant.on, AZURE), grant.why) for grant in grants]
    return f"{link('Built-in roles', azure.ROLES)}, by user-assigned identities.\n\n{table(('who', 'role', 'on', 'why'), rows)}"


def _role(grant: azure.Grant) -> str:
    return grant.role.name.replace("_", " ").title()


def _place(on: str, names: dict[str, str]) -> str:
    kind, _, queue = on.partition(":")
    return f"queue `{queue}`" if queue else names.get(kind, f"its {kind}" if kind == "dead_letters" else f"the {kind}")


def _gcp() -> str:
    rows = [("function's account", *_line(grant)) for grant in gcp.grants(ORDERS, [RECEIPTS])]
    rows += [
        ("function's account", *_line(gcp.SECRET)),
        ("the account that the queue calls as", *_line(gcp.CALLER)),
        *(("the builds' account", *_line(grant)) for grant in gcp.BUILDER),
        ("Google's accounts for Pub/Sub and Firestore", *_line(gcp.AGENT)),
        *(("producer, `grant_send`", *_line(send_grant)) for send_grant in gcp.send_grants("send", "sends to it")),
        *(("operator, `grant_redrive`", *_line(redrive_grant)) for redrive_grant in gcp.redrive_grants()),
    ]
    return table(("who", "role", "on", "why"), rows)


def _line(grant: Any) -> tuple[str, str, str]:
    where = _place(grant.on, GCP)
    return f"`{grant.role.value}`", f"{where} (`{grant.queue}`)" if grant.queue else where, grant.why
