"""Buffered requests and public keys over HTTP."""

from __future__ import annotations

import contextlib
import http.client
import json
import socket
from typing import Any
from urllib.parse import urlsplit

import google.auth.jwt
import pytest
import requests
from google.auth.exceptions import GoogleAuthError
from google.auth.transport import requests as transport
from google.oauth2 import id_token

from cloudqueues.cloudtasks import CloudTasksEmulator
from cloudqueues.http1.server import Limits
from peeklock.platforms.http_push.oidc import Certificates, Rejected, Verifier
from tests.emulators.cloudtasks.support import ACCOUNT, HERE, Target, queue_of, task_of


def to(target: Target, **settings: Any) -> dict[str, Any]:
    uri = {"scheme": "HTTP", "host": "127.0.0.1", "port": target.port, "path_override": {"path": "/work"}}
    return {"http_target": {"uri_override": uri, **settings}}


def test_a_request_is_buffered_as_a_task(emulator: CloudTasksEmulator, target: Target) -> None:
    client = emulator.client()
    headers = [{"header": {"key": "X-Queue", "value": "yes"}}]
    queue = queue_of(client, **to(target, header_overrides=headers))
    answer = requests.post(
        f"{emulator.http_url}/v2/{queue.name}/tasks:buffer",
        data=b'{"order_id":"o-1"}',
        headers={"Content-Type": "application/json", "X-Mine": "1", "Authorization": "Bearer me"},
        timeout=5,
    )
    assert answer.status_code == 200
    assert answer.json()["task"]["name"].startswith(f"{queue.name}/tasks/")
    [seen] = target.wait(1)
    assert (seen.method, seen.path, seen.body) == ("POST", "/work", b'{"order_id":"o-1"}')
    assert {name: seen.headers.get(name) for name in ("content-type", "x-mine", "x-queue", "authorization")} == {
        "content-type": "application/json",
        "x-mine": "1",
        "x-queue": "yes",
        "authorization": None,
    }


def test_a_buffered_task_may_have_an_id(emulator: CloudTasksEmulator, target: Target) -> None:
    client = emulator.client()
    queue = queue_of(client, **to(target, http_method="GET"))
    url = f"{emulator.http_url}/v2/{queue.name}/tasks/my-id:buffer"
    assert requests.post(url, data=b"ignored", timeout=5).json()["task"]["name"] == f"{queue.name}/tasks/my-id"
    [seen] = target.wait(1)
    assert (seen.method, seen.body) == ("GET", b"")
    emulator.wait_idle()
    again = requests.post(url, timeout=5)
    assert (again.status_code, again.json()["error"]["status"]) == (409, "ALREADY_EXISTS")


def test_an_address_that_applies_only_where_there_is_none_applies_here(
    emulator: CloudTasksEmulator, target: Target
) -> None:
    client = emulator.client()
    settings = to(target)
    settings["http_target"]["uri_override"]["uri_override_enforce_mode"] = "IF_NOT_EXISTS"
    queue = queue_of(client, **settings)
    requests.post(f"{emulator.http_url}/v2/{queue.name}/tasks:buffer", timeout=5)
    assert [seen.path for seen in target.wait(1)] == ["/work"]


def test_a_queue_that_is_not_there_takes_no_request(shared: CloudTasksEmulator) -> None:
    answer = requests.post(f"{shared.http_url}/v2/{HERE}/queues/never-made/tasks:buffer", timeout=5)
    assert (answer.status_code, answer.json()["error"]["code"]) == (404, 404)


def test_a_queue_without_a_target_takes_no_request(shared: CloudTasksEmulator, client: Any) -> None:
    queue = queue_of(client)
    answer = requests.post(f"{shared.http_url}/v2/{queue.name}/tasks:buffer", timeout=5)
    assert (answer.status_code, answer.json()["error"]["status"]) == (400, "INVALID_ARGUMENT")
    assert "http_target" in answer.json()["error"]["message"]


def test_a_connection_serves_many_requests_until_it_is_closed(shared: CloudTasksEmulator) -> None:
    with contextlib.closing(http.client.HTTPConnection(urlsplit(shared.http_url).netloc, timeout=5)) as connection:
        for close in ("keep-alive", "keep-alive", "close"):
            connection.request("GET", "/oauth2/v3/certs", headers={"Connection": close})
            assert json.load(connection.getresponse())["keys"]
        assert connection.sock is None  # it was told of the close


def test_headers_for_the_service_do_not_reach_the_target(emulator: CloudTasksEmulator, target: Target) -> None:
    queue = queue_of(emulator.client(), **to(target))
    own = {"Accept": "a/b", "Authorization": "Bearer me", "X-Goog-Api-Key": "key", "X-Goog-User-Project": "p"}
    url = f"{emulator.http_url}/v2/{queue.name}/tasks:buffer"
    assert requests.post(url, data=b"1", headers={**own, "X-Mine": "1"}, timeout=5).status_code == 200
    headers = target.wait(1)[0].headers
    assert headers["x-mine"] == "1"
    assert not {name.lower() for name in own} & set(headers)


def raw(shared: CloudTasksEmulator, data: bytes) -> bytes:
    """Return everything that is answered to these bytes."""
    parts = urlsplit(shared.http_url)
    with socket.create_connection((parts.hostname, parts.port), timeout=5) as sock:
        sock.sendall(data)
        sock.shutdown(socket.SHUT_WR)
        answer = b""
        while piece := sock.recv(65536):
            answer += piece
    return answer


def test_an_old_client_is_closed_upon(shared: CloudTasksEmulator) -> None:
    parts = urlsplit(shared.certs_url)
    with socket.create_connection((str(parts.hostname), int(parts.port or 0)), timeout=5) as sock:
        sock.sendall(f"GET {parts.path} HTTP/1.0\r\n\r\n".encode())
        answer = b"".join(iter(lambda: sock.recv(65536), b""))
    assert answer.startswith(b"HTTP/1.1 200 ")
    assert b"\r\nConnection: close\r\n" in answer


def test_a_body_in_chunks(emulator: CloudTasksEmulator, target: Target) -> None:
    client = emulator.client()
    queue = queue_of(client, **to(target))
    head = f"POST /v2/{queue.name}/tasks:buffer HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n".encode()
    answer = raw(emulator, head + b"3\r\nabc\r\n2;ext=1\r\nde\r\n0\r\nTrailer: x\r\n\r\n")
    assert answer.startswith(b"HTTP/1.1 200 ")
    assert target.wait(1)[0].body == b"abcde"


@pytest.mark.parametrize(
    "data",
    [
        b"nonsense\r\n\r\n",
        b"GET\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\n",
        b"GET / HTTP/1.1\r\nno colon\r\n\r\n",
        b"GET / HTTP/1.1\r\nname : value\r\n\r\n",
        b"GET / HTTP/1.1\r\n: value\r\n\r\n",
        b"GET http://[ HTTP/1.1\r\n\r\n",
        b"POST / HTTP/1.1\r\nContent-Length: -1\r\n\r\n",
        b"POST / HTTP/1.1\r\nContent-Length: 1 1\r\n\r\n",
        b"POST / HTTP/1.1\r\nContent-Length: abc\r\n\r\n",
        b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n",
        b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nabc\r\n",
        b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n" + b"1" * 70_000,
        b"GET / HTTP/1.1\r\nX: " + b"x" * 70_000 + b"\r\n\r\n",
    ],
)
def test_what_is_no_http_is_refused_and_closed(shared: CloudTasksEmulator, data: Any) -> None:
    assert raw(shared, data)[:13] in {b"HTTP/1.1 400 ", b""}  # or the answer is lost to what was still being sent
    assert requests.get(shared.certs_url, timeout=5).status_code == 200


def test_a_body_that_is_too_large(shared: CloudTasksEmulator, monkeypatch: Any) -> None:
    monkeypatch.setattr(shared._running._http, "limits", Limits(body=10))
    head = f"POST /v2/{HERE}/queues HTTP/1.1\r\nContent-Length: 11\r\n\r\n".encode()
    assert b"the body is too large" in raw(shared, head + b"x" * 11)
    assert b"the body is too large" not in raw(shared, head.replace(b"11", b"10") + b"x" * 10)


@pytest.mark.parametrize(
    "head",
    [
        b"Content-Length: 99999999999999\r\n\r\n",
        b"Transfer-Encoding: chunked\r\n\r\nffffffffffff\r\n",
        b"Transfer-Encoding: chunked\r\n\r\n8\r\n12345678\r\n3\r\n",
    ],
)
def test_a_body_that_is_announced_too_large_is_refused_before_it_comes(
    shared: CloudTasksEmulator, monkeypatch: Any, head: bytes
) -> None:
    """The client gets its answer while it could still send."""
    monkeypatch.setattr(shared._running._http, "limits", Limits(body=10))
    parts = urlsplit(shared.http_url)
    with socket.create_connection((parts.hostname, parts.port), timeout=10) as connection:
        connection.sendall(f"POST /v2/{HERE}/queues HTTP/1.1\r\n".encode() + head)
        assert b"the body is too large" in connection.recv(65536)


def test_a_body_in_chunks_may_be_as_large_as_one_with_a_length(shared: CloudTasksEmulator, monkeypatch: Any) -> None:
    monkeypatch.setattr(shared._running._http, "limits", Limits(body=10))
    head = f"POST /v2/{HERE}/queues HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n".encode()
    assert b"the body is too large" not in raw(shared, head + b"4\r\n1234\r\n6\r\n123456\r\n0\r\n\r\n")


@pytest.mark.parametrize(
    "data", [b"", b"GET", b"GET / HTTP/1.1\r\n", b"POST / HTTP/1.1\r\nContent-Length: 9\r\n\r\nab"]
)
def test_half_a_request_is_no_request(shared: CloudTasksEmulator, data: Any) -> None:
    assert raw(shared, data) == b""
    assert requests.get(shared.certs_url, timeout=5).status_code == 200


# tokens


def bearer(emulator: CloudTasksEmulator, target: Target, audience: str) -> str:
    """Return the Authorization header of a task with a token."""
    client = emulator.client()
    http = {"oidc_token": {"service_account_email": ACCOUNT, "audience": audience}}
    task_of(client, queue_of(client), target.url, http=http)
    return str(target.wait(1)[0].headers["authorization"])


def test_google_auth_accepts_a_token(emulator: CloudTasksEmulator, target: Target) -> None:
    token = bearer(emulator, target, "https://me").removeprefix("Bearer ")
    request = transport.Request()
    claims = id_token.verify_token(token, request, audience="https://me", certs_url=emulator.certs_url)
    assert (claims["email"], claims["email_verified"]) == (ACCOUNT, True)
    for audience, spoiled in (("https://other", token), ("https://me", f"{token[:-8]}AAAAAAAA")):
        with pytest.raises((ValueError, GoogleAuthError)):
            id_token.verify_token(spoiled, request, audience=audience, certs_url=emulator.certs_url)


def test_peeklocks_own_check_accepts_a_token(emulator: CloudTasksEmulator, target: Target) -> None:
    authorization = bearer(emulator, target, "https://me")
    certs = Certificates(emulator.certs_url)
    Verifier(audience="https://me", service_account=ACCOUNT, certs=certs)(authorization)
    with pytest.raises(Rejected):
        Verifier(audience="https://me", service_account="another@p", certs=certs)(authorization)


def test_the_key_set_has_the_same_key(emulator: CloudTasksEmulator, target: Target) -> None:
    token = bearer(emulator, target, "https://me").removeprefix("Bearer ")
    [key] = requests.get(f"{emulator.http_url}/oauth2/v3/certs", timeout=5).json()["keys"]
    assert key["kid"] == google.auth.jwt.decode_header(token)["kid"]  # type: ignore[no-untyped-call] # Google's
    assert (key["kty"], key["alg"], key["e"]) == ("RSA", "RS256", "AQAB")
