"""Whether a request was really sent by the service account that it should be: OIDC tokens of Google.

The queue's headers prove nothing, since anybody can send them. A binding that was not told whom to expect admits nobody.
A platform that admits callers by their identity checks the token itself; then this is a second lock on the same door.
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
# As CERTS_URL.

ALGORITHM = "RS256"
# As CERTS_URL.

SKEW_SECONDS = 5
"""How far the clocks of Google and of this machine may differ."""

LAST_SECOND = 253_402_300_799
"""The end of the year 9999: no time in a token is later."""

MOST_CHARACTERS = 16_384
"""Of a token; Google's have about 1,000. What no server takes as a header is not looked into."""

_LOOPBACK = ("127.0.0.1", "::1", "localhost")


class Rejected(PeeklockError):
    """The token is missing, not valid, or somebody else's."""


class Closed(Rejected):
    """The binding was not told whom to admit, so it admits nobody; the text names the fix."""


class Access(TypedDict, total=False):
    """Who may call a function that is reached by HTTP."""

    audience: str | None
    """Audience of the caller's token; else `PEEKLOCK_<QUEUE>_AUDIENCE`."""
    service_account: str | None
    """Whose token it is; else `PEEKLOCK_<QUEUE>_SERVICE_ACCOUNT`."""
    certs_url: str | None
    """Whose signature is trusted: Google's, unless this or, of an emulator on this machine, `PEEKLOCK_CERTS_URL` says
    otherwise."""
    unauthenticated: bool
    """True: something in front of the function checks its callers, and no token is asked for here."""


class Guard:
    """Admits the requests of one service account. The environment is read at the first request, not at import."""

    def __init__(self, queue: Queue, **access: Unpack[Access]) -> None:
        """Raises ConfigError for what cannot be meant."""
        self._queue = queue
        self._access = access
        self._lock = threading.Lock()
        self._verifier: Verifier | None = None
        self._known = False
        _check(queue, access)

    def check(self, authorization: str, wait: float = FETCH_SECONDS) -> None:
        """Admit the `Authorization` header of a request, within `wait` seconds. Raises Closed, Rejected, Unavailable, or
        ConfigError."""
        verifier = self._resolved()
        if verifier is not None:
            verifier(authorization, wait)

    def _resolved(self) -> Verifier | None:
        """The verifier; None where no token is asked for."""
        if self._known:
            return self._verifier
        with self._lock:
            if not self._known:
                if self._access.get("unauthenticated"):
                    self._announce()
                else:
                    self._verifier = self._make()
                self._known = True
            return self._verifier

    def _announce(self) -> None:
        detail = "unauthenticated=True: callers are not checked here; whoever reaches the URL runs the handler"
        log_event("peeklock.unauthenticated %s", {"queue": self._queue.name, "detail": detail}, level=logging.WARNING)

    def _make(self) -> Verifier:
        audience, account = self._setting("audience"), self._setting("service_account")
        if not audience or not account:
            raise Closed(_closed(self._queue, audience))
        certs_url = self._access.get("certs_url") or _certs_url()
        _import()
        return Verifier(audience=audience, service_account=account, certs=Certificates(certs_url))

    def _setting(self, name: str) -> str | None:
        said = self._access.get(name) or os.environ.get(self._queue.variable(name.upper()))
        return str(said) if said else None


def _check(queue: Queue, access: Access) -> None:
    unauthenticated = access.get("unauthenticated", False)
    if type(unauthenticated) is not bool:
        raise ConfigError(f"queue {queue.name!r}: unauthenticated={unauthenticated!r} is neither True nor False")
    for name in ("audience", "service_account"):
        if unauthenticated and access.get(name):
            raise ConfigError(
                f"queue {queue.name!r}: {name}= asks for a token, and unauthenticated=True asks for none; leave one out"
            )
    certs_url = access.get("certs_url")
    if certs_url and not _trusted(certs_url):
        raise ConfigError(f"queue {queue.name!r}: certs_url= names whose keys are trusted: an https:// address")


def _closed(queue: Queue, audience: str | None) -> str:
    if audience:
        return (
            f"an audience alone admits every Google account: set {queue.variable('SERVICE_ACCOUNT')}, or pass"
            " service_account="
        )
    return (
        f"nobody is admitted: set {queue.variable('AUDIENCE')} and {queue.variable('SERVICE_ACCOUNT')}, or pass audience="
        " and service_account=; unauthenticated=True where something in front checks the callers"
    )


def _certs_url() -> str:
    """Raises ConfigError for a variable that names another machine: whose keys are trusted is not a setting."""
    certs_url = os.environ.get("PEEKLOCK_CERTS_URL")
    if certs_url and _host(certs_url) not in _LOOPBACK:
        raise ConfigError("PEEKLOCK_CERTS_URL is for an emulator on this machine; leave it out elsewhere")
    return certs_url or CERTS_URL


def _trusted(url: str) -> bool:
    return _host(url) in _LOOPBACK or (url.startswith("https://") and bool(_host(url)))


def _host(url: str) -> str | None:
    try:
        return urlsplit(url).hostname
    except ValueError:
        return None


def _import() -> None:
    """Raises ConfigError where google-auth, or what it fetches with, is not installed."""
    try:
        import google.auth.jwt  # noqa: F401 - is it there?
        import requests  # noqa: F401 - as above
    except ImportError as exc:
        raise missing(exc) from exc


@dataclass(frozen=True, slots=True, kw_only=True)
class Verifier:
    """Checks signature, times, audience, issuer and account of a bearer token."""

    audience: str
    service_account: str
    certs: Certificates

    def __call__(self, authorization: str, wait: float = FETCH_SECONDS) -> None:
        """Raises Rejected, or Unavailable; never with a word of the token."""
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
        except Exception as exc:  # whatever a stranger's token makes the library raise
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
    """The key that the token claims to be signed with; nothing is verified yet."""
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
    """`iat` and `exp` were compared with the clock by google-auth, which leaves out `nbf` and takes what is no time."""
    if not all(_is_time(claims.get(name)) for name in ("iat", "exp")):
        raise Rejected("its times are none")
    not_before = claims.get("nbf", 0)
    if not _is_time(not_before) or time.time() + SKEW_SECONDS < not_before:
        raise Rejected("not valid yet")


def _is_time(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= LAST_SECOND
