"""Who is let in where a queue pushes by HTTP: Cloud Tasks and Pub/Sub alike."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import random
import socket
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest

from peeklock import ConfigError, Queue, cloudtasks, consumer, pubsub
from peeklock.platforms.http_push import endpoint as push
from peeklock.platforms.http_push import oidc
from peeklock.platforms.http_push.certificates import (
    AGES,
    FAILED_AGE,
    MOST_FETCHES,
    RETRY_AGE,
    STALE_AGE,
    Certificates,
    Unavailable,
    load,
)
from peeklock.stores.memory import MemoryStore
from peeklock.testing import Outbox, deliver
from tests.platforms.google import AUDIENCE, CALLER, Endpoint, claims, key_pair, token
from tests.platforms.test_gcp import answer
from tests.support import environment

QUEUE = Queue("orders", max_attempts=3, timeout=20, first_delay=2)
BINDS = pytest.mark.parametrize("platform", [cloudtasks, pubsub], ids=["cloudtasks", "pubsub"])
ran: list[dict[str, Any]] = []


@consumer(QUEUE)
def handle(payload: dict) -> None:
    ran.append(payload)


@consumer(QUEUE)
async def handle_async(payload: dict) -> None:
    ran.append(payload)


@pytest.fixture(autouse=True)
def nothing_ran() -> None:
    ran.clear()


@pytest.fixture
def endpoint() -> Iterator[Endpoint]:
    served = Endpoint()
    yield served
    served.close()


def world(**more: Any) -> dict[str, Any]:
    return {"store": MemoryStore(), "dead_letter": Outbox(), "queue": Outbox(), **more}


def guarded(endpoint: Endpoint, platform: Any = cloudtasks, function: Any = handle, **more: Any) -> Any:
    return platform.bind(function, audience=AUDIENCE, service_account=CALLER, certs_url=endpoint.url, **world(), **more)


def request(authorization: str | None = None, name: str = "t-1", **headers: str) -> push.Request:
    """Return a request that both platforms take for a message."""
    basic = {"X-CloudTasks-TaskName": name, "X-Goog-PubSub-Message-Id": name}
    return push.request_of(
        {**basic, **headers, **({"Authorization": authorization} if authorization is not None else {})}, b"{}"
    )


def status(endpoint: Endpoint, authorization: str) -> int:
    return answer(guarded(endpoint), request(authorization))


# -- closed by default


@BINDS
def test_without_an_audience_nobody_is_let_in(platform, caplog):
    """Every request is 401, also one that carries a lineage, and the log names what to set. (trials 2.1)"""
    resources = world()
    entry = platform.bind(handle, **resources)
    forged = request(**{"x-peeklock": '{"id":"t-2"}'})
    assert [answer(entry, authorization) for authorization in (request(), request("Bearer x.y.z"), forged)] == [
        401,
        401,
        401,
    ]
    assert (ran, resources["store"].records, resources["dead_letter"].outgoing_messages) == ([], {}, [])
    errors = [log_record for log_record in caplog.records if log_record.levelname == "ERROR"]
    assert len(errors) == 3
    for word in ("PEEKLOCK_ORDERS_AUDIENCE", "PEEKLOCK_ORDERS_SERVICE_ACCOUNT", "audience=", "unauthenticated=True"):
        assert word in errors[0].getMessage()


@BINDS
def test_without_an_audience_nobody_is_let_in_async(platform):
    """The same of an `async def` consumer. (trials 2.1)"""
    assert answer(platform.bind(handle_async, **world()), request()) == 401
    assert ran == []


@BINDS
def test_unauthenticated_is_said(platform, caplog):
    """Only the argument turns the check off, whatever the environment says, and it is logged once. (trials 2.1)"""
    with environment(PEEKLOCK_ORDERS_AUDIENCE=AUDIENCE, PEEKLOCK_ORDERS_SERVICE_ACCOUNT=CALLER):
        entry = platform.bind(handle, unauthenticated=True, **world())
        assert [answer(entry, request(name=f"t-{n}")) for n in range(3)] == [204] * 3
    warnings = [log_record for log_record in caplog.records if "peeklock.unauthenticated" in log_record.getMessage()]
    assert [log_record.levelname for log_record in warnings] == ["WARNING"]
    assert "whoever reaches the URL runs the handler" in warnings[0].getMessage()


@BINDS
@pytest.mark.parametrize(
    ("access", "text"),
    [
        ({"audience": AUDIENCE, "unauthenticated": True}, "audience= requires a token"),
        ({"service_account": CALLER, "unauthenticated": True}, "service_account= requires a token"),
        ({"unauthenticated": "false"}, "unauthenticated='false' is neither True nor False"),
        ({"unauthenticated": 1}, "unauthenticated=1 is neither"),
        ({"unauthenticated": None}, "unauthenticated=None is neither"),
        ({"certs_url": "http://keys.example.com/certs"}, "an https:// URL"),
        ({"certs_url": "https://[::1"}, "an https:// URL"),
        ({"certs_url": "https:///certs"}, "an https:// URL"),
    ],
)
def test_what_cannot_be_meant_is_refused_when_it_is_bound(platform, access, text):
    """A contradiction, or a word in place of a truth value. (trials 2.1)"""
    with pytest.raises(ConfigError, match=text):
        platform.bind(handle, **access)


@BINDS
def test_an_audience_alone_lets_nobody_in(platform, endpoint, caplog):
    """Anybody with a Google account can obtain a token for any audience."""
    entry = platform.bind(handle, audience=AUDIENCE, certs_url=endpoint.url, **world())
    assert answer(entry, request(f"Bearer {token()}")) == 401
    assert "would admit every Google account: set PEEKLOCK_ORDERS_SERVICE_ACCOUNT" in caplog.text
    with environment(PEEKLOCK_ORDERS_SERVICE_ACCOUNT=CALLER):
        assert answer(entry, request(f"Bearer {token()}")) == 204


def test_the_environment_is_read_at_the_first_request(endpoint):
    """And not when the function is bound: until then nobody is let in."""
    entry = cloudtasks.bind(handle, **world())
    assert answer(entry, request(f"Bearer {token()}")) == 401
    variables = {"PEEKLOCK_ORDERS_AUDIENCE": AUDIENCE, "PEEKLOCK_ORDERS_SERVICE_ACCOUNT": CALLER}
    with environment(PEEKLOCK_CERTS_URL=endpoint.url, **variables):
        assert answer(entry, request(f"Bearer {token()}")) == 204
    assert answer(entry, request(f"Bearer {token()}", "t-2")) == 204


@pytest.mark.parametrize(
    "url",
    [
        "https://keys.example.com/",
        "https://127.0.0.1.example.com/",
        "certs",
        "http://[::2]/",
        "http://[::1",
        "http://127.0.0.1@keys.example.com/",
    ],
)
def test_keys_of_an_emulator_are_on_this_machine(url):
    """Whose keys are trusted is no setting elsewhere; a password in the address is not repeated."""
    variables = {"PEEKLOCK_ORDERS_AUDIENCE": AUDIENCE, "PEEKLOCK_ORDERS_SERVICE_ACCOUNT": CALLER}
    with environment(PEEKLOCK_CERTS_URL=url, **variables):
        entry = cloudtasks.bind(handle, **world())
        with pytest.raises(
            ConfigError, match=r"must name an emulator on this machine; leave it unset elsewhere"
        ) as refused:
            answer(entry, request("Bearer x"))
    assert url not in str(refused.value)


def test_the_keys_are_googles_unless_told_otherwise():
    """An empty variable is none."""
    guard = oidc.Guard(QUEUE, audience=AUDIENCE, service_account=CALLER)
    with environment(PEEKLOCK_CERTS_URL=""):
        verifier = guard._make()
    assert (verifier.audience, verifier.service_account) == (AUDIENCE, CALLER)
    assert verifier.certs.url == oidc.CERTS_URL == "https://www.googleapis.com/oauth2/v1/certs"


def test_a_test_and_a_rehearsal_ask_for_no_token():
    """Nothing reaches them from outside. (trials 2.1)"""
    assert deliver(handle, {}).reason == "done"
    event = {"headers": {"X-CloudTasks-TaskName": "t-1"}, "body": "{}"}
    assert cloudtasks.run_sample(handle, event, **world()) == {"status": 204}
    push_event = {"message": {"messageId": "1", "data": "e30="}, "subscription": "s"}
    assert pubsub.run_sample(handle, push_event, **world()) == {"status": 204}


# -- tokens


@BINDS
def test_a_good_token_is_let_in_and_certificates_are_kept(platform, endpoint):
    """One fetch for many requests; the scheme's name has no case."""
    entry = guarded(endpoint, platform)
    for n, scheme in enumerate(("Bearer", "bearer", "BEARER")):
        assert answer(entry, request(f"{scheme}  {token()}", f"t-{n}")) == 204
    assert endpoint.requests == 1


@pytest.mark.parametrize(
    "changed",
    [
        {"aud": "https://other"},
        {"aud": [AUDIENCE]},
        {"aud": {AUDIENCE: 1}},
        {"aud": None},
        {"iss": "https://evil"},
        {"iss": ["https://accounts.google.com"]},
        {"iss": None},
        {"email": "other@demo"},
        {"email": [CALLER]},
        {"email": None},
        {"email_verified": False},
        {"email_verified": "true"},
        {"email_verified": 1},
        {"email_verified": None},
        {"exp": 1_000_000},
        {"exp": str(2**31)},
        {"exp": float("nan")},
        {"exp": float("inf")},
        {"exp": 10**400},
        {"exp": 10**15},
        {"exp": True},
        {"exp": [2**31]},
        {"exp": None},
        {"iat": "0"},
        {"iat": float("nan")},
        {"iat": -1},
        {"iat": False},
        {"iat": None},
        {"nbf": "0"},
        {"nbf": float("nan")},
        {"nbf": {}},
    ],
    ids=str,
)
def test_a_wrong_claim_is_401(endpoint, caplog, changed):
    """Each claim matters, and so does its type; the handler does not run, and the log does not hold the token. (trials
    2.5)"""
    wrong = token(**changed)
    assert status(endpoint, f"Bearer {wrong}") == 401
    assert "peeklock.unauthorized" in caplog.text
    assert wrong not in caplog.text
    assert ran == []


@pytest.mark.parametrize(
    ("name", "seconds", "expected"),
    [
        ("iat", 3, 204),
        ("iat", 60, 401),
        ("exp", -3, 204),
        ("exp", -60, 401),
        ("nbf", -60, 204),
        ("nbf", 3, 204),
        ("nbf", 60, 401),
    ],
)
def test_clocks_may_differ_a_little(endpoint, name, seconds, expected):
    """Five seconds are allowed, for each of the three times. (trials 2.5)"""
    assert oidc.SKEW_SECONDS == 5
    assert status(endpoint, f"Bearer {token(**{name: int(time.time()) + seconds})}") == expected


def part(value: object) -> str:
    """A segment of a token: JSON of a value, or bytes as they are."""
    data = value if isinstance(value, bytes) else json.dumps(value).encode()
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


NESTED = b'{"a":' * 2_000


def with_header(header: object) -> str:
    return f"{part(header)}.{part(claims())}.{part(b'x')}"


def signed_with_the_certificate() -> str:
    """HS256 with the public key as the secret."""
    text = f"{part({'alg': 'HS256', 'kid': 'k1'})}.{part(claims())}"
    return f"{text}.{part(hmac.new(key_pair('k1')[1].encode(), text.encode(), hashlib.sha256).digest())}"


@pytest.mark.parametrize(
    "header",
    [
        "",
        " ",
        "Basic x",
        "Bearer",
        "Bearer ",
        "Bearer x.y.z",
        "Bearer é",
        "Bearer \udcff",
        "Bearer ..",
        "Bearer a.b",
        "Bearer a.b.c.d",
        "Bearer \x00.\x00.\x00",
        f"Bearer {'a' * 100_000}",
        f"Bearer {'.' * 100_000}",
        f"Bearer {part(b'[' * 8_000)}.{part(b'{}')}.{part(b'x')}",
        f"Bearer {part(b'{}')}.{part(b'[' * 8_000)}.{part(b'x')}",
        f"Bearer {part(NESTED)}.{part(b'{}')}.{part(b'x')}",
        f"Bearer {part(b'9' * 6_000)}.{part(b'{}')}.{part(b'x')}",
        f"Bearer {part([1])}.{part([1])}.{part(b'x')}",
        f"Bearer {part(None)}.{part(None)}.{part(b'x')}",
        f"Bearer {with_header({})}",
        f"Bearer {with_header({'alg': 'none', 'kid': 'k1'})}",
        f"Bearer {part({'alg': 'none', 'kid': 'k1'})}.{part(claims())}.",
        f"Bearer {with_header({'alg': 'RS256'})}",
        f"Bearer {with_header({'alg': 'RS256', 'kid': ''})}",
        f"Bearer {with_header({'alg': 'RS256', 'kid': None})}",
        f"Bearer {with_header({'alg': 'RS256', 'kid': ['k1']})}",
        f"Bearer {with_header({'alg': 'RS256', 'kid': {'k1': 1}})}",
        f"Bearer {with_header({'alg': ['RS256'], 'kid': 'k1'})}",
        f"Bearer {with_header({'alg': 'ES256', 'kid': 'k1'})}",
        f"Bearer {with_header({'alg': 'RS256', 'kid': 'k1'})}",
        f"Bearer {signed_with_the_certificate()}",
    ],
    ids=lambda header: ascii(header[:60]),
)
@pytest.mark.parametrize("up", [True, False], ids=["up", "down"])
def test_what_is_no_token_is_401(endpoint, header, up):
    """Whatever a stranger writes into the header, also while there are no certificates, where it names no key. (trials
    2.5)"""
    if not up:
        endpoint.status = 503
    expected = {401} if up else {401, 500}
    assert status(endpoint, header) in expected
    assert ran == []


def test_no_header_at_all_is_401(endpoint):
    """And nothing is fetched for it."""
    assert answer(guarded(endpoint), request()) == 401
    assert endpoint.requests == 0


def test_a_tampered_token_is_401(endpoint):
    """The signature is of another text."""
    head, _, signature = token().split(".")
    assert status(endpoint, f"Bearer {head}.{part({'aud': AUDIENCE})}.{signature}") == 401
    assert status(endpoint, f"Bearer {head}.{part(claims(sub='me'))}.{signature}") == 401


def test_mutated_tokens_are_401(endpoint):
    """Cut, swapped, doubled and overwritten at random: never let in, never an error. (trials 2.5)"""
    chance, entry, good = random.Random(7), guarded(endpoint), token()
    for _ in range(400):
        text = list(good)
        for _ in range(chance.randint(1, 4)):
            place = chance.randrange(len(text))
            # Not the last characters: their lowest bits are no part of the signature.
            text[min(place, len(text) - 4)] = chance.choice(["", ".", "=", "A", "é", "\x00", " ", "\U0001f600", "[["])
        if "".join(text) != good:
            assert answer(entry, request(f"Bearer {''.join(text)}")) == 401
    assert ran == []


# -- certificates


class Clock:
    """Monotonic seconds that a test moves."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def held(endpoint, clock) -> Certificates:
    return Certificates(endpoint.url, clock)


def settled(held: Certificates) -> None:
    """Wait for the fetch that goes on beside the requests."""
    fetch = held._fetch
    assert fetch is not None
    fetch.result(30)


def test_keys_rotate(endpoint, clock, held):
    """A new key is fetched, though not at once again for one that nobody knows."""
    assert "k1" in held.of("k1")
    endpoint.keys.append("k2")
    assert "k2" not in held.of("k2")
    clock.now += RETRY_AGE
    assert "k2" in held.of("k2")
    assert endpoint.requests == 2


def test_keys_rotate_as_often_as_they_like(endpoint, clock, held):
    """A fetch that has ended does not count among those that hang."""
    for n in range(1, MOST_FETCHES + 3):
        assert "k1" in held.of("a new one")
        clock.now += RETRY_AGE
        assert endpoint.requests == n


def test_forged_key_ids_cause_no_fetches(endpoint, clock, held):
    """One, however many come. (trials 2.5)"""
    for n in range(50):
        assert "k1" in held.of(f"forged-{n}")
    assert endpoint.requests == 1
    clock.now += RETRY_AGE
    for n in range(50):
        held.of(f"forged-{n}")
    assert endpoint.requests == 2


def test_a_failure_is_remembered(endpoint, clock, held):
    """While the endpoint is down nothing can be said of a token, and it is not asked for each. (trials 2.5)"""
    endpoint.status = 503
    for n in range(50):
        with pytest.raises(Unavailable, match="certificates: HTTPError"):
            held.of(f"key-{n}")
    assert endpoint.requests == 1
    endpoint.status = 200
    clock.now += FAILED_AGE
    assert "k1" in held.of("k1")
    assert endpoint.requests == 2


def test_old_certificates_are_used_while_no_others_come(endpoint, clock, held):
    """Up to a bound; a new key is not judged by them. (trials 2.5)"""
    held.of("k1")
    endpoint.status = 503
    clock.now += 20_000
    assert "k1" in held.of("k1")
    settled(held)
    assert endpoint.requests == 2
    assert "k1" in held.of("k1")
    with pytest.raises(Unavailable):
        held.of("k2")
    assert endpoint.requests == 2, "the failure is remembered"
    clock.now += STALE_AGE - 1
    assert "k1" in held.of("k1")
    settled(held)
    clock.now += FAILED_AGE
    with pytest.raises(Unavailable):
        held.of("k1")
    endpoint.status = 200
    clock.now += FAILED_AGE
    assert "k1" in held.of("k1")


def test_old_certificates_are_renewed_beside_the_requests(endpoint, clock, held):
    """A key that was withdrawn is gone then."""
    held.of("k1")
    endpoint.keys[:] = ["k2"]
    clock.now += 20_000
    assert "k1" in held.of("k1")
    settled(held)
    assert endpoint.requests == 2, "asked for because of their age, before anybody asks for another key"
    assert set(held.of("k2")) == {"k2"}
    assert endpoint.requests == 2


def test_a_known_key_never_waits(endpoint, clock, held):
    """Neither for its own renewal nor for a forged key's fetch. (trials 2.5)"""
    held.of("k1")
    clock.now += 20_000
    endpoint.open.clear()
    with ThreadPoolExecutor(8) as pool:
        forged = [pool.submit(held.of, f"forged-{n}", 30) for n in range(8)]
        assert "k1" in held.of("k1", wait=0)
        endpoint.open.set()
        assert all("k1" in future.result(30) for future in forged)
    assert endpoint.requests == 2, "all waited for the same fetch"


def test_a_request_waits_for_a_bounded_time(endpoint, held):
    """And the certificates that come later are used. (trials 2.5)"""
    endpoint.open.clear()
    with pytest.raises(Unavailable, match=r"no answer within 0\.01 s"):
        held.of("k1", wait=0.01)
    endpoint.open.set()
    settled(held)
    assert "k1" in held.of("k1", wait=0)
    assert endpoint.requests == 1


def test_a_fetch_that_never_ends_is_abandoned(endpoint, clock, held):
    """Another one is begun, and what the first brings at last is ignored."""
    endpoint.open.clear()
    with pytest.raises(Unavailable):
        held.of("k1", wait=0.01)
    first = held._fetch
    assert first is not None
    clock.now += RETRY_AGE
    with pytest.raises(Unavailable):
        held.of("k1", wait=0.01)
    assert held._fetch is not first
    endpoint.open.set()
    first.result(30)
    settled(held)
    assert "k1" in held.of("k1")


@pytest.mark.parametrize(
    ("control", "age"),
    [
        ("max-age=20000", 20_000.0),
        ("public, MAX-AGE = 300", 300.0),
        ("max-age = 300", 300.0),
        ("no-store, max-age=0", AGES[0]),
        ("max-age=999999999", AGES[1]),
        (f"max-age={'9' * 30}", AGES[1]),
        ("max-age=-1", 3600.0),
        ("", 3600.0),
    ],
)
def test_ages_are_bounded(endpoint, control, age):
    """At least a minute, at most a day. (trials 2.5)"""
    endpoint.control = control
    assert load(endpoint.url)[1] == age


@pytest.mark.parametrize(
    "body",
    [b"", b"{", b"{}", b"[]", b"null", b'{"k1":1}', b'{"k1":"login first"}', b"[" * 100_000, b"\xff", b" " * 300_000],
    ids=lambda body: ascii(body[:20]),
)
def test_another_answer_replaces_no_certificates(endpoint, clock, held, body):
    """An error page of a proxy, for example."""
    held.of("k1")
    endpoint.answer = body
    clock.now += 20_000
    held.of("k1")
    settled(held)
    assert "k1" in held.of("k1")
    assert endpoint.requests == 2


def test_redirects_are_not_followed(endpoint):
    """Whose keys are trusted is not the network's to say."""
    endpoint.status = 302
    assert "k1" in load(endpoint.url)[0]
    assert endpoint.requests == 1


def test_certificates_that_cannot_be_fetched_are_500(endpoint, caplog):
    """Nothing can be said of the token, so the task comes back."""
    endpoint.answer = b"{"
    assert status(endpoint, f"Bearer {token()}") == 500
    assert "peeklock.unverified" in caplog.text


@BINDS
def test_a_silent_endpoint_holds_no_event(platform, endpoint):
    """The answer comes within the event's limit, whatever the endpoint does. (trials 2.5, 1.15)"""
    endpoint.open.clear()
    entry = guarded(endpoint, platform, lock=timedelta(seconds=1.2))
    began = time.monotonic()
    assert answer(entry, request(f"Bearer {token()}")) == 500
    assert time.monotonic() - began < 1.2


def test_an_endpoint_of_one_byte_a_second_holds_no_event():
    """Each byte is in time, and all of them are not. (trials 2.5)"""
    with socket.create_server(("127.0.0.1", 0)) as server:
        stop = threading.Event()

        def drip() -> None:
            connection, _ = server.accept()
            with connection:
                for byte in b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n" + b"x" * 9:
                    connection.send(bytes([byte]))
                    if stop.wait(1):
                        return

        thread = threading.Thread(target=drip)
        thread.start()
        held = Certificates(f"http://127.0.0.1:{server.getsockname()[1]}/")
        with pytest.raises(Unavailable, match="no answer within"):
            held.of("k1", wait=0.2)
        stop.set()
        thread.join(10)
        settled(held)
