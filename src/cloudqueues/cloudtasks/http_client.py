"""HTTP client: sends a task's request to its target, and reads the response."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import math
import ssl
import time
from collections.abc import AsyncGenerator, Callable, Mapping
from dataclasses import dataclass, replace
from email.utils import parsedate_to_datetime
from urllib.parse import quote, urljoin, urlsplit

from cloudqueues.cloudtasks import targets
from cloudqueues.http1 import messages

MAX_REDIRECTS = 10
_SEE_OTHER = frozenset([301, 302, 303])
_SAME_AGAIN = frozenset([307, 308])


class Unreachable(Exception):
    """Target without a response: no connection, a broken one, or one that does not speak HTTP."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpRequest:
    """Request, complete but for its Content-Length and Host."""

    method: str
    url: str
    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpResponse:
    """Response of a target."""

    status: int
    location: str = ""
    retry_after: float = 0.0
    """Seconds in its Retry-After; 0 without one."""


Route = Callable[[str], tuple[str, int] | None]
"""Function from a URL to the host and port to connect to; None for a target that is not reachable."""


async def send(request: HttpRequest, route: Route | None = None) -> HttpResponse:
    """Return the response at the end of all redirects. With a `route` it is sent in plain HTTP, whatever the URL says, with
    the URL's host in its Host header. Raises Unreachable."""
    answer = await _exchange(request, route)
    for _ in range(MAX_REDIRECTS):
        redirected = _redirected(request, answer)
        if redirected is None:
            break
        request, answer = redirected, await _exchange(redirected, route)
    return answer


def _redirected(request: HttpRequest, answer: HttpResponse) -> HttpRequest | None:
    """Return the request to redirect to, by a browser's rules: recorded for 302, where a POST becomes a GET without body."""
    if not answer.location or answer.status not in _SEE_OTHER | _SAME_AGAIN:
        return None
    url = _joined(request.url, answer.location)
    if not url.startswith(("http://", "https://")):
        return None
    elsewhere = urlsplit(url).netloc != urlsplit(request.url).netloc
    request = replace(request, url=url, headers=_without(request.headers, "authorization" if elsewhere else ""))
    if answer.status in _SAME_AGAIN:
        return request
    method = "HEAD" if request.method == "HEAD" else "GET"
    return replace(request, method=method, headers=_without(request.headers, "content-type"), body=b"")


def _joined(url: str, location: str) -> str:
    """Return the absolute URL of a location; "" for an invalid one."""
    try:
        return urljoin(url, location)
    except ValueError:
        return ""


def _without(headers: Mapping[str, str], name: str) -> dict[str, str]:
    return {key: value for key, value in headers.items() if key.lower() != name}


async def _exchange(request: HttpRequest, route: Route | None) -> HttpResponse:
    try:
        async with _connection(request.url, route) as (reader, writer):
            writer.write(_bytes_of(request))
            await writer.drain()
            return await _answer(reader, request.method)
    except (OSError, EOFError, ValueError, messages.Malformed) as exc:
        raise Unreachable(type(exc).__name__) from exc


@contextlib.asynccontextmanager
async def _connection(
    url: str, route: Route | None
) -> AsyncGenerator[tuple[asyncio.StreamReader, asyncio.StreamWriter], None]:
    """Open a new connection for each request: a kept one may be closed by the target just when it is used."""
    host, port, tls = _own_route(url) if route is None else (*_routed(url, route), None)
    reader, writer = await asyncio.open_connection(host, port, ssl=tls, limit=messages.MAX_HEAD)
    try:
        yield reader, writer
    finally:
        writer.transport.abort()


def _own_route(url: str) -> tuple[str, int, ssl.SSLContext | None]:
    parts = urlsplit(url)
    if not parts.hostname:
        raise ValueError("no host")
    secure = parts.scheme == "https"
    return parts.hostname, parts.port or (443 if secure else 80), _tls() if secure else None


def _routed(url: str, route: Route) -> tuple[str, int]:
    address = route(url)
    if address is None:
        raise ValueError("no route")
    return address


@functools.cache
def _tls() -> ssl.SSLContext:
    return ssl.create_default_context()


def _bytes_of(request: HttpRequest) -> bytes:
    parts = urlsplit(request.url)
    target = quote(parts.path or "/", safe=targets.SAFE) + (
        f"?{quote(parts.query, safe=targets.SAFE)}" if parts.query else ""
    )
    host = parts.netloc.rpartition("@")[2].encode("idna").decode("ascii")
    headers = {"Host": host, **request.headers}
    if request.body or request.method in targets.WITH_BODY:
        headers["Content-Length"] = str(len(request.body))
    return messages.write_head(f"{request.method} {target} HTTP/1.1", headers) + request.body


async def _answer(reader: asyncio.StreamReader, method: str) -> HttpResponse:
    """Read a response. Its body is read to its end, so that the target can finish, and discarded."""
    head = await messages.read_head(reader)
    while head.first[1].startswith("1") and head.first[1] != "101":  # 100 and 103 precede the response
        head = await messages.read_head(reader)
    status = _status(head)
    if method != "HEAD" and status not in {204, 304}:
        size = messages.body_size(head.headers, default=math.inf)
        async for _ in messages.read_body(reader, size):
            pass
    return HttpResponse(
        status=status,
        location=head.headers.get("location", ""),
        retry_after=_seconds(head.headers.get("retry-after", "")),
    )


def _status(head: messages.Head) -> int:
    version, status, _ = head.first
    if not version.startswith("HTTP/1.") or not (len(status) == 3 and status.isascii() and status.isdigit()):  # noqa: PLR2004 - digits
        raise messages.Malformed("this is not a response of HTTP/1")
    return int(status)


def _seconds(text: str) -> float:
    """Return the seconds in a Retry-After, which is a number or a date."""
    if text.isascii() and text.isdigit():
        return float(text[:9])
    try:
        return max(parsedate_to_datetime(text).timestamp() - time.time(), 0.0)
    except (ValueError, TypeError, OverflowError, OSError):
        return 0.0
