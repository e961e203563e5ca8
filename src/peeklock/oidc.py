"""Whether a request was really sent by the service account that it should be: OIDC tokens of Google.

The queue's headers prove nothing, since anybody can send them. A platform that admits callers by their identity checks
the token itself; then this is a second lock on the same door.
"""

from __future__ import annotations

import os
import re
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from peeklock.errors import ConfigError, PeeklockError
from peeklock.queue import Queue
from peeklock.redaction import shown
from peeklock.registry import missing

CERTS_URL = "https://www.googleapis.com/oauth2/v1/certs"
# https://cloud.google.com/docs/authentication/verify-tokens

ISSUERS = ("https://accounts.google.com", "accounts.google.com")
# As CERTS_URL.

DEFAULT_AGE = 3600.0
"""Seconds that certificates are kept when their answer does not say."""

RETRY_AGE = 60.0
"""Seconds between two fetches for tokens whose key is unknown, so that forged ones cannot make every request fetch."""

_MAX_AGE = re.compile(r"max-age\s*=\s*(\d{1,9})")

Verify = Callable[[str], None]


class Rejected(PeeklockError):
    """The token is missing, not valid, or somebody else's."""


class Unavailable(PeeklockError):
    """The certificates could not be fetched, so nothing can be said of the token."""


def verifier(
    queue: Queue, audience: str | None, service_account: str | None, certs_url: str | None = None
) -> Verify | None:
    """What checks the `Authorization` header; None without an audience, here or in `PEEKLOCK_<QUEUE>_AUDIENCE`. The keys are
    Google's, unless `certs_url` or, of an emulator on this machine, `PEEKLOCK_CERTS_URL` says otherwise.

    Raises ConfigError for an audience without the service account: anybody with a Google account can obtain a token
    for any audience.
    """
    audience = audience or os.environ.get(queue.variable("AUDIENCE"))
    account = service_account or os.environ.get(queue.variable("SERVICE_ACCOUNT"))
    if not audience:
        return None
    if not account:
        raise ConfigError(
            f"an audience alone admits every Google account: pass service_account=, or set {queue.variable('SERVICE_ACCOUNT')}"
        )
    return Verifier(audience=audience, service_account=account, certs=Certificates(certs_url or _certs_url()))


def _certs_url() -> str:
    """Raises ConfigError for a variable that names another machine: whose keys are trusted is not a setting."""
    told = os.environ.get("PEEKLOCK_CERTS_URL")
    if told and urlsplit(told).hostname not in ("127.0.0.1", "::1", "localhost"):
        raise ConfigError(
            f"PEEKLOCK_CERTS_URL={shown(told)!r} is for an emulator on this machine; leave it out elsewhere"
        )
    return told or CERTS_URL


class Certificates:
    """Google's public certificates, kept as long as their answer allows: google-auth would fetch them each time."""

    def __init__(self, url: str, clock: Callable[[], float] = time.monotonic) -> None:
        self.url = url
        self._clock = clock
        self._lock = threading.Lock()
        self._held: Mapping[str, str] = {}
        self._fetched = self._until = float("-inf")

    def of(self, key_id: str) -> Mapping[str, str]:
        """The certificates, fetched again when they are old or lack this key. Raises Unavailable."""
        with self._lock:
            now = self._clock()
            rotated = key_id not in self._held and now - self._fetched >= RETRY_AGE
            if now >= self._until or rotated:
                self._held, age = self._fetch()
                self._fetched, self._until = now, now + age
            return self._held

    def _fetch(self) -> tuple[Mapping[str, str], float]:
        try:
            import requests
        except ImportError as exc:
            raise missing(exc) from exc
        try:
            answer = requests.get(self.url, timeout=10)
            answer.raise_for_status()
            held = {str(key): str(value) for key, value in answer.json().items()}
        except (requests.RequestException, ValueError, AttributeError) as exc:
            raise Unavailable(f"certificates: {type(exc).__name__}") from exc
        told = _MAX_AGE.search(answer.headers.get("Cache-Control", ""))
        return held, float(told[1]) if told else DEFAULT_AGE


@dataclass(frozen=True, slots=True, kw_only=True)
class Verifier:
    """Checks signature, expiry, audience, issuer and account of a bearer token."""

    audience: str
    service_account: str
    certs: Certificates

    def __call__(self, authorization: str) -> None:
        """Raises Rejected, or Unavailable; never with a word of the token."""
        scheme, _, token = authorization.partition(" ")
        if scheme.lower() != "bearer" or not token:
            raise Rejected("no bearer token")
        claims = self._claims(token.strip())
        if claims.get("iss") not in ISSUERS:
            raise Rejected("wrong issuer")
        if claims.get("email") != self.service_account or claims.get("email_verified") is not True:
            raise Rejected("another account")

    def _claims(self, token: str) -> Mapping[str, Any]:
        try:
            from google.auth import exceptions, jwt
        except ImportError as exc:
            raise missing(exc) from exc
        try:
            key_id = str(jwt.decode_header(token).get("kid"))  # type: ignore[no-untyped-call] # google-auth's

            claims: Mapping[str, Any] = jwt.decode(token, certs=self.certs.of(key_id), audience=self.audience)  # type: ignore[no-untyped-call] # as above
        except (ValueError, KeyError, TypeError, AttributeError, exceptions.GoogleAuthError) as exc:
            raise Rejected(f"not valid: {type(exc).__name__}") from exc
        return claims
