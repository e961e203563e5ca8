"""Whatever comes, the management API answers it: bodies and addresses that were changed at random."""

from __future__ import annotations

import asyncio
import random
import re
from collections.abc import Iterator
from http import HTTPStatus

import pytest

from cloudqueues.faults import NO_FAULTS
from cloudqueues.servicebus.admin import atom
from cloudqueues.servicebus.admin.api import Api
from cloudqueues.servicebus.admin.http import Request
from cloudqueues.servicebus.service import Service
from cloudqueues.servicebus.tiers import STANDARD

ROUNDS = 3000
KNOWN = {HTTPStatus(code) for code in (200, 201, 400, 404, 405, 409)}
PIECES = (
    b"", b"9" * 5000, b"P10675199DT2H48M5.4775807S", b"PT1e9S", b"-1", b"\xff", b"\x00", b"</content>", b"<Name/>", b"true",
    b'i:type="SqlFilter"', b'i:type="x:duration"', b'i:type="x:int"', b'i:type="x:guid"', b"0001-01-01T00:00:00+14:00", "é".encode(), b"sb://h/", b"&#1;",
)  # fmt: skip
QUEUE = "".join(
    f"<{name}>{text}</{name}>"
    for name, text in {
        "LockDuration": "PT30S",
        "MaxSizeInMegabytes": "1024",
        "RequiresSession": "true",
        "DuplicateDetectionHistoryTimeWindow": "PT30S",
        "MaxDeliveryCount": "5",
        "AuthorizationRules": '<AuthorizationRule i:type="S"><Rights><AccessRights>Send</AccessRights></Rights>'
        "<KeyName>k</KeyName></AuthorizationRule>",
        "Status": "Active",
        "ForwardTo": "sb://h/t",
        "UserMetadata": "m",
    }.items()
)
RULE = (
    '<Filter i:type="CorrelationFilter"><Label>x</Label><Properties><KeyValueOfstringanyType><Key>k</Key>'
    f'<Value xmlns:d6p1="{atom.SCHEMA}" i:type="d6p1:dateTime">2026-12-01T00:00:00</Value></KeyValueOfstringanyType>'
    '</Properties></Filter><Action i:type="SqlRuleAction"><SqlExpression>SET a = 1</SqlExpression></Action><Name>r</Name>'
)
PLACES = re.compile(rb"(?<=>)[^<>]+(?=<)|i:type=\"[^\"]*\"|</?[A-Za-z]+>")
PATHS = (
    "q",
    "t",
    "t/subscriptions/s",
    "t/subscriptions/s/rules/r",
    "t/subscriptions",
    "$Resources/queues",
    "$namespaceinfo",
    "",
)


@pytest.fixture
def api() -> Iterator[Api]:
    async def made() -> Api:
        return Api(Service(NO_FAULTS, 60, STANDARD, None).broker)

    with asyncio.Runner() as runner:
        yield runner.run(made())


def entry(kind: str, inner: str) -> bytes:
    return (
        f'<entry xmlns="{atom.ATOM}"><content>{atom.described(f"{kind}Description", inner)}</content></entry>'.encode()
    )


def changed(data: bytes, by: random.Random) -> bytes:
    """With up to two of its texts, attributes or any other parts replaced."""
    for _ in range(by.randint(0, 2)):
        places = [match.span() for match in PLACES.finditer(data)] or [(0, len(data))]
        start, end = by.choice([*places, (by.randrange(len(data) + 1), len(data))])
        data = data[:start] + by.choice(PIECES) + data[end:]
    return data


def test_every_request_is_answered(api: Api) -> None:
    by, statuses = random.Random(13), set[HTTPStatus]()
    bodies = [entry("Queue", QUEUE), entry("Topic", ""), entry("Subscription", QUEUE), entry("Rule", RULE)]
    for _ in range(ROUNDS):
        headers = {"host": "h", **({"if-match": "*"} if by.random() < 0.3 else {})}
        path = changed(by.choice(PATHS).encode(), by).decode("latin-1") if by.random() < 0.2 else by.choice(PATHS)
        query = {"api-version": by.choice(["", "2021-05", "x"]), "$skip": by.choice(["0", "-1", "9" * 5000])}
        method = by.choice(["PUT", "PUT", "PUT", "GET", "DELETE", "POST"])
        request = Request(method=method, path=path, query=query, headers=headers, body=changed(by.choice(bodies), by))
        statuses.add(api.answer(request).status)
    assert statuses == KNOWN
