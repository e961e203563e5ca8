"""Port of the management API: requests as the API reads them, and the limits of the service."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from urllib.parse import parse_qsl, unquote

from cloudqueues.http1 import server
from cloudqueues.http1.messages import Malformed
from cloudqueues.http1.server import HttpServer, Limits, Reply

LONGEST_LINE = 8 * 1024
LONGEST_BODY = 2**20
"""Bytes of the body."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    method: str
    path: str
    """Decoded path without leading and trailing slashes."""
    query: Mapping[str, str]
    """Query parameters by lower-case name."""
    headers: Mapping[str, str]
    """Headers by lower-case name."""
    body: bytes


def management_server(answer: Callable[[Request], Reply], idle: float) -> HttpServer:
    """Return the server of the management API. A connection is cut after `idle` seconds without a request."""

    async def answer_decoded(request: server.Request) -> Reply:
        return answer(_decoded(request))

    limits = Limits(line=LONGEST_LINE, body=LONGEST_BODY, takes_chunks=False, idle=idle)
    return HttpServer(answer_decoded, _refusal, limits)


def _decoded(request: server.Request) -> Request:
    query = {name.lower(): value for name, value in parse_qsl(request.query)}
    path = unquote(request.path).strip("/")
    return Request(method=request.method, path=path, query=query, headers=request.headers, body=request.body)


def _refusal(malformed: Malformed) -> Reply:
    return Reply(status=malformed.status, body=f"{malformed}\n".encode())
