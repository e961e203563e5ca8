"""Google's public certificates, fetched in the background and cached for a bounded time.

A request whose key is cached never waits. Fetches run in a thread of their own, normally one at a time, and the caller's wait
is bounded whatever the endpoint does. A pause between fetches keeps forged key ids from causing more of them.
"""

from __future__ import annotations

import json
import re
import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any

from peeklock.errors import PeeklockError

DEFAULT_AGE = 3600.0
"""Seconds that certificates are fresh when the response does not say."""

AGES = (60.0, 86_400.0)
"""Fewest and most seconds that certificates are fresh, whatever the response says. Google's own say five to seven hours."""

STALE_AGE = 86_400.0
"""Seconds after their age during which certificates are still used while none can be fetched. Google publishes a key days
before signing with it, and withdraws it only after the last token signed with it has expired."""

RETRY_AGE = 60.0
"""Seconds between two fetches for a key that the last one did not contain."""

FAILED_AGE = 5.0
"""Seconds between a failed fetch and the next."""

FETCH_SECONDS = 3.0
"""Longest wait of a request for a fetch, in seconds."""

READ_SECONDS = 5.0
"""Longest time between two bytes of a response, and for its whole body, in seconds."""

ABANDONED_SECONDS = 60.0
"""Seconds after which another fetch starts beside one that hangs, whose late result is ignored."""

MOST_FETCHES = 4
"""Largest number of concurrent fetches, each of which keeps its thread while it hangs."""

MOST_BYTES = 262_144
"""Largest size of a response in bytes; Google's has about 3,000."""

READ_BYTES = 16
"""Bytes of one read. Few, since a read returns only when all have arrived, and the time is checked between reads."""

_MAX_AGE = re.compile(r"max-age\s*=\s*([0-9]{1,9})", re.IGNORECASE)

NONE_YET = "certificates: none have been fetched yet"


class Unavailable(PeeklockError):
    """The certificates could not be fetched, so the token could not be verified."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Held:
    """Certificates from one response of the endpoint, with the times until which they are used."""

    keys: Mapping[str, str] = field(default_factory=dict)
    fresh_until: float = float("-inf")
    stale_until: float = float("-inf")


class Certificates:
    """Cached certificates of an endpoint. `clock`: returns monotonic seconds."""

    def __init__(self, url: str, clock: Callable[[], float] = time.monotonic) -> None:
        self.url = url
        self._clock = clock
        self._lock = threading.Lock()  # never held while anything is fetched
        self._held = _Held()
        self._failure: str | None = NONE_YET
        self._fetch: Future[None] | None = None
        self._hung: set[Future[None]] = set()
        """Abandoned fetches that have not ended."""
        self._begun = self._not_before = float("-inf")

    def of(self, key_id: str, wait: float = FETCH_SECONDS) -> Mapping[str, str]:
        """Return the certificates by key id; without `key_id` where the endpoint does not have it. Raises Unavailable."""
        fetch = self._needed(key_id)
        if fetch is not None:
            try:
                fetch.result(wait)
            except TimeoutError:
                raise _late(wait) from None
        return self._answer(key_id)

    def _needed(self, key_id: str) -> Future[None] | None:
        """Return the fetch to wait for; None where there is no need to wait. Starts renewing old certificates."""
        with self._lock:
            now = self._clock()
            if key_id not in self._held.keys or now >= self._held.stale_until:
                return self._fetching(now)
            if now >= self._held.fresh_until:
                self._fetching(now)
            return None

    def _fetching(self, now: float) -> Future[None] | None:
        """Return the running fetch, or start one; None while the last one is too recent. The caller holds the lock."""
        running = self._fetch is not None and not self._fetch.done()
        if running and now - self._begun < ABANDONED_SECONDS:
            return self._fetch
        if not running and now < self._not_before:
            return None
        self._hung = {hung for hung in (*self._hung, self._fetch) if hung is not None and not hung.done()}
        if len(self._hung) >= MOST_FETCHES:
            return self._fetch  # an endpoint that never completes a response must not take another thread each time
        fetch: Future[None] = Future()
        threading.Thread(target=self._run, args=(fetch,), name="peeklock-certificates", daemon=True).start()
        self._fetch, self._begun = fetch, now
        return fetch

    def _run(self, fetch: Future[None]) -> None:
        try:
            keys, age = load(self.url)
        except Exception as exc:  # noqa: BLE001 - any exception must reach the waiting requests
            self._end(fetch, None, f"certificates: {type(exc).__name__}")
        else:
            now = self._clock()
            self._end(fetch, _Held(keys=keys, fresh_until=now + age, stale_until=now + age + STALE_AGE), None)

    def _end(self, fetch: Future[None], held: _Held | None, failure: str | None) -> None:
        with self._lock:
            if fetch is self._fetch:
                self._held = held or self._held
                self._failure = failure
                self._not_before = self._clock() + (RETRY_AGE if held else FAILED_AGE)
        fetch.set_result(None)

    def _answer(self, key_id: str) -> Mapping[str, str]:
        """Return the cached certificates. Only a successful fetch proves that a key is unknown; else raises Unavailable."""
        with self._lock:
            usable = self._clock() < self._held.stale_until
            if usable and (key_id in self._held.keys or self._failure is None):
                return self._held.keys
            raise Unavailable(self._failure or NONE_YET)


def _late(wait: float) -> Unavailable:
    return Unavailable(f"certificates: no answer within {wait:g} s")


def load(url: str) -> tuple[Mapping[str, str], float]:
    """Fetch an endpoint's certificates, and return them with the seconds that they are fresh.

    Raises the exceptions of `requests`, and ValueError for a response without certificates.
    """
    import requests

    with requests.get(url, timeout=READ_SECONDS, stream=True, allow_redirects=False) as response:
        response.raise_for_status()
        keys = json.loads(_body(response))
        control = response.headers.get("Cache-Control", "")
    if not isinstance(keys, dict) or not keys or not all(_is_pem(value) for value in keys.values()):
        raise ValueError("no certificates")
    age = _MAX_AGE.search(control)
    least, most = AGES
    return keys, min(max(float(age[1]) if age else DEFAULT_AGE, least), most)


def _is_pem(value: object) -> bool:
    return isinstance(value, str) and value.lstrip().startswith("-----BEGIN ")


def _body(response: Any) -> bytes:
    """Return the body of a response. Raises ValueError where it is too long or too slow."""
    until, body = time.monotonic() + READ_SECONDS, b""
    for part in response.iter_content(READ_BYTES):
        body += part
        if len(body) > MOST_BYTES or time.monotonic() > until:
            raise ValueError("too long, or too slow")
    return body
