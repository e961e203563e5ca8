"""Verification of Google's OIDC tokens: proves that a request was sent by the expected service account.

The queue's headers prove nothing, since anybody can send them. A binding without an expected account refuses every request.
A platform that authenticates callers checks the token as well; then this is a second check of it.
"""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypedDict, Unpack
from urllib.parse import urlsplit

from peeklock.errors import ConfigError, PeeklockError
from peeklock.observability.observer import log_event
from peeklock.platforms.http_push.certificates import FETCH_SECONDS, Certificates
from peeklock.queue import Queue
from peeklock.registry import missing

CERTS_URL = "https://www.googleapis.com/oauth2/v1/certs"
# https://cloud.google.com/docs/authentication/verify-tokens

ISSUERS = ("https://accounts.google.com", "accounts.google.com")
ALGORITHM = "RS256"
# Both from the page of CERTS_URL.

SKEW_SECONDS = 5
"""Largest difference between Google's clock and this machine's."""

LAST_SECOND = 253_402_300_799
"""End of the year 9999, the latest time accepted in a token."""

MOST_CHARACTERS = 16_384
"""Longest token; Google's have about 1,000 characters. No server takes a longer header, so a longer token is not parsed."""

_LOOPBACK = ("127.0.0.1", "::1", "localhost")


class Rejected(PeeklockError):
    """The token is missing, not valid, or of another account."""


class Closed(Rejected):
    """The binding has no audience or no service account, so every request is refused. The text names the fix."""


class Access(TypedDict, total=False):
    """Options that say who may call a function over HTTP."""

    audience: str | None
    """Audience of the caller's token. By default `PEEKLOCK_<QUEUE>_AUDIENCE`."""
    service_account: str | None
    """Account of the caller's token. By default `PEEKLOCK_<QUEUE>_SERVICE_ACCOUNT`."""
    certs_url: str | None
    """URL of the certificates whose keys are trusted. By default `PEEKLOCK_CERTS_URL`, which may name an emulator on this machine,
    or else Google's."""
    unauthenticated: bool
    """True: something in front of the function checks its callers, and no token is required."""


class Guard:
    """Admits the requests of one service account. The environment is read at the first request, not at import."""

    def __init__(self, queue: Queue, **access: Unpack[Access]) -> None:
        """Raises ConfigError for contradictory options."""
        self._queue = queue
        self._access = access
        self._lock = threading.Lock()
        self._verifier: Verifier | None = None
        self._is_resolved = False
        _check(queue, access)

    def check(self, authorization: str, wait: float = FETCH_SECONDS) -> None:
        """Check the `Authorization` header of a request, within `wait` seconds. Raises Closed, Rejected, Unavailable or
        ConfigError."""
        verifier = self._resolved()
        if verifier is not None:
            verifier(authorization, wait)

    def _resolved(self) -> Verifier | None:
        """Return the verifier, made at the first request; None where no token is required."""
        if self._is_resolved:
            return self._verifier
        with self._lock:
            if not self._is_resolved:
                if self._access.get("unauthenticated"):
                    self._announce()
                else:
                    self._verifier = self._make()
                self._is_resolved = True
            return self._verifier

    def _announce(self) -> None:
        detail = "unauthenticated=True: callers are not checked here, and whoever reaches the URL runs the handler"
        log_event("peeklock.unauthenticated %s", {"queue": self._queue.name, "detail": detail}, level=logging.WARNING)

    def _make(self) -> Verifier:
        audience, account = self._setting("audience"), self._setting("service_account")
        if not audience or not account:
            raise Closed(_closed(self._queue, audience))
        certs_url = self._access.get("certs_url") or _certs_url()
        _import()
        return Verifier(audience=audience, service_account=account, certs=Certificates(certs_url))

    def _setting(self, name: str) -> str | None:
        value = self._access.get(name) or os.environ.get(self._queue.variable(name.upper()))
        return str(value) if value else None


def _check(queue: Queue, access: Access) -> None:
    unauthenticated = access.get("unauthenticated", False)
    if type(unauthenticated) is not bool:
        raise ConfigError(f"queue {queue.name!r}: unauthenticated={unauthenticated!r} is neither True nor False")
    for name in ("audience", "service_account"):
        if unauthenticated and access.get(name):
            raise ConfigError(
                f"queue {queue.name!r}: {name}= requires a token, and unauthenticated=True requires none; leave one of them out"
            )
    certs_url = access.get("certs_url")
    if certs_url and not _trusted(certs_url):
        raise ConfigError(f"queue {queue.name!r}: certs_url= must be an https:// URL, since its keys are trusted")


def _closed(queue: Queue, audience: str | None) -> str:
    if audience:
        return (
            f"an audience without a service account would admit every Google account: set {queue.variable('SERVICE_ACCOUNT')}, or pass"
            " service_account="
        )
    return (
        f"every request is refused: set {queue.variable('AUDIENCE')} and {queue.variable('SERVICE_ACCOUNT')}, or pass audience="
        " and service_account=; or use unauthenticated=True where something in front checks the callers"
    )


def _certs_url() -> str:
    """Return the URL of the certificates. Raises ConfigError where the variable names another machine, whose keys a variable must
    not make trusted."""
    certs_url = os.environ.get("PEEKLOCK_CERTS_URL")
    if certs_url and _host(certs_url) not in _LOOPBACK:
        raise ConfigError("PEEKLOCK_CERTS_URL must name an emulator on this machine; leave it unset elsewhere")
    return certs_url or CERTS_URL


def _trusted(url: str) -> bool:
    return _host(url) in _LOOPBACK or (url.startswith("https://") and bool(_host(url)))


def _host(url: str) -> str | None:
    try:
        return urlsplit(url).hostname
    except ValueError:
        return None


def _import() -> None:
    """Raise ConfigError where google-auth or requests is not installed."""
    try:
        import google.auth.jwt  # noqa: F401 - only whether it is installed
        import requests  # noqa: F401 - as above
    except ImportError as exc:
        raise missing(exc) from exc


@dataclass(frozen=True, slots=True, kw_only=True)
class Verifier:
    """Verifies the signature, times, audience, issuer and account of a bearer token."""

    audience: str
    service_account: str
    certs: Certificates

    def __call__(self, authorization: str, wait: float = FETCH_SECONDS) -> None:
        """Verify an `Authorization` header. Raises Rejected or Unavailable, whose texts never quote the token."""
        token = _bearer(authorization)
        key_id = _key_id(token)
        self._judge(token, key_id, self.certs.of(key_id, wait))

    def _judge(self, token: str, key_id: str, certs: Mapping[str, str]) -> None:
        if key_id not in certs:
            raise Rejected("signed with an unknown key")
        claims = self._claims(token, certs[key_id])
        _check_times(claims)
        if claims.get("iss") not in ISSUERS:
            raise Rejected("wrong issuer")
        if claims.get("email") != self.service_account or claims.get("email_verified") is not True:
            raise Rejected("another account")

    def _claims(self, token: str, certificate: str) -> Mapping[str, Any]:
        from google.auth import jwt

        try:
            claims: Mapping[str, Any] = jwt.decode(  # type: ignore[no-untyped-call] # google-auth's
                token, certs=certificate, audience=self.audience, clock_skew_in_seconds=SKEW_SECONDS
            )
        except Exception as exc:  # any exception that an arbitrary token makes the library raise
            raise Rejected(f"not valid: {type(exc).__name__}") from exc
        return claims


def _bearer(authorization: str) -> str:
    scheme, _, token = authorization.partition(" ")
    token = token.strip()
    if scheme.lower() != "bearer" or not token:
        raise Rejected("no bearer token")
    if len(token) > MOST_CHARACTERS:
        raise Rejected(f"not valid: over {MOST_CHARACTERS} characters")
    return token


def _key_id(token: str) -> str:
    """Return the id of the key that a token claims to be signed with. Nothing is verified yet."""
    from google.auth import jwt

    try:
        header = jwt.decode_header(token)  # type: ignore[no-untyped-call] # google-auth's
    except Exception as exc:  # as above
        raise Rejected(f"not valid: {type(exc).__name__}") from exc
    key_id = header.get("kid")
    if header.get("alg") != ALGORITHM or not isinstance(key_id, str) or not key_id:
        raise Rejected(f"not signed with {ALGORITHM} and a key that it names")
    return key_id


def _check_times(claims: Mapping[str, Any]) -> None:
    """Check that the times are times, and `nbf`: google-auth has compared only `iat` and `exp` with the clock."""
    if not all(_is_time(claims.get(name)) for name in ("iat", "exp")):
        raise Rejected("not valid: iat or exp is not a time")
    not_before = claims.get("nbf", 0)
    if not _is_time(not_before) or time.time() + SKEW_SECONDS < not_before:
        raise Rejected("not valid yet")


def _is_time(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= LAST_SECOND
